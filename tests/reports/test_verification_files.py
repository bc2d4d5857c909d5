from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from face_analysis.evaluation.verification import VerificationReport, verify_pairs
from face_analysis.reports.verification_files import verification_tables, write_verification


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
