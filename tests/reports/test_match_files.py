from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from face_analysis.cli.main import main
from face_analysis.errors import UsageError
from face_analysis.files import write_csv
from face_analysis.matching.match_files import read_counts
from face_analysis.reports.matches import files as match_files
from face_analysis.reports.matches.files import write_match_report
from face_analysis.reports.matches.report import MatchReport, match_report


@dataclass
class Plain:
    """Every pair of the set with its cosine, by the full matrix."""

    score: NDArray[np.float64]
    mated: NDArray[np.bool_]
    races: NDArray[np.int64]


@pytest.fixture(scope="module")
def plain(matched: Path) -> Plain:
    features = np.load(matched / "set" / "embeddings.npy").astype(np.float64)
    with (matched / "set" / "index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    subject = np.array([row["subject"] for row in rows])
    race = np.array([int(row["race"]) for row in rows])
    one, other = np.triu_indices(len(rows), 1)
    scores = (features @ features.T)[one, other]
    races = np.sort(np.stack([race[one], race[other]]), axis=0)
    return Plain(scores, subject[one] == subject[other], races)


@pytest.fixture(scope="module")
def report(matched: Path) -> MatchReport:
    return match_report(read_counts(matched / "groups"), 0.01)


@pytest.fixture(scope="module")
def written(report: MatchReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_match_report(report, folder)
    return folder


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_rates_are_those_of_the_full_matrix(written: Path, plain: Plain) -> None:
    told = [row for row in table(written / "rates.csv") if row["supported"] == "True"]
    assert [row["fmr_asked"] for row in told] == ["0.1", "0.01", "0.001", "0.0001"]
    for row in told:
        match = plain.score >= float(row["threshold"])
        assert float(row["fmr"]) == pytest.approx(match[~plain.mated].mean(), rel=1e-5)
        assert float(row["fnmr"]) == pytest.approx(1 - match[plain.mated].mean(), abs=1e-9)
    last = told[1]
    assert float(last["fmr_low"]) < float(last["fmr"]) <= 0.01 < float(last["fmr_high"])
    assert (int(last["fmr_pairs"]), int(last["fnmr_pairs"])) == ((~plain.mated).sum(), plain.mated.sum())


def test_rates_of_groups_are_those_of_the_full_matrix_at_one_threshold(
    written: Path, report: MatchReport, plain: Plain
) -> None:
    codes = {"caucasian": 0, "african-american": 1, "unknown": -1}
    people = {"caucasian": 70, "african-american": 70, "unknown": 10}
    rows = table(written / "group_rates.csv")
    assert len(rows) == 6
    match = plain.score >= report.chosen.threshold
    for row in rows:
        names = row["first"], row["second"]
        first, second = sorted(codes[name] for name in names)
        here = (plain.races[0] == first) & (plain.races[1] == second) & ~plain.mated
        assert int(row["fmr_pairs"]) == here.sum()
        assert float(row["fmr"]) == pytest.approx(match[here].mean(), rel=1e-3)
        assert int(row["people"]) == min(people[name] for name in names)
        assert (row["fnmr"] == "") == (names[0] != names[1])  # nobody has images of two groups
    assert report.demographics is not None
    alike = report.demographics.fmr_differential
    assert alike.ratios is not None
    assert alike.ratios["caucasian"] > 1.2 > 1 > alike.ratios["african-american"]


def test_figures_have_what_their_tables_say(written: Path, report: MatchReport, plain: Plain) -> None:
    rows = table(written / "scores.csv")
    for kind, wanted in (("mated", plain.mated), ("non_mated", ~plain.mated)):
        counts = {round(float(row["from"]), 2): int(row[kind]) for row in rows if row["group"] == "all"}
        expected = np.histogram(plain.score[wanted], np.linspace(-1, 1, 201))[0]
        assert [counts.get(round(-1 + step / 100, 2), 0) for step in range(200)] == expected.tolist()
    assert set(report.curves) == {"all", "caucasian", "african-american"}
    points = [row for row in table(written / "det.csv") if row["group"] == "all"]
    for row in points[:: len(points) // 20]:
        match = plain.score >= float(row["threshold"])
        assert float(row["fmr"]) == pytest.approx(match[~plain.mated].mean(), rel=2e-3, abs=2e-5)
        assert float(row["fnmr"]) == pytest.approx(1 - match[plain.mated].mean(), rel=2e-3, abs=2e-5)


@pytest.mark.parametrize("name", ["scores", "scores_log", "det", "group_scores", "group_fmr"])
def test_figures_are_drawn(written: Path, name: str) -> None:
    with Image.open(written / f"{name}.png") as picture:
        assert min(picture.size) > 400
        assert len(picture.convert("RGB").getcolors(2**20) or ()) > 20


def test_a_match_without_groups_has_no_figures_of_them(matched: Path, tmp_path: Path) -> None:
    report = match_report(read_counts(matched / "plain"), 0.01)
    assert report.demographics is None
    (tmp_path / "group_rates.csv").write_text("of an earlier report")
    assert set(write_match_report(report, tmp_path)) == {"scores", "scores_log", "det"}
    assert not (tmp_path / "group_rates.csv").exists()


@pytest.mark.parametrize("most", [24, 1])
def test_probes_and_gallery_may_have_other_groups_and_more_than_are_drawn(
    matched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(match_files, "MOST_GROUPS", most)
    sides = [tmp_path / "probes", tmp_path / "gallery"]
    for side, kept in zip(sides, ({"0"}, {"1", "-1"}), strict=True):
        with (matched / "set" / "index.csv").open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["race"] in kept or row["subject"] == "p0"]
        side.mkdir()
        np.save(
            side / "embeddings.npy",
            np.load(matched / "set" / "embeddings.npy")[[int(row["row"]) for row in rows]],
        )
        told = (
            (number, side.name + row["path"], row["subject"], min(kept)) for number, row in enumerate(rows)
        )
        write_csv(side / "index.csv", ("row", "path", "subject", "race"), told)
    match = ["match", *map(str, sides), "--group", "race", "--fmr", "0.01", "-o", str(tmp_path / "match")]
    assert main(match) == 0
    report = match_report(read_counts(tmp_path / "match"), 0.01)
    assert report.ordered
    assert set(report.histograms) == {"all"}  # no group is on both sides
    assert "group_fmr" in write_match_report(report, tmp_path / "report")
    assert main(["report", str(tmp_path / "match"), "-d", str(tmp_path / "report"), "--overwrite"]) == 0
    (row,) = table(tmp_path / "report" / "group_rates.csv")
    assert (row["first"], row["second"], row["people"]) == ("caucasian", "unknown", "70")


def test_the_demographics_are_plain_json(written: Path) -> None:
    found = json.loads((written / "demographics.json").read_text())
    assert {(pair["first"], pair["second"]) for pair in found["pairs"]} >= {("caucasian", "caucasian")}
    assert found["fmr_differential"]["max_to_min"] > 1


def test_a_rate_at_which_errors_are_not_known_by_person_is_refused(matched: Path) -> None:
    with pytest.raises(UsageError, match="run match again"):
        match_report(read_counts(matched / "groups"), 0.5)
