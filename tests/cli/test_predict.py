from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from face_analysis.datasets.attributes import RACES
from face_analysis.models.weights import load_model
from tests.cli.conftest import Run


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def plain_logits(model: Path, image: Path) -> dict[str, torch.Tensor]:
    """One image through the saved network in plain float32."""
    pixels = torch.from_numpy(np.array(Image.open(image), dtype=np.float32)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        return {name: row[0] for name, row in load_model(model).network(pixels / 127.5 - 1).items()}


def test_every_image_of_a_list_gets_the_probabilities_of_a_plain_forward_pass(
    run: Run, models: dict[str, Path], patterns: Path, tmp_path: Path
) -> None:
    status, out, _ = run(
        f"predict --aligned -s {patterns.parent} -i {patterns} -m {models['joint']} -d {tmp_path} -b 7"
    )
    assert status == 0
    path = tmp_path / "patterns_predictions.csv"
    assert out.strip() == str(path)
    rows = read(path)
    assert [row["path"] for row in rows] == [line.split()[0] for line in patterns.read_text().splitlines()]
    for row in rows[::9]:
        logits = plain_logits(models["joint"], patterns.parent / row["path"])
        race = [float(row[f"race_{n}"]) for n in RACES]
        assert race == pytest.approx(F.softmax(logits["race"], 0).tolist(), abs=0.01)
        assert int(row["race"]) == int(np.argmax(race))
        age = sum(1 / (1 + math.exp(-float(logit))) for logit in logits["age"])
        assert float(row["age"]) == pytest.approx(age, abs=0.3)


def test_three_models_write_the_original_text_with_a_column_for_each_given(
    run: Run, models: dict[str, Path], patterns: Path, tmp_path: Path
) -> None:
    words = f"predict --aligned -s {patterns.parent} -i {patterns} -d {tmp_path} --precision 32-true"
    run(f"{words} -rm {models['race']} -gm {models['gender']} -am {models['age']}")
    status, _, _ = run(f"{words} -rm {models['race']} -am {models['age']} --format original --overwrite")
    assert status == 0
    lines = (tmp_path / "patterns_predictions.txt").read_text().splitlines()
    rows = read(tmp_path / "patterns_predictions.csv")
    assert lines == [f"{patterns.parent}/{row['path']} {row['race']} {row['age_count']}.0" for row in rows]
    assert {"gender_female", "gender_male"} <= rows[0].keys()


def test_one_joint_model_given_three_times_predicts_as_given_once(
    run: Run, models: dict[str, Path], patterns: Path, tmp_path: Path
) -> None:
    joint = models["joint"]
    words = f"predict --aligned -s {patterns.parent} -i {patterns}"
    run(f"{words} -m {joint} -d {tmp_path / 'a'}")
    run(f"{words} -rm {joint} -gm {joint} -am {joint} -d {tmp_path / 'b'}")
    first, second = (tmp_path / name / "patterns_predictions.csv" for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_a_folder_and_an_lmdb_of_it_are_predicted_alike(
    run: Run, models: dict[str, Path], patterns: Path, tmp_path: Path
) -> None:
    run(f"pack -l {patterns} -s {patterns.parent} -a gender -d {tmp_path}/packed.lmdb")
    run(f"predict --aligned -s {tmp_path}/packed.lmdb -gm {models['gender']} -d {tmp_path}")
    run(f"predict --aligned -s {patterns.parent} -gm {models['gender']} -d {tmp_path}")
    packed = read(tmp_path / "packed_predictions.csv")
    folder = read(tmp_path / f"{patterns.parent.name}_predictions.csv")
    assert len(packed) == 60
    assert packed == folder


def test_an_unreadable_image_among_good_ones_is_recorded_and_the_rest_predicted(
    run: Run, models: dict[str, Path], patterns: Path, tmp_path: Path
) -> None:
    good = sorted((patterns.parent / "patterns").glob("*.jpg"))[:5]
    (tmp_path / "cut.jpg").write_bytes(good[0].read_bytes()[:500])
    image_list = tmp_path / "faces.txt"
    image_list.write_text("\n".join(map(str, [*good[:2], tmp_path / "cut.jpg", *good[2:]])))
    status, _, err = run(f"predict --aligned -i {image_list} -am {models['age']} -d {tmp_path}")
    assert status == 1
    assert "faces_errors.csv" in err
    assert [row["path"] for row in read(tmp_path / "faces_predictions.csv")] == list(map(str, good))
    assert [row["path"] for row in read(tmp_path / "faces_errors.csv")] == [str(tmp_path / "cut.jpg")]


def test_the_wrong_model_for_the_task_is_refused(run: Run, models: dict[str, Path], patterns: Path) -> None:
    status, _, err = run(f"predict --aligned -s {patterns.parent} -rm {models['gender']} -d /nowhere")
    assert status == 2
    assert "gender.safetensors predicts gender, not race" in err
    assert not Path("/nowhere").exists()


def test_a_missing_model_is_named(run: Run, patterns: Path, tmp_path: Path) -> None:
    status, _, err = run(f"predict -s {patterns.parent} -m {tmp_path}/none.safetensors -d {tmp_path}")
    assert (status, "none.safetensors" in err) == (2, True)
