from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from face_analysis.datasets.sources import open_source
from face_analysis.errors import ModelMismatchError, UsageError
from face_analysis.images.chips import ChipMaker
from face_analysis.inference.calibrate import calibrate
from face_analysis.losses.age import AGE_LOSSES
from face_analysis.models.weights import load_attributes
from face_analysis.training.finish import finish_attributes
from face_analysis.training.options import TrainOptions
from face_analysis.training.run import train
from face_analysis.zoo.card import AgeLossName

MakeOptions = Callable[..., TrainOptions]


def logged(folder: Path, column: str) -> list[float]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [float(row[column]) for row in csv.DictReader(file) if row[column]]


@pytest.mark.parametrize("age_loss", sorted(AGE_LOSSES))
def test_the_model_says_its_loss_and_predicts_the_ages_that_validation_measured(
    options: MakeOptions, tmp_path: Path, age_loss: AgeLossName
) -> None:
    run = train(options(attribute=("age",), age_loss=age_loss, epochs=1))
    measured = finish_attributes(run).report.attributes["age"].overall.measures["mae"].value
    assert measured == pytest.approx(min(logged(tmp_path / "run", "val_age_mae")), abs=0.01)
    assert load_attributes(run.folder.weights).card.age_loss == age_loss


def test_weighted_tasks_start_at_their_share_of_the_chance_loss(
    options: MakeOptions, few: Path, tmp_path: Path
) -> None:
    train(options(attribute=("age",), age_task_weights=True, epochs=1, lr=1e-9))
    ages = np.array([int(line.split()[-1]) for line in few.read_text().splitlines()])
    larger = [max((ages > k).sum(), (ages <= k).sum()) for k in range(100)]
    expected = math.log(2) * sum(math.sqrt(number / max(larger)) for number in larger)
    assert logged(tmp_path / "run", "train_loss_age")[0] == pytest.approx(expected, rel=0.01)


def test_what_does_not_go_with_an_age_loss_is_refused(options: MakeOptions, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="trains race only"):
        train(options(attribute=("race",), age_loss="coral"))
    with pytest.raises(UsageError, match="only ordinal, pairs, coral, corn have tasks"):
        train(options(age_loss="dex", age_task_weights=True))
    train(options(attribute=("age",), age_loss="corn", epochs=1))
    with pytest.raises(ModelMismatchError, match="run of age_loss corn, not of ordinal"):
        train(options(attribute=("age",), resume=tmp_path / "run"))


def test_pretrained_leaves_out_an_age_head_of_other_outputs(
    options: MakeOptions, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = train(options(attribute=("race", "age"), epochs=1))
    finish_attributes(first)
    given = {"attribute": ("race", "age"), "epochs": 1, "pretrained": first.folder.weights}
    with caplog.at_level("INFO"):
        train(options(**given, age_loss="pairs", output=tmp_path / "next"))
    assert "backbone, race head" in caplog.text
    assert "age head" not in caplog.text


def test_a_distribution_is_calibrated_as_tasks_are_and_one_number_is_not(
    options: MakeOptions, patterns: Path, tmp_path: Path
) -> None:
    source, models = open_source(patterns.parent, patterns), {}
    for age_loss in ("dex", "l1"):
        run = train(options(attribute=("age",), age_loss=age_loss, epochs=1, output=tmp_path / age_loss))
        finish_attributes(run)
        models[age_loss] = load_attributes(run.folder.weights)
    done = calibrate(models["dex"], source, ChipMaker(), workers=1)
    assert done.card.age_loss == "dex"
    assert done.fit.intervals["coverage"].value >= 0.7
    with pytest.raises(UsageError, match="--age_loss l1 is one number"):
        calibrate(models["l1"], source, ChipMaker(), workers=1)
