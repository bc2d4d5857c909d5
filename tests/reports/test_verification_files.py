from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from face_analysis.evaluation.verification import VerificationReport, verify_pairs
from face_analysis.reports.verification.files import (
    LONGEST_CURVE,
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
