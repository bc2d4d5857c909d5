from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from face_analysis.evaluation.verification import VerificationReport, verify_pairs
from face_analysis.reports.rate_figures import det_figure
from face_analysis.reports.verification import (
    LONGEST_CURVE,
    roc_figure,
    thinned,
    verification_tables,
    write_verification,
)


def report(name: str, pairs: int, seed: int) -> VerificationReport:
    rng = np.random.default_rng(seed)
    same = np.arange(pairs) % 2 == 0
    scores = rng.normal(0.2, 0.15, pairs) + 0.5 * same
    folds = np.arange(pairs) // (pairs // 10)
    return verify_pairs(name, scores, same, folds, images=pairs, faces_missed=3)


@pytest.fixture(scope="module")
def reports() -> list[VerificationReport]:
    return [report("lfw", 4000, 0), report("small", 100, 1)]


def test_the_table_tells_rates_only_where_the_pairs_carry_them(reports: list[VerificationReport]) -> None:
    lines = verification_tables(reports).splitlines()
    accuracies = [line for line in lines if line.startswith(("| lfw", "| small"))][:2]
    assert f"{100 * reports[0].accuracy.mean:.2f} +- {100 * reports[0].accuracy.std:.2f}" in accuracies[0]
    assert "| 2000 + 2000 | 3 of 4000 |" in accuracies[0]
    rates = {line.split(" | ")[0]: line for line in lines if line.startswith(("| lfw", "| small"))}
    # 2,000 non-mated pairs carry a FAR of 1e-2, 50 not even 1e-1.
    assert rates["| lfw"].count("too few pairs") == 4
    assert rates["| small"].count("too few pairs") == 6


def test_the_files_hold_what_was_measured(reports: list[VerificationReport], tmp_path: Path) -> None:
    write_verification(reports, tmp_path)
    found = json.loads((tmp_path / "verification.json").read_text())
    assert found["lfw"]["equal_error_rate"] == pytest.approx(reports[0].equal_error_rate)
    assert found["lfw"]["tar_at_far"]["1e-02"]["tar"] == pytest.approx(1 - reports[0].points[1].fnmr)
    assert found["lfw"]["tar_at_far"]["1e-03"] is None
    with (tmp_path / "curves.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["set"] == "small"]
    assert len(rows) == len(reports[1].curve.fmr)
    assert float(rows[7]["fmr"]) == pytest.approx(reports[1].curve.fmr[7], abs=1e-6)
    for name in ("roc.png", "det.png"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 400
            assert len(picture.convert("RGB").getcolors(2**20) or ()) > 20


def drawn(figure: Figure) -> list[NDArray[np.float64]]:
    """The points (P, 2) of each labelled line, which must lie within the axes."""
    (axes,) = figure.axes
    lines = [line for line in axes.lines if not str(line.get_label()).startswith("_")]
    for line in lines:
        points = np.asarray(line.get_xydata(), float)
        assert np.isfinite(points).all()
        for ends, values in ((axes.get_xlim(), points[:, 0]), (axes.get_ylim(), points[:, 1])):
            assert (ends[0] < values.min(), values.max() < ends[1]) == (True, True)
    return [np.asarray(line.get_xydata(), float) for line in lines]


@pytest.mark.parametrize("pairs", [1, 2, 12, 500])
def test_sets_without_any_error_have_curves_at_half_a_pair_inside_their_figures(pairs: int) -> None:
    rng, same = np.random.default_rng(0), np.repeat([True, False], pairs)
    scores = rng.normal(0.1, 0.01, 2 * pairs) + same
    apart = verify_pairs("apart", scores, same, None, images=1)
    (curve,) = drawn(det_figure({"apart": apart.curve}))
    assert curve.min() == pytest.approx(0.5 / pairs)
    assert [0.5 / pairs, 0.5 / pairs] in curve.tolist()
    (curve,) = drawn(roc_figure([apart]))
    assert [0.5 / pairs, 100] in curve.tolist()
    assert "half a pair" in roc_figure([apart]).axes[0].get_xlabel()


def test_figures_that_the_pairs_do_not_tell_are_null_with_a_reason(tmp_path: Path) -> None:
    rng, folds = np.random.default_rng(0), np.arange(40) // 4
    same = np.arange(40) % 2 == 0
    kinds = {
        "mated": (rng.random(40), np.full(40, True), folds),
        "non_mated": (rng.random(40), np.full(40, False), folds),
        "equal": (np.full(40, 0.5, np.float32), same, folds),
        "one_fold": (rng.random(40), same, np.zeros(40, int)),
        "no_folds": (rng.random(40), same, None),
        "never": (rng.random(40) * np.where(np.arange(40) == 5, 0, 1), np.arange(40) == 5, folds),
    }
    reports = [verify_pairs(name, *given, images=80) for name, given in kinds.items()]
    for name in ("roc.png", "det.png"):
        (tmp_path / name).write_text("of an earlier run")
    write_verification(reports[:2], tmp_path, 0.5)
    assert not list(tmp_path.glob("*.png"))
    write_verification(reports, tmp_path, 0.5)
    found = json.loads((tmp_path / "verification.json").read_text(), parse_constant=pytest.fail)
    reasons = {
        ("mated", "equal_error_rate"): "no non-mated pairs",
        ("mated", "d_prime"): "no non-mated pairs",
        ("mated", "accuracy"): "no non-mated pairs",
        ("non_mated", "equal_error_rate"): "no mated pairs",
        ("equal", "d_prime"): "the scores do not spread",
        ("one_fold", "accuracy"): "one fold: a threshold is chosen on others",
        ("no_folds", "accuracy"): "no folds",
    }
    for (name, figure), reason in reasons.items():
        assert (found[name][figure], found[name][f"{figure}_reason"]) == (None, reason)
    assert found["mated"]["at_threshold"]["fmr_reason"] == "no non-mated pairs"
    assert found["equal"]["equal_error_rate"] == found["equal"]["accuracy"] == 0.5
    assert None in found["never"]["fold_thresholds"]
    assert found["never"]["fold_thresholds_reason"]
    text = (tmp_path / "verification.md").read_text()
    assert ("- (the scores do not spread)" in text, "nan" in text, "inf " in text) == (True, False, False)
    with (tmp_path / "curves.csv").open(newline="") as file:
        assert {row["fmr"] for row in csv.DictReader(file) if row["set"] == "mated"} == {""}


def test_a_long_curve_is_thinned_where_no_rate_is_lost() -> None:
    rng = np.random.default_rng(2)
    same = np.arange(400_000) < 4_000
    scores = rng.normal(0.2, 0.15, same.size) + 0.5 * same
    curve = verify_pairs("large", scores, same, None, images=1).curve
    small = thinned(curve)
    assert 1_000 < len(small.thresholds) <= LONGEST_CURVE
    for threshold, fmr, fnmr in list(zip(small.thresholds, small.fmr, small.fnmr, strict=True))[::997]:
        assert fmr == pytest.approx(np.mean(scores[~same] >= threshold))
        assert fnmr == pytest.approx(np.mean(scores[same] < threshold))
    for rate in (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.5):
        whole, thin = (float(one.fnmr[one.fmr <= rate][0]) for one in (curve, small))
        assert thin == pytest.approx(whole, abs=1e-3)
    assert thinned(small) is small
