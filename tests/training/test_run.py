from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from face_analysis.datasets.lists.image_list import read_image_list
from face_analysis.datasets.pack import pack
from face_analysis.datasets.sources import FolderSource
from face_analysis.errors import (
    EmptyDataError,
    ModelMismatchError,
    OutputError,
    UsageError,
)
from face_analysis.models.weights import load_attributes, load_model
from face_analysis.training.finish import finish_attributes
from face_analysis.training.options import TrainOptions
from face_analysis.training.plan import plan_of
from face_analysis.training.run import train
from face_analysis.training.tasks import attributes
from tests.training.runs import column, content, rows, saved_weights

MakeOptions = Callable[..., TrainOptions]


@pytest.mark.usefixtures("full_size")
def test_a_joint_run_leaves_all_its_files_and_a_model_that_loads(
    options: MakeOptions, tmp_path: Path
) -> None:
    run = train(options())
    finish_attributes(run)
    folder = tmp_path / "run"
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["attribute"] == ["race", "gender", "age"]
    assert config["width"] == 0.125
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    assert list((folder / "tensorboard").glob("events.*"))
    loaded = load_attributes(run.folder.weights, ("race", "gender", "age"))
    best = content(folder / "checkpoints" / "best.ckpt")["state_dict"]
    for name, tensor in loaded.network.state_dict().items():
        assert torch.equal(tensor, best[f"network.{name}"])
    assert loaded.card.metrics["attributes"]["age"]["overall"]["count"] == 24


def test_the_first_logged_loss_is_the_chance_loss_of_each_head(options: MakeOptions, tmp_path: Path) -> None:
    train(options(epochs=1, lr=1e-9))
    first = rows(tmp_path / "run")[0]
    assert float(first["train_loss_race"]) == pytest.approx(math.log(5), rel=0.02)
    assert float(first["train_loss_gender"]) == pytest.approx(math.log(2), rel=0.02)
    assert float(first["train_loss_age"]) == pytest.approx(100 * math.log(2), rel=0.02)


def test_logged_validation_measures_equal_those_of_the_saved_model(
    options: MakeOptions, tmp_path: Path
) -> None:
    run = train(options(epochs=3, lr=0.05))
    report = finish_attributes(run).report
    logged = [row for row in rows(tmp_path / "run") if row["val_score"]]
    best = max(logged, key=lambda row: float(row["val_score"]))
    race = report.attributes["race"].overall.measures["accuracy"].value
    age = report.attributes["age"].overall.measures["mae"].value
    assert float(best["val_race_accuracy"]) == pytest.approx(race, abs=0.09)  # bf16 may turn 2 of 24
    assert float(best["val_age_mae"]) == pytest.approx(age, rel=0.02)


@pytest.mark.parametrize("attribute", ["race", "gender", "age"])
def test_one_attribute_trains_from_a_list_and_from_an_lmdb_to_the_same_weights(
    options: MakeOptions, few: Path, tmp_path: Path, attribute: str
) -> None:
    packed = tmp_path / "packed.lmdb"
    pack(FolderSource(read_image_list(few)), packed, attribute)
    train(options(attribute=(attribute,), epochs=1))
    train(
        options(
            attribute=(attribute,),
            epochs=1,
            train_source=packed,
            train_list=None,
            val_source=packed,
            output=tmp_path / "lmdb",
        )
    )
    listed, lmdb = saved_weights(tmp_path / "run"), saved_weights(tmp_path / "lmdb")
    assert all(torch.equal(listed[name], lmdb[name]) for name in listed)


def test_resuming_with_more_epochs_equals_one_long_run(options: MakeOptions, tmp_path: Path) -> None:
    train(options(output=tmp_path / "whole", epochs=3))
    train(options(epochs=1))
    train(options(epochs=3, resume=tmp_path / "run"))
    whole = saved_weights(tmp_path / "whole")
    assert all(torch.equal(tensor, whole[name]) for name, tensor in saved_weights(tmp_path / "run").items())
    assert [row["step"] for row in rows(tmp_path / "run")] == [
        row["step"] for row in rows(tmp_path / "whole")
    ]


def test_a_run_taken_up_in_another_folder_keeps_a_best_network_there(
    options: MakeOptions, tmp_path: Path
) -> None:
    train(options(epochs=1, lr=1e-9, dropout=0.0))
    train(options(epochs=2, lr=1e-9, dropout=0.0, resume=tmp_path / "run", output=tmp_path / "other"))
    folder = tmp_path / "other" / "checkpoints"
    assert sorted(path.name for path in folder.iterdir()) == ["best.ckpt", "last.ckpt"]


def test_resume_from_a_run_of_another_task_is_refused_before_anything_is_written(
    options: MakeOptions, tmp_path: Path
) -> None:
    train(options(attribute=("gender",), epochs=1))
    before = sorted((tmp_path / "run").rglob("*"))
    with pytest.raises(ModelMismatchError, match=r"attributes \['gender'\], not of \['race'\]"):
        train(options(attribute=("race",), resume=tmp_path / "run"))
    with pytest.raises(ModelMismatchError, match="backbone"):
        train(options(attribute=("gender",), width=0.25, resume=tmp_path / "run"))
    assert sorted((tmp_path / "run").rglob("*")) == before


def test_a_damaged_checkpoint_is_refused(options: MakeOptions, tmp_path: Path) -> None:
    train(options(epochs=1))
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:5000])
    with pytest.raises(ModelMismatchError, match="not a whole checkpoint"):
        train(options(resume=tmp_path / "run"))


def test_a_run_folder_in_use_is_not_written_over(options: MakeOptions) -> None:
    train(options(epochs=1))
    with pytest.raises(OutputError, match="not empty"):
        train(options(epochs=1))


@pytest.mark.usefixtures("full_size")
def test_pretrained_starts_from_the_backbone_and_the_heads_that_fit(
    options: MakeOptions, tmp_path: Path
) -> None:
    first = train(options(attribute=("race", "age"), epochs=1))
    finish_attributes(first)
    run = train(
        options(
            attribute=("race", "gender"),
            epochs=1,
            lr=1e-12,
            pretrained=first.folder.weights,
            output=tmp_path / "next",
        )
    )
    before, after = load_model(first.folder.weights).network.state_dict(), run.network.state_dict()
    torch.testing.assert_close(
        after["backbone.body.0.res_layer.1.weight"], before["backbone.body.0.res_layer.1.weight"]
    )
    torch.testing.assert_close(after["heads.race.weight"], before["heads.race.weight"])
    with pytest.raises(ModelMismatchError, match="--width"):
        train(
            options(
                attribute=("race",), width=0.25, pretrained=first.folder.weights, output=tmp_path / "other"
            )
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attribute": ("weight",)}, "--attribute weight"),
        ({"attribute": ("race", "race")}, "at most once"),
        ({"attribute": ("recognition", "age")}, "give recognition alone"),
        ({"loss_weights": (1.0,)}, "--loss_weights"),
        ({"num_classes": 7}, "--num_classes 7"),
        ({"batch_size": 1}, "`--batch_size 1`: must be at least 2"),
        ({"epochs": 0}, "`--epochs 0`: must be at least 1"),
        ({"lr": 0.0}, r"`--lr 0\.0`: must be over 0"),
        ({"lr": -0.1}, r"`--lr -0\.1`: must be over 0"),
        ({"lr": math.nan}, "`--lr nan`: must be over 0 and finite"),
        ({"lr": math.inf}, "`--lr inf`: must be over 0 and finite"),
        ({"head_lr": 0.0}, "--head_lr"),
        ({"momentum": 1.0}, r"`--momentum 1\.0`: must be at least 0 and below 1"),
        ({"weight_decay": -1.0}, "--weight_decay"),
        ({"dropout": 1.0}, r"`--dropout 1\.0`: must be at least 0 and below 1"),
        ({"width": 8.1}, r"`--width 8\.1`: must be over 0 and at most 8"),
        ({"seed": -1}, "`--seed -1`: must be at least 0 and at most 4294967295"),
        ({"validations": 0}, "--validations 0"),
        ({"loss_weights": (0.0, 0.0, 0.0)}, "--loss_weights"),
        ({"batch_size": 6, "accumulate": 6}, "--accumulate 6 of --batch_size 6: parts of one image"),
        ({"jitter": 1.5}, "--jitter 1.5"),
        ({"train_source": None, "train_list": None}, "--train_list"),
        ({"val_source": None, "val_list": ()}, "--val_list"),
        ({"val_list": ("a", "b")}, "one list"),
        ({"depth": 51}, "51"),
    ],
)
@pytest.mark.usefixtures("full_size")
def test_wrong_options_are_named(options: MakeOptions, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        train(options(**changes))


def test_the_plateau_schedule_lowers_the_rate_when_the_score_stands_still(
    options: MakeOptions, tmp_path: Path
) -> None:
    train(options(attribute=("gender",), lr_plateau=True, lr=1e-6, validations=4, epochs=6, dropout=0.0))
    rates = column(tmp_path / "run", "learning_rate")
    assert rates[0] == pytest.approx(1e-6)
    assert rates[-1] <= 1.01e-7


def test_early_stop_ends_a_run_that_does_not_gain(options: MakeOptions, tmp_path: Path) -> None:
    train(options(attribute=("gender",), early_stop=True, lr=1e-9, validations=4, epochs=50))
    validations = [row for row in rows(tmp_path / "run") if row["val_score"]]
    scores = [float(row["val_score"]) for row in validations]
    assert len(scores) - 1 - int(np.argmax(scores)) == 5


def test_loss_weights_belong_to_the_attributes_in_the_order_given(options: MakeOptions) -> None:
    given = options(attribute=("age", "race"), loss_weights=(0.25, 3.0))
    assert attributes.loss_weights(given, ("race", "age")) == {"race": 3.0, "age": 0.25}


def test_a_batch_larger_than_the_set_is_told(
    options: MakeOptions, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    plan = plan_of(options(batch_size=384, validations=5))
    assert "--batch_size 384: there are only 24 images, so an epoch is one step" in caplog.text
    assert "an epoch has 1 steps, with a validation after every 1" in caplog.text
    assert plan.task.epoch_steps == 1


def test_a_list_of_unreadable_images_is_refused_with_the_first_reasons(
    options: MakeOptions, tmp_path: Path
) -> None:
    kinds = {"cut.jpg": b"\xff\xd8\xff", "text.jpg": b"no picture", "empty.png": b""}
    for name, content_ in kinds.items():
        (tmp_path / name).write_bytes(content_)
    listed = tmp_path / "list.txt"
    listed.write_text("".join(f"{tmp_path}/{name} 0 1 30\n" for name in [*kinds, *["gone.jpg"] * 9]))
    with pytest.raises(
        EmptyDataError, match=r"(?s)none of 8 images tried can be read:.*cut\.jpg.*gone"
    ) as told:
        train(options(train_list=listed))
    assert str(told.value).count("; ") >= 3
