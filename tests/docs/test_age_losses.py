"""The table of the losses of age in the documentation names those there are, with what their heads give."""

from __future__ import annotations

import re

from face_analysis.models.age_heads import AGE_HEADS
from tests.docs.markdown import ROOT


def test_the_table_has_every_loss_of_age_and_what_it_gives() -> None:
    section = (ROOT / "docs" / "guides" / "training.md").read_text(encoding="utf-8").split("## Age losses")[1]
    rows = [line.split("|")[1:3] for line in section.split("\n## ")[0].splitlines() if line.startswith("| `")]
    told = {name: outputs for names, outputs in rows for name in re.findall(r"`(\w+)`", names)}
    assert list(told) == list(AGE_HEADS)
    for name, head in AGE_HEADS.items():
        assert told[name].split()[0].rstrip(",") == str(head.outputs)
        assert head.gives.rstrip("s") in told[name]
