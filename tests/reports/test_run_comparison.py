from __future__ import annotations

from pathlib import Path

from face_analysis.reports.runs.comparison import RunComparison, compare
from face_analysis.reports.runs.figures import curve_figure
from face_analysis.reports.runs.report import (
    group_table,
    measure_table,
    settings_table,
    summary,
    values_table,
)
from face_analysis.reports.runs.training_runs import read_runs
from tests.reports.run_folders import write_folder, write_run


def attribute_run(folder: Path) -> Path:
    """A finished run of age, of one epoch."""
    rows = [
        {"epoch": 0, "step": 0, "train_loss": 30.0, "train_loss_age": 30.0},
        {"epoch": 0, "step": 0, "val_score": 0.9, "val_age_mae": 10.0},
    ]
    columns = ("train_loss", "train_loss_age", "val_score", "val_age_mae")
    return write_folder(folder, {"attribute": ["age"], "epochs": 1, "seed": 0}, columns, rows, finished=True)


def test_runs_that_differ_by_their_seed_alone_are_one_group(comparison: RunComparison) -> None:
    labels = {group.label: [run.name for run in group.runs] for group in comparison.groups}
    assert labels == {
        "head arcface (3 runs)": ["arcface_0", "arcface_1", "arcface_2"],
        "head cosface (2 runs)": ["cosface_0", "cosface_1"],
    }
    assert comparison.differing == ("head",)
    shared = len(comparison.shared)
    assert comparison.shared["batch_size"] == 10
    assert "seed" not in comparison.shared
    assert f"5 runs with 2 choices of head and different seeds. All 5 share the other {shared} " in summary(
        comparison
    )


def test_a_long_label_names_what_tells_groups_apart(tmp_path: Path) -> None:
    """Here the list does: the licence is longer, and says no more."""
    runs = [
        write_run(tmp_path / name, (0.5,), train_list=f"/data/lists/{name}.csv", model_licence=name * 40)
        for name in ("first", "second")
    ]
    found = compare(read_runs(runs))
    assert [group.label for group in found.groups] == ["train_list first.csv", "train_list second.csv"]
    assert found.differing == ("train_list", "model_licence")


def test_the_tables_tell_settings_ends_and_measures(comparison: RunComparison) -> None:
    settings = settings_table(comparison)
    assert settings.heads == ("run", "head", "seed", "trained")
    assert settings.rows[1:4] == [
        ("arcface_1", "arcface", "1", "3 epochs"),
        ("arcface_2", "arcface", "2", "unfinished, in epoch 2 of 3"),
        ("cosface_0", "cosface", "0", "3 epochs"),
    ]
    measures = measure_table(comparison)
    assert measures.heads == ("run", "best epoch", "Accuracy, a (%)")
    assert [row[1:] for row in measures.rows] == [
        ("2", "71.00 / 70.00"),
        ("3", "74.00 / 74.00"),
        ("2", "69.00 / 69.00"),
        ("3", "66.00 / 66.00"),
        ("2", "70.00 / 62.00"),
    ]


def test_the_mean_of_a_group_is_of_its_finished_runs(comparison: RunComparison) -> None:
    assert group_table(comparison).rows == [
        ("head arcface (3 runs)", "72.50 [71.00, 74.00]", "2 of 3"),
        ("head cosface (2 runs)", "68.00 [66.00, 70.00]", "2 of 2"),
    ]


def test_of_different_tasks_each_has_its_own_measures(folders: list[Path], tmp_path: Path) -> None:
    found = compare(read_runs([folders[0], attribute_run(tmp_path / "age")]))
    measures = measure_table(found)
    assert measures.heads[2:] == ("Accuracy, a (%)", "MAE, age (years)")
    assert [row[2:] for row in measures.rows] == [("71.00 / 70.00", ""), ("", "10.00 / 10.00")]
    (axes,) = curve_figure(found, "val_age_mae").axes
    assert [list(line.get_ydata()) for line in axes.get_lines()] == [[10.0]]


def test_many_differing_settings_are_told_by_value(folders: list[Path], tmp_path: Path) -> None:
    told = {
        "lr": 1.0,
        "momentum": 0.5,
        "depth": 18,
        "width": 0.5,
        "dropout": 0.0,
        "jitter": 1.0,
        "lr_cosine": True,
    }
    found = compare(read_runs([*folders[:2], write_run(tmp_path / "other", (0.5,), **told)]))
    assert settings_table(found).heads == ("run", "seed", "trained")
    table = values_table(found)
    assert table is not None
    assert ("width", "1.0", "arcface_0, arcface_1") in table.rows
    assert ("lr_cosine", "true", "other") in table.rows
    assert len(table.rows) == 2 * len(told) == 2 * len(found.differing)


def test_the_score_is_shown_where_it_is_more_than_a_runs_one_measure(tmp_path: Path) -> None:
    rows = [{"epoch": 0, "step": 5, "val_score": 0.7, "val_a_accuracy": 0.6, "val_b_accuracy": 0.8}]
    columns = ("val_score", "val_a_accuracy", "val_b_accuracy")
    told = {"attribute": ["recognition"], "epochs": 1}
    run = write_folder(tmp_path / "two_sets", told, columns, rows, finished=True)
    assert compare(read_runs([run])).columns == columns
