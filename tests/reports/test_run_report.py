from __future__ import annotations

from pathlib import Path
from statistics import mean

import numpy as np
import pytest

from face_analysis.cli.main import main
from face_analysis.reports.runs.comparison import RunComparison
from face_analysis.reports.runs.figures import curve_figure
from tests.csv_files import rows_of
from tests.reports.browser import assert_shown_whole, needs_chromium
from tests.reports.test_audit import Parsed


@pytest.fixture(scope="module")
def report(folders: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of their report."""
    folder = tmp_path_factory.mktemp("report")
    assert main(["report", *map(str, folders), "-d", str(folder), "--note", "of <two> heads"]) == 0
    return folder


def test_the_csv_of_a_curve_has_what_the_logs_have(report: Path, folders: list[Path]) -> None:
    for name in ("val_a_accuracy", "feature_norm", "learning_rate", "train_loss"):
        logged = [
            (folder.name, row["epoch"], row["step"], 10 * (int(row["step"]) + 1), float(row[name]))
            for folder in folders
            for row in rows_of(folder / "metrics.csv")
            if row[name]
        ]
        written = [
            (row["run"], row["epoch"], row["step"], int(row["images"]), float(row["value"]))
            for row in rows_of(report / f"curve_{name}.csv")
        ]
        assert written == logged
        assert (report / f"curve_{name}.png").read_bytes().startswith(b"\x89PNG")


def test_a_loss_is_smoothed_over_two_neighbours_on_either_side(report: Path) -> None:
    rows = [row for row in rows_of(report / "curve_train_loss.csv") if row["run"] == "cosface_1"]
    values = [float(row["value"]) for row in rows]
    for place, row in enumerate(rows):
        near = [values[other] for other in range(len(values)) if abs(other - place) <= 2]
        assert float(row["smoothed"]) == pytest.approx(mean(near))
    assert "smoothed" not in rows_of(report / "curve_val_a_accuracy.csv")[0]


def test_a_group_is_drawn_as_its_mean_and_band_as_far_as_all_runs_came(comparison: RunComparison) -> None:
    (axes,) = curve_figure(comparison, "val_a_accuracy").axes
    arcface, cosface = (line for line in axes.get_lines() if line.get_linewidth() > 1.5)
    images = np.array([40, 80, 120])
    assert np.array_equal(arcface.get_xdata(), images[:2])
    assert np.allclose(arcface.get_ydata(), [50, 71])
    assert np.array_equal(cosface.get_xdata(), images)
    assert np.allclose(cosface.get_ydata(), [52.5, 67.5, 64])
    bands = [band.get_paths()[0].vertices for band in axes.collections]
    assert [(band[:, 1].min(), band[:, 1].max()) for band in bands] == [
        (pytest.approx(40), pytest.approx(73)),
        (pytest.approx(50), pytest.approx(70)),
    ]
    assert arcface.get_color() != cosface.get_color()
    assert arcface.get_linestyle() != cosface.get_linestyle()


def test_beyond_the_end_of_an_unfinished_run_the_others_go_on_singly(comparison: RunComparison) -> None:
    (axes,) = curve_figure(comparison, "val_a_accuracy").axes
    thin = [line for line in axes.get_lines() if line.get_linewidth() == 1]
    assert [list(line.get_ydata()) for line in thin] == [pytest.approx([71, 70]), pytest.approx([73, 74])]
    (cross,) = [line for line in axes.get_lines() if line.get_marker() == "X"]
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (80, pytest.approx(69))


def test_a_row_a_run_is_written(report: Path) -> None:
    rows = rows_of(report / "runs.csv")
    assert [row["best_val_a_accuracy"] for row in rows] == ["0.71", "0.74", "0.69", "0.66", "0.7"]
    assert [row["last_val_a_accuracy"] for row in rows] == ["0.7", "0.74", "0.69", "0.66", "0.62"]
    assert [row["finished"] for row in rows] == ["True", "True", "False", "True", "True"]
    assert [row["head"] for row in rows] == ["arcface"] * 3 + ["cosface"] * 2


def test_the_page_is_whole_fetches_nothing_and_says_what_is_unfinished(report: Path) -> None:
    parsed = Parsed((report / "report.html").read_text(encoding="utf-8"))
    assert parsed.open == []
    assert not {"script", "link", "iframe"} & {tag for tag, _ in parsed.tags}
    sources = [str(attributes["src"]) for tag, attributes in parsed.tags if tag == "img"]
    assert len(sources) == len(list(report.glob("curve_*.png"))) == 6
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    for words in ("of <two> heads", "arcface_2: unfinished, in epoch 2 of 3", "head cosface (2 runs)"):
        assert words in parsed.words


@needs_chromium
def test_a_browser_shows_it_whole_on_a_screen_and_on_a_phone(report: Path) -> None:
    assert_shown_whole(report / "report.html", images=6, tables=4)


def test_one_run_has_a_page_too(folders: list[Path], tmp_path: Path) -> None:
    (tmp_path / "curve_val_other.png").write_bytes(b"of an earlier report")
    assert main(["report", str(folders[0]), "-d", str(tmp_path), "--overwrite"]) == 0
    assert "Training run arcface_0" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not (tmp_path / "curve_val_other.png").exists()


def test_what_cannot_be_reported_together_is_refused(
    folders: list[Path], matched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, match, out = str(folders[0]), str(matched / "plain"), str(tmp_path / "out")

    def refused(*words: str) -> str:
        assert main(["report", *words]) == 2
        assert not (tmp_path / "out").exists()
        return capsys.readouterr().err

    assert "`FOLDERS` is missing" in refused("-d", out)
    assert "one match" in refused(run, match, "-d", out)
    assert "one match" in refused(match, match, "-d", out)
    assert "twice" in refused(run, run + "/", "-d", out)
    assert "for a match" in refused(run, "-d", out, "--fmr", "0.01")
    assert "metrics.csv" in refused(run, str(tmp_path), "-d", out)
    assert "choose another" in refused(run, "-d", run)
    assert (folders[0] / "config.yaml").read_text().startswith("attribute")
