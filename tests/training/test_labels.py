"""Heads and classes without labels: refused, or named before the first step, and never measured."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from face_analysis.errors import EmptyDataError
from face_analysis.reports.attributes.report import overall_table, write_report
from face_analysis.training.finish import finish_attributes
from face_analysis.training.options import TrainOptions
from face_analysis.training.plan import plan_of
from face_analysis.training.run import train
from face_analysis.training.tasks import attributes
from tests.training.runs import column, rows

MakeOptions = Callable[..., TrainOptions]
Relabel = Callable[..., Path]


@pytest.fixture
def relabel(few: Path, tmp_path: Path) -> Relabel:
    """Writes `few`, or some rows of it, with other labels: a value a column, or a function of the row."""

    def write(name: str, *, of: slice = slice(None), **columns: object) -> Path:
        lines = []
        for row, line in enumerate(few.read_text().splitlines()[of]):
            path, *labels = line.split(" ")
            named = dict(zip(("race", "gender", "age"), labels, strict=True))
            for column_name, value in columns.items():
                named[column_name] = str(value(row) if callable(value) else value)
            lines.append(" ".join([path, *named.values()]))
        (tmp_path / name).write_text("\n".join(lines) + "\n")
        return tmp_path / name

    return write


def told(options: TrainOptions, caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings before the first step."""
    caplog.set_level(logging.WARNING)
    plan_of(options)
    return [record.message for record in caplog.records]


@pytest.mark.parametrize("name", ["race", "gender", "age"])
def test_a_head_that_no_training_image_has_a_label_of_is_refused(
    options: MakeOptions, relabel: Relabel, name: str
) -> None:
    with pytest.raises(EmptyDataError, match=rf"t\.txt: no image has a known {name}"):
        plan_of(options(train_list=relabel("t.txt", **{name: -1})))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"gender": 1}, "no image of gender female in "),
        ({"gender": 0}, "every known gender in .* is female: this head has nothing to tell apart"),
        ({"race": lambda row: (0, 1, 2, 4)[row % 4]}, "no image of race indian in "),
        ({"race": lambda row: row % 2}, "no image of race asian, indian, other in "),
        ({"age": 30}, "every known age in .* is 30"),
        ({"age": lambda row: 20 + row}, r"no image of age 0-9, 10-19, 50-59, 60-69, 70\+ in "),
        ({"age": lambda row: -1 if row else 41}, "every known age in .* is 41"),
    ],
)
def test_what_no_training_image_shows_is_named(
    options: MakeOptions,
    relabel: Relabel,
    caplog: pytest.LogCaptureFixture,
    labels: dict[str, object],
    message: str,
) -> None:
    given = relabel("t.txt", **labels)
    caplog.set_level(logging.WARNING)
    plan_of(options(train_list=given))
    assert any(re.search(message, r.message) for r in caplog.records if "t.txt" in r.message)


def test_a_validation_of_one_class_is_named(
    options: MakeOptions, relabel: Relabel, caplog: pytest.LogCaptureFixture
) -> None:
    warnings = told(options(val_list=(str(relabel("v.txt", gender=1, of=slice(1))),)), caplog)
    about = [text for text in warnings if "v.txt" in text]
    assert any("every known gender" in text and "male" in text for text in about)
    assert any("no image of gender female" in text for text in about)
    assert any("every known age" in text for text in about)


def test_complete_lists_that_share_no_image_are_not_warned_of(
    options: MakeOptions, relabel: Relabel, caplog: pytest.LogCaptureFixture
) -> None:
    every = {"race": lambda row: row % 5, "gender": lambda row: row % 2, "age": lambda row: 10 * (row % 8)}
    training = relabel("t.txt", of=slice(14), **every)
    validation = relabel("v.txt", of=slice(14, None), **every)
    assert told(options(train_list=training, val_list=(str(validation),)), caplog) == []


@pytest.mark.parametrize(("first", "shared"), [(0, 10), (12, 8), (19, 1)])
def test_images_of_both_sides_are_counted(
    options: MakeOptions, relabel: Relabel, caplog: pytest.LogCaptureFixture, first: int, shared: int
) -> None:
    training = relabel("t.txt", of=slice(20))
    validation = relabel("v.txt", of=slice(first, first + 10))
    validation.write_text(validation.read_text().replace("/patterns/", "/./patterns/"))
    count = len(validation.read_text().splitlines())
    warnings = told(options(train_list=training, val_list=(str(validation),)), caplog)
    assert any(f"{shared} of the {count} validation images are training images too" in w for w in warnings)


def test_one_training_image_is_refused(options: MakeOptions, relabel: Relabel) -> None:
    with pytest.raises(EmptyDataError, match="only one image"):
        plan_of(options(train_list=relabel("t.txt", of=slice(1))))


@pytest.mark.parametrize(
    ("unknown", "measured"),
    [
        (("race",), ("val_gender_accuracy", "val_age_mae")),
        (("age",), ("val_race_accuracy", "val_gender_accuracy")),
        (("race", "age"), ("val_gender_accuracy",)),
    ],
)
def test_a_head_without_a_validation_label_has_no_measure_and_no_part_in_the_score(
    options: MakeOptions,
    relabel: Relabel,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    unknown: tuple[str, ...],
    measured: tuple[str, ...],
) -> None:
    validation = relabel("v.txt", **dict.fromkeys(unknown, -1))
    run = train(options(val_list=(str(validation),), early_stop=True, lr_plateau=True, epochs=1))
    assert all(f"has a known {name}: it is learnt, but has no measure" in caplog.text for name in unknown)
    logged = [row for row in rows(tmp_path / "run") if row["val_score"]][-1]
    names = {"race": "val_race_accuracy", "age": "val_age_mae", "gender": "val_gender_accuracy"}
    assert all(logged[names[name]] == "" for name in unknown)
    parts = [1 - float(logged[n]) / 100 if n == "val_age_mae" else float(logged[n]) for n in measured]
    assert float(logged["val_score"]) == pytest.approx(sum(parts) / len(parts))

    finished = finish_attributes(run)
    write_report(finished.report, finished.labels, finished.predictions, tmp_path / "report")
    figures = json.loads((tmp_path / "report" / "metrics.json").read_text())["attributes"]
    with safe_open(run.folder.weights, "pt") as weights:
        assert json.loads(weights.metadata()["card"])["metrics"]["attributes"] == figures
    for name in unknown:
        overall = figures[name]["overall"]
        assert (overall["count"], overall["unknown"]) == (0, 24)
        given = [one for part in ("measures", "recall", "mae_by_decade") for one in overall[part].items()]
        assert {value for one, value in given if not one.endswith("_reason")} <= {None}
        assert {value for one, value in given if one.endswith("_reason")} <= {"no image has a known label"}
        lines = [line for line in overall_table(finished.report).splitlines() if line.startswith(f"| {name}")]
        assert lines
        assert all("| - | 24 |" in line for line in lines)


def test_a_validation_without_a_finite_measure_chooses_and_stops_nothing(
    options: MakeOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected_age, calls = attributes.expected_age, []

    def broken_from_the_third_on(tasks: torch.Tensor) -> torch.Tensor:
        calls.append(0)
        return expected_age(tasks) * (1 if len(calls) < 3 else math.nan)

    monkeypatch.setattr(attributes, "expected_age", broken_from_the_third_on)
    given = options(
        attribute=("age",), batch_size=24, epochs=9, early_stop=True, lr_plateau=True, lr_steps=(99,), lr=0.01
    )
    run = train(given)
    scores = column(tmp_path / "run", "val_score")
    assert len(scores) == 2
    assert len(rows(tmp_path / "run")) >= 9  # no early stop for want of a score
    assert column(tmp_path / "run", "learning_rate") == pytest.approx([0.01] * 9)
    best = torch.load(run.folder.best, weights_only=True)
    assert best["step"] == 1 + scores.index(max(scores))
