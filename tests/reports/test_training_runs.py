from __future__ import annotations

import csv
from pathlib import Path

import pytest

from face_analysis.cli.main import main
from face_analysis.errors import FaceAnalysisError, ListFormatError, MissingFileError, PackedFileError
from face_analysis.reports.runs.training_runs import read_runs
from tests.reports.run_folders import write_run


@pytest.mark.slow
def test_a_run_that_train_wrote_is_read_as_it_was_logged(patterns: Path, tmp_path: Path) -> None:
    lines = patterns.read_text().splitlines()[:12]
    few = tmp_path / "few.txt"
    few.write_text("".join(f"{patterns.parent}/{line}\n" for line in lines))
    told = f"train -a gender -t {few} -v {few} -o {tmp_path}/run -d 18 --width 0.125 -b 6"
    told += " --embedding_size 16 -e 2 --validations 1 -w 0 --seed 5 --precision 32-true"
    assert main(told.split()) == 0
    (run,) = read_runs([tmp_path / "run"])
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert run.finished
    assert (run.name, run.done, run.settings["seed"], run.settings["depth"]) == ("run", 2, 5, 18)
    for name in ("train_loss", "learning_rate", "val_gender_accuracy"):
        logged = {int(row["step"]): float(row[name]) for row in rows if row[name]}
        assert logged
        assert run.curves[name] == logged
    scores = [(float(row["val_score"]), -int(row["step"])) for row in rows if row["val_score"]]
    assert len(scores) == 2
    assert run.best == -max(scores)[1]


def test_a_step_that_was_taken_again_after_a_resume_counts_as_it_was_logged_last(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", (0.5, 0.6))
    header, *rows = (folder / "metrics.csv").read_text().splitlines()
    again = rows[5].replace("0.1", "0.025", 1)
    (folder / "metrics.csv").write_text("\n".join([header, *rows, again, *rows[6:]]) + "\n")
    (run,) = read_runs([folder])
    assert list(run.curves["learning_rate"].items()) == [
        (step, 0.025 if step == 4 else 0.1) for step in range(8)
    ]


@pytest.mark.parametrize(
    ("epochs", "model", "early_stop", "finished"),
    [(3, True, False, True), (3, False, False, False), (4, True, False, False), (4, True, True, True)],
)
def test_a_run_is_finished_by_its_model_and_its_last_epoch_or_an_early_stop(
    epochs: int, model: bool, early_stop: bool, finished: bool, tmp_path: Path
) -> None:
    """A finished run that is resumed for more epochs has its old model until it ends again."""
    folder = write_run(
        tmp_path / "run", (0.5, 0.7, 0.6), epochs=epochs, finished=model, early_stop=early_stop
    )
    (run,) = read_runs([folder])
    assert run.finished is finished
    assert (run.best, run.last, run.done) == (7, 11, 3)


def test_where_only_the_logs_of_a_run_were_kept_they_tell_its_end(tmp_path: Path) -> None:
    whole = write_run(tmp_path / "whole", (0.5, 0.6), epochs=2, finished=False)
    part = write_run(tmp_path / "part", (0.5, 0.6), epochs=3, finished=False)
    for folder in (whole, part):
        (folder / "checkpoints").rmdir()
    assert [run.finished for run in read_runs([whole, part])] == [True, False]


def test_a_line_that_is_being_written_is_left_to_the_next_report(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", (0.5,))
    with (folder / "metrics.csv").open("a") as file:
        file.write("1,4,0.0")
    (run,) = read_runs([folder])
    assert max(run.epochs) == 3


def test_a_run_without_a_logged_step_has_no_best(tmp_path: Path) -> None:
    (run,) = read_runs([write_run(tmp_path / "run", (), finished=False)])
    assert (run.best, run.last, run.done, run.curves) == (None, None, 0, {})


def test_options_that_a_run_was_not_told_have_their_defaults(tmp_path: Path) -> None:
    told, untold = read_runs(
        [write_run(tmp_path / "told", (0.5,), momentum=0.9), write_run(tmp_path / "untold", (0.5,))]
    )
    assert told.settings == untold.settings
    assert "output" not in told.settings


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / name / "run", (0.5,)) for name in ("may", "march")]
    assert [run.name for run in read_runs(folders)] == ["may/run", "march/run"]


DAMAGES: list[tuple[str, str | None, type[FaceAnalysisError], str]] = [
    ("metrics.csv", None, MissingFileError, r"metrics\.csv"),
    ("config.yaml", None, MissingFileError, r"config\.yaml"),
    ("config.yaml", "folders: [a]\n", PackedFileError, "no attribute|attribute"),
    ("config.yaml", "attribute: [age]\nbatch_size: many\n", PackedFileError, r"config\.yaml"),
    ("config.yaml", "{", PackedFileError, r"config\.yaml"),
    ("metrics.csv", "a,b\n1,2\n", ListFormatError, r"metrics\.csv:1: .*`epoch` and `step`"),
    ("metrics.csv", "epoch,step,x\n0,0,1\n0,1,much\n", ListFormatError, r"metrics\.csv:3: .*much"),
    ("metrics.csv", "epoch,step,../x\n0,0,1\n", ListFormatError, r"metrics\.csv:1: .*name"),
    ("metrics.csv", "epoch,step,x\n0,0\n", ListFormatError, r"metrics\.csv:2: "),
    ("metrics.csv", "epoch,step,x\n0,0,1,2\n", ListFormatError, r"metrics\.csv:2: "),
]


@pytest.mark.parametrize(("name", "content", "error", "words"), DAMAGES)
def test_a_damaged_run_folder_is_named_with_its_file_and_line(
    name: str, content: str | None, error: type[FaceAnalysisError], words: str, tmp_path: Path
) -> None:
    folder = write_run(tmp_path / "run", (0.5,))
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    with pytest.raises(error, match=words):
        read_runs([folder])
