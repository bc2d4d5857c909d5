from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Run


@pytest.mark.faces
def test_a_model_is_verified_on_sets_by_their_names(run: Run, faces_data: Path, tmp_path: Path) -> None:
    lines = (faces_data / "lfw" / "pairs.txt").read_text().splitlines()
    some = [
        line for fold in range(10) for line in (*lines[1 + 600 * fold :][:6], *lines[301 + 600 * fold :][:6])
    ]
    (tmp_path / "pairs.txt").write_text("\n".join(["10\t6", *some]) + "\n")
    photos = f"-s {faces_data}/lfw/images --protocol lfw --pairs {tmp_path}/pairs.txt"
    assert run(f"pairs build {photos} -d {tmp_path}/sets")[0] == 0
    status, out, _ = run(f"evaluate --verification lfw -s {tmp_path}/sets -d {tmp_path}/out")
    assert status == 0
    assert "| lfw | " in out
    found = json.loads((tmp_path / "out" / "verification.json").read_text())["lfw"]
    assert found["pairs"] == {"mated": 60, "non_mated": 60}
    assert found["accuracy"] >= 0.97
    assert found["accuracy"] == pytest.approx(np.mean(found["fold_accuracies"]))
    assert [name for name, rates in found["tar_at_far"].items() if rates] == []
    with (tmp_path / "out" / "curves.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["set"] for row in rows} == {"lfw"}
    for name in ("verification.md", "roc.png", "det.png", "config.yaml"):
        assert (tmp_path / "out" / name).stat().st_size > 100


def test_wrong_combinations_and_sets_are_named(run: Run, tmp_path: Path) -> None:
    for words, named in (
        ("", "--predictions"),
        ("-p a.csv", "--labels"),
        ("-p a.csv -l b.txt --verification lfw", "--verification"),
        (f"--verification lfw -s {tmp_path}", "lfw"),
    ):
        status, _, err = run(f"evaluate -d {tmp_path}/out {words}")
        assert (status, named in err) == (2, True), err
    assert not (tmp_path / "out").exists()
