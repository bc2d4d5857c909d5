from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from face_analysis.errors import UsageError
from face_analysis.training.options import TrainOptions
from face_analysis.training.run import train
from tests.training.runs import same, saved

MakeOptions = Callable[..., TrainOptions]


@pytest.mark.parametrize("backbone", ["iresnet", "mobilefacenet", "mobilenet"])
@pytest.mark.parametrize("changes", [{}, {"freeze": 2}, {"precision": "bf16-mixed"}])
def test_a_run_whose_units_are_computed_again_learns_the_same_to_the_last_bit(
    options: MakeOptions, tmp_path: Path, backbone: str, changes: dict[str, object]
) -> None:
    train(options(backbone=backbone, epochs=1, **changes))
    train(options(backbone=backbone, epochs=1, checkpointing=True, output=tmp_path / "again", **changes))
    runs = (tmp_path / "run", tmp_path / "again")
    first, again = ((run / "metrics.csv").read_bytes() for run in runs)
    assert again == first
    first_weights, weights = (saved(run)["state_dict"] for run in runs)
    assert same(weights, first_weights)


def test_recognition_too(recognition: MakeOptions, tmp_path: Path) -> None:
    train(recognition(epochs=1))
    train(recognition(epochs=1, checkpointing=True, output=tmp_path / "again"))
    first, again = ((tmp_path / run / "metrics.csv").read_bytes() for run in ("run", "again"))
    assert again == first


def test_what_is_computed_again_is_not_compiled(options: MakeOptions) -> None:
    with pytest.raises(UsageError, match="--compile and --checkpointing"):
        train(options(compile=True, checkpointing=True))
