from __future__ import annotations

from pathlib import Path

from face_analysis.training.saving.metrics_log import MetricsLog


def test_rows_of_steps_to_be_taken_again_and_a_row_cut_short_are_dropped(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.csv", ("loss",))
    for step in range(6):
        log.log_metrics({"epoch": 0, "loss": step / 4}, step)
    with log.path.open("a") as file:
        file.write("0,1")
    log.cut(3)
    log.log_metrics({"epoch": 1, "loss": 9}, 3)
    assert log.path.read_text() == "epoch,step,loss\n0,0,0\n0,1,0.25\n0,2,0.5\n1,3,9\n"


def test_a_log_without_a_whole_line_begins_anew(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.csv", ("loss",))
    log.path.write_text("epoch,st")
    log.cut(0)
    log.log_metrics({"epoch": 0, "loss": 2}, 0)
    assert log.path.read_text() == "epoch,step,loss\n0,0,2\n"
