from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import binomtest

from face_analysis.evaluation.calibration import measure_intervals, measure_intervals_by_age, reliability
from face_analysis.evaluation.intervals import wilson
from face_analysis.reports.attributes.calibration import (
    FEW,
    coverage_figure,
    reliability_figure,
)


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(0)
    parts = {}
    for name, classes in (("race", 5), ("gender", 2)):
        logits = rng.normal(0, 2, (1500, classes))
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        parts[name] = reliability(shares, rng.integers(-1, classes, 1500))
    return parts


@pytest.fixture(scope="module")
def intervals():
    rng = np.random.default_rng(1)
    ages = rng.integers(-1, 101, 400)
    low, high = ages - rng.uniform(-1, 9, 400), ages + rng.uniform(-1, 9, 400) + 2
    return measure_intervals(low, high, ages), measure_intervals_by_age(low, high, ages)


def test_wilson_interval_is_that_of_scipy():
    right, counts = np.array([0, 1, 3, 50, 99, 7]), np.array([1, 1, 10, 100, 100, 7])
    for hits, count in zip(right.tolist(), counts.tolist(), strict=True):
        expected = binomtest(hits, count).proportion_ci(0.95, method="wilson")
        assert wilson(hits / count, count) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_reliability_figure_puts_every_filled_bin_at_its_confidence_and_accuracy(found):
    figure = reliability_figure(found)
    for axes, bins in zip(figure.axes[:2], found.values(), strict=True):
        filled = bins.count > 0
        drawn = []
        for container, rows in zip(axes.containers, (bins.count >= FEW, bins.count < FEW), strict=True):
            dots, _, (bars,) = container
            drawn += list(zip(dots.get_xdata(), dots.get_ydata(), strict=True))
            ends = [[segment[0][1], segment[1][1]] for segment in bars.get_segments()]
            chosen = filled & rows
            cells = zip(bins.accuracy[chosen], bins.count[chosen], strict=True)
            expected = np.array([wilson(rate, count) for rate, count in cells]).reshape(-1, 2)
            np.testing.assert_allclose(ends or np.empty((0, 2)), 100 * expected, atol=1e-9)
        expected = np.stack([100 * bins.confidence[filled], 100 * bins.accuracy[filled]], -1)
        np.testing.assert_allclose(sorted(drawn), expected)
        assert f"n = {bins.count.sum()}" in axes.get_title()
        assert f"error {100 * bins.error:.1f} %" in axes.get_title()


def test_reliability_figure_writes_the_images_of_every_filled_bin(found):
    for axes, bins in zip(reliability_figure(found).axes[2:], found.values(), strict=True):
        heights = [patch.get_height() for patch in axes.patches]
        assert heights == [count for count in bins.count.tolist() if count]
        assert [int(text.get_text()) for text in axes.texts] == heights


def test_coverage_figure_shows_each_band_and_all_with_its_interval_and_count(intervals):
    overall, bands = intervals
    top, bottom = coverage_figure(overall, bands, 0.9).axes
    assert top.lines[0].get_ydata() == pytest.approx([90, 90])
    everything = [*bands.values(), overall]
    for axes, name, scale in ((top, "coverage", 100), (bottom, "width", 1)):
        for container, measures in zip(axes.containers, everything, strict=True):
            dots, _, (bars,) = container
            estimate = measures[name]
            assert dots.get_ydata()[0] == pytest.approx(scale * estimate.value)
            ends = bars.get_segments()[0][:, 1]
            np.testing.assert_allclose(ends, [scale * estimate.low, scale * estimate.high])
            assert axes.get_ylim()[0] <= ends[0] <= ends[1] <= axes.get_ylim()[1]
    shown = [label.get_text().split("\n") for label in bottom.get_xticklabels()]
    names = [*bands, "all"]
    assert shown == [
        [name, "n =", str(measures["coverage"].count)]
        for name, measures in zip(names, everything, strict=True)
    ]


@pytest.mark.parametrize(("label", "share"), [(0, 1.0), (1, 1.0), (0, 0.5)])
def test_a_single_image_can_be_drawn(label, share):
    bins = reliability(np.array([[share, 1 - share]]), np.array([label]))
    reliability_figure({"gender": bins}).draw_without_rendering()
    ends = np.array([10.0]), np.array([10.0]), np.array([10])
    coverage_figure(measure_intervals(*ends), measure_intervals_by_age(*ends), 0.95).draw_without_rendering()


def drawn_texts(axes):
    """Every text but the labels of ticks that lie outside the view: matplotlib keeps some, undrawn."""
    texts = [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        texts += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [text for text in texts if text.get_text() and text.get_visible()]


def test_no_two_texts_of_a_figure_overlap(found, intervals):
    for figure in (reliability_figure(found), coverage_figure(*intervals, 0.9)):
        figure.draw_without_rendering()
        texts = [text for axes in figure.axes for text in drawn_texts(axes)]
        assert len(texts) > 20
        boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
        for index, (first, box) in enumerate(boxes):
            for second, other in boxes[index + 1 :]:
                assert not box.overlaps(other), (first, second)


def test_importing_the_figures_does_not_import_matplotlib():
    module = "face_analysis.reports.attributes.calibration"
    code = f"import sys, {module}; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
