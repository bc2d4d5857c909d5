from __future__ import annotations

from pathlib import Path

from face_analysis.training.metrics import MetricsLog
from face_analysis.training.saving.run_folder import RunFolder


def test_rows_of_steps_to_be_taken_again_and_a_row_cut_short_are_dropped(tmp_path: Path) -> None:
    with MetricsLog(RunFolder(tmp_path), ("loss",), 0) as log:
        for step in range(6):
            log.write(0, step, {"loss": step / 4})
    with log.path.open("a") as file:
        file.write("0,1")
    with MetricsLog(RunFolder(tmp_path), ("loss",), 3) as log:
        log.write(1, 3, {"loss": 9})
    assert log.path.read_text() == "epoch,step,loss\n0,0,0\n0,1,0.25\n0,2,0.5\n1,3,9\n"


def test_a_log_without_a_whole_line_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("epoch,st")
    with MetricsLog(RunFolder(tmp_path), ("loss",), 0) as log:
        log.write(0, 0, {"loss": 2})
    assert log.path.read_text() == "epoch,step,loss\n0,0,2\n"
