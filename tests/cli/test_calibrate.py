from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from face_analysis.models.weights import load_model
from tests.cli.conftest import Run


@pytest.mark.parametrize("mirror", [False, True])
def test_the_calibrated_model_keeps_its_weights_and_predicts_with_intervals(
    run: Run, models: dict[str, Path], patterns: Path, tmp_path: Path, mirror: bool
) -> None:
    status, out, err = run(
        f"calibrate -m {models['joint']} -s {patterns.parent} -i {patterns} -d {tmp_path / 'new'} "
        f"--name better {'--mirror' * mirror}"
    )
    assert (status, "calibrate: 100%" in err) == (0, True)
    made = tmp_path / "new" / "model.safetensors"
    assert out.splitlines()[-1] == f"model: {made}"
    assert "Expected calibration error" in out
    before, after = load_model(models["joint"]), load_model(made)
    assert after.card.sha256 == before.card.sha256
    assert (after.card.name, after.card.training_data) == ("better", before.card.training_data)
    assert (after.card.mirrored, before.card.mirrored) == (mirror, False)
    assert {"race", "gender", "age", "data"} == after.card.calibration.keys()
    assert after.card.calibration["age"]["coverage"] == 0.9
    assert after.card.metrics["age_interval"]["coverage"]["count"] == 30
    for name in ("calibration.md", "calibration_reliability.png", "calibration_age.png", "metrics.md"):
        assert (tmp_path / "new" / name).stat().st_size > 100

    words = f"predict --aligned -s {patterns.parent} -i {patterns}"
    run(f"{words} -m {made} -d {tmp_path}")
    with (tmp_path / "patterns_predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    labels = [int(line.split()[3]) for line in patterns.read_text().splitlines()]
    inside = [
        int(row["age_low"]) <= age <= int(row["age_high"]) for row, age in zip(rows, labels, strict=True)
    ]
    assert sum(inside) >= 0.8 * len(rows)
    # The table that the card holds is that of the predictions just made.
    run(f"evaluate -p {tmp_path}/patterns_predictions.csv -l {patterns} -d {tmp_path / 'report'}")
    measured = json.loads((tmp_path / "report" / "metrics.json").read_text())
    stated = after.card.metrics["attributes"]["age"]["overall"]["measures"]["mae"]
    again = measured["attributes"]["age"]["overall"]["measures"]["mae"]
    assert again["value"] == pytest.approx(stated["value"], abs=0.01)


def test_described_faces_say_their_interval(
    run: Run, models: dict[str, Path], patterns: Path, photos: Path, tmp_path: Path
) -> None:
    run(f"calibrate -m {models['joint']} -s {patterns.parent} -i {patterns} -d {tmp_path}")
    out = run(f"predict {photos / 'hopper.jpg'} -m {tmp_path / 'model.safetensors'}")[1]
    assert " to " in out.rpartition("years (")[2]


def test_too_few_labels_and_the_model_in_place_are_refused(
    run: Run, models: dict[str, Path], patterns: Path, tmp_path: Path
) -> None:
    few = tmp_path / "few.txt"
    few.write_text("\n".join(patterns.read_text().splitlines()[:6]))
    status, _, err = run(
        f"calibrate -m {models['joint']} -s {patterns.parent} -i {few} -d {tmp_path / 'new'}"
    )
    assert status == 2
    assert "too few images" in err
    assert not (tmp_path / "new" / "model.safetensors").exists()
