from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from face_analysis.evaluation.calibration import reliability
from face_analysis.evaluation.intervals import Estimate
from face_analysis.evaluation.score_histogram import BINS, ScoreHistogram
from face_analysis.evaluation.verification_by_group import Rates, demographic_report
from face_analysis.reports.attributes.calibration import reliability_figure
from face_analysis.reports.attributes.figures import age_figure
from face_analysis.reports.identification import cmc_figure
from face_analysis.reports.matches.score_figures import group_score_figure, score_figure
from face_analysis.reports.rate_figures import heat_figure
from face_analysis.reports.runs.comparison import compare
from face_analysis.reports.runs.figures import curve_figure
from face_analysis.reports.runs.training_runs import read_runs
from tests.reports.run_folders import write_run


def histogram(mated: list[int], non_mated: list[int]) -> ScoreHistogram:
    counts = (np.bincount(bins, minlength=BINS) for bins in (np.array(mated, int), np.array(non_mated, int)))
    return ScoreHistogram(*counts)


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize("threshold", [-0.4, 0.5, 1.0001])
@pytest.mark.parametrize("bins", [[19_999], [0], [10_000]])
def test_scores_of_one_value_and_any_threshold_are_inside_the_figure(
    bins: list[int], threshold: float
) -> None:
    figure = score_figure(histogram(bins, bins * 3), threshold)
    left, right = figure.axes[0].get_xlim()
    score = bins[0] / 10_000 - 1
    assert left < min(score, threshold) <= max(score, threshold) < right
    assert legend(figure) == ["mated (n = 1)", "non-mated (n = 3)", f"threshold {threshold:.4f}"]


def test_scores_without_a_threshold_have_no_line_of_one() -> None:
    assert legend(score_figure(histogram([9_000, 9_100], []), None)) == ["mated (n = 2)"]


def test_a_group_without_pairs_says_so_and_the_legend_knows_every_kind() -> None:
    groups = {"a": histogram([], [5]), "b": histogram([9], []), "c": histogram([], [])}
    figure = group_score_figure(groups, 0.5)
    assert [axes.get_title(loc="left").split(":")[0] for axes in figure.axes] == ["a", "b", "c"]
    assert ["no pairs" in [text.get_text() for text in axes.texts] for axes in figure.axes] == [0, 0, 1]
    assert set(legend(figure)) == {"mated", "non-mated", "threshold 0.5000"}


@pytest.mark.parametrize("top", [0.5, 0.8, 0.99])
def test_a_reliability_diagram_of_one_bin_shows_its_dot_and_its_number(top: float) -> None:
    found = reliability(np.tile([top, 1 - top], (12, 1)), np.zeros(12, np.int64))
    diagram, bars = reliability_figure({"gender": found}).axes
    left, right = diagram.get_xlim()
    (text,) = bars.texts
    (bar,) = bars.patches
    assert text.get_text() == "12"
    assert left < bar.get_x() < text.xy[0] < bar.get_x() + bar.get_width() < right
    assert left < 100 * top < right


def test_few_ages_are_marks_that_can_be_seen() -> None:
    ages = np.array([30, 41])
    marks = [line for line in age_figure(ages, ages + 2.0).axes[0].lines if line.get_marker() == "o"]
    assert [mark.get_xydata().tolist() for mark in marks] == [[[30, 32], [41, 43]]]


def test_an_identification_rate_of_one_rank_has_its_interval() -> None:
    axes = cmc_figure([Estimate(0.75, 0.3, 0.9, 4)]).axes[0]
    (interval,) = axes.collections[1].get_segments()
    assert interval.tolist() == [[1, 30], [1, 90]]


def test_rates_of_groups_that_are_all_0_have_no_scale_of_colours() -> None:
    none = Rates(Estimate(0.0, 0.0, 0.5, 3), None)
    report = demographic_report(0.5, 0.1, none, {("a", "a"): none, ("b", "b"): none}, {"a": 2, "b": 2})
    figure = heat_figure(report, 24, ordered=False)
    assert (len(figure.axes), [text.get_text() for text in figure.axes[0].texts]) == (1, ["0", "0"])


def test_a_run_that_logged_one_value_has_a_dot_and_values_that_are_none_are_left_out(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", (0.5,))
    log = folder / "metrics.csv"
    header, *rows = log.read_text().splitlines()
    column = header.split(",").index("train_loss")
    cells = [row.split(",") for row in rows]
    for place, row in enumerate(cells):
        row[column] = "1.5" if place == 0 else "nan"
    log.write_text("\n".join([header, *(",".join(row) for row in cells)]) + "\n")
    comparison = compare(read_runs([folder]))
    (run,) = comparison.groups[0].runs
    assert list(run.curves["train_loss"].values()) == [1.5]
    assert curve_figure(comparison, "train_loss").axes[0].lines[0].get_marker() == "o"
