"""Evaluations, audits and trainings from Python, against the commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, mean_absolute_error

from face_analysis import TrainOptions, audit, evaluate_attributes, evaluate_verification, train
from face_analysis.api.training import preset_options
from face_analysis.errors import UsageError
from tests.cli.conftest import Run


def test_attributes_are_measured_as_scikit_learn_does() -> None:
    chance = np.random.default_rng(1)
    gender, said = chance.integers(0, 2, 200), chance.integers(0, 2, 200)
    age = chance.integers(0, 101, 200)
    years = np.clip(age + chance.normal(0, 5, 200), 0, 100)
    found = evaluate_attributes({"gender": said, "age": years}, {"gender": gender, "age": age})
    table = found.tables["measures"]
    whole = table[table["grouping"] == ""].set_index(["attribute", "measure"])["value"]
    assert whole["gender", "accuracy"] == pytest.approx(accuracy_score(gender, said))
    assert whole["age", "mae"] == pytest.approx(mean_absolute_error(age, years))
    women = table[(table["grouping"] == "gender") & (table["group"] == "female")]
    mae = women.set_index(["attribute", "measure"])["value"]["age", "mae"]
    assert mae == pytest.approx(mean_absolute_error(age[gender == 0], years[gender == 0]))
    assert {"gender_confusion", "age_by_decade", "age_scatter"} <= set(found.figures())
    assert found._repr_html_().count("data:image/png") == len(found.figures())


def test_files_and_arrays_are_not_mixed(patterns: Path) -> None:
    with pytest.raises(UsageError, match="both as files, or both as arrays"):
        evaluate_attributes(patterns, {"gender": np.array([0, 1])})


def test_an_evaluation_of_files_is_that_of_the_command(
    run: Run, models: dict[str, Path], patterns: Path, tmp_path: Path
) -> None:
    words = f"predict -s {patterns.parent} -i {patterns} -m {models['joint']} -d {tmp_path / 'p'} --aligned"
    assert run(words)[0] == 0
    (predictions,) = (tmp_path / "p").glob("*_predictions.csv")
    status, out, _ = run(f"evaluate -p {predictions} -l {patterns} -d {tmp_path / 'e'}")
    assert status == 0
    found = evaluate_attributes(predictions, patterns)
    assert found.summary in out
    assert found.report.to_dict() == json.loads((tmp_path / "e" / "metrics.json").read_text())


def test_verification_is_that_of_the_command(run: Run, recognition_model: Path, tmp_path: Path) -> None:
    from tests.docs.world import sets

    sets(tmp_path / "sets")
    paths = [tmp_path / "sets" / f"{name}.bin" for name in ("lfw", "cfp_fp")]
    words = f"evaluate --verification {paths[0]} {paths[1]} -m {recognition_model} -d {tmp_path / 'e'}"
    status, out, _ = run(f"{words} --precision 32-true")
    assert status == 0
    found = evaluate_verification(paths, recognition_model, device="cpu", precision="32-true")
    assert found.title == "lfw, cfp_fp"
    assert [report.name for report in found.reports] == ["lfw", "cfp_fp"]
    assert set(found.figures()) == {"roc", "det"}
    told = json.loads((tmp_path / "e" / "verification.json").read_text())
    assert {report.name: report.to_dict() for report in found.reports} == told
    assert found.summary in out


def test_an_audit_is_that_of_the_command(run: Run, patterns: Path, tmp_path: Path) -> None:
    lines = patterns.read_text().splitlines(keepends=True)
    first, second = tmp_path / "first.txt", tmp_path / "second.txt"
    first.write_text("".join(lines[:30]))
    second.write_text("".join(lines[20:40]))
    status, out, _ = run(f"audit {first} {second} -s {patterns.parent} -d {tmp_path / 'a'}")
    assert status == 0
    found = audit([first, second], patterns.parent)
    assert found.summary in out
    leaks = found.tables["leaks"]
    shared = {line.split()[0] for line in lines[20:30]}
    assert set(leaks["list"]) == {"first", "second"}
    assert all(shared <= set(leaks[leaks["list"] == name]["path"]) for name in ("first", "second"))
    assert "pictures shared between lists" in found._repr_html_()
    with pytest.raises(UsageError, match="similarity=2"):
        audit(first, patterns.parent, similarity=2)


def test_options_by_name_are_those_of_the_command(patterns: Path, tmp_path: Path) -> None:
    found = preset_options(
        {"attribute": "gender", "train_list": str(patterns), "val_list": patterns, "preset": "original"}
    )
    assert found == TrainOptions(
        attribute=("gender",), train_list=patterns, val_list=(str(patterns),), preset="original"
    )
    laptop = preset_options({"attribute": ["race", "age"], "preset": "laptop", "lr": 0.5})
    assert (laptop.attribute, laptop.lr, laptop.depth) == (("race", "age"), 0.5, 18)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "give TrainOptions"),
        ({"attribute": "gender", "colour": 1}, "TrainOptions has no colour"),
        ({"attribute": "hair"}, "attribute='hair': must be one of 'race'"),
        ({"epochs": 1}, "say what to train"),
        ({"attribute": "gender", "preset": "huge"}, "preset='huge'"),
        ({"attribute": "gender", "devices": 2}, "start several from the shell"),
    ],
)
def test_wrong_options_by_name_are_named(values: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        train(**values)


def test_a_training_from_python_leaves_what_the_command_leaves(patterns: Path, tmp_path: Path) -> None:
    folder = patterns.parent
    common = {"train_list": patterns, "train_source": folder, "val_list": patterns, "val_source": folder}
    small = {"epochs": 1, "depth": 18, "width": 0.125, "batch_size": 20, "workers": 0, "validations": 1}
    trained = train(attribute="gender", output=tmp_path / "run", **common, **small)
    assert trained.folder == tmp_path / "run"
    there = {str(path.relative_to(trained.folder)) for path in trained.folder.rglob("*") if path.is_file()}
    assert {"config.yaml", "metrics.csv", "model.safetensors", "validation/metrics.json"} <= there
    assert trained.model.is_file()
    assert "gender" in trained.summary
    assert trained.evaluation.title == "60 images"
