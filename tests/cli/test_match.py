from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from face_analysis.evaluation.error_rates import at_fmr, equal_error_rate, rates_curve
from tests.cli.conftest import Run
from tests.cli.killed_runs import STOPS, stopped_when, tree
from tests.csv_files import rows_of
from tests.matching.feature_sets import SIZE, AllPairs, People, all_pairs, people, write_set


@pytest.fixture(scope="module")
def one() -> People:
    return people(1500, seed=5)


@pytest.fixture(scope="module")
def expected(one: People) -> AllPairs:
    return all_pairs(one)


@pytest.fixture(scope="module")
def probes(one: People, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return one.write(tmp_path_factory.mktemp("sets") / "probes")


def test_match_tells_the_rates_of_all_scores_to_the_width_of_a_bin(
    run: Run, probes: Path, expected: AllPairs, tmp_path: Path
) -> None:
    status, out, _ = run(f"match {probes} -o {tmp_path} --fmr 1e-3 --group country")
    assert status == 0
    scores = expected.product / SIZE
    curve = rates_curve(scores[expected.mated], scores[~expected.mated])
    point = at_fmr(curve, 1e-3)
    card = json.loads((tmp_path / "threshold.json").read_text())
    assert point.threshold - 2 / SIZE <= card["threshold"] <= point.threshold + 1e-4
    assert (card["fmr"], card["fnmr"]) == pytest.approx((point.fmr, point.fnmr))
    for rate in ("fmr", "fnmr"):
        interval = card[f"{rate}_interval"]
        assert interval["low"] < interval["value"] < interval["high"]
        assert interval["value"] == pytest.approx(card[rate])
    assert f"EER {100 * equal_error_rate(curve):.2f} %" in out
    about = json.loads((tmp_path / "match.json").read_text())
    mated = int(expected.mated.sum())
    assert about["pairs"]["mated"] == mated
    assert about["pairs"]["non_mated"] == len(scores) - mated
    assert about["pairs"]["not_compared"] == 1500 * 1499 // 2 - len(scores)
    assert about["groups"] == ["", "north", "south"]
    chosen = expected.of(("north", "south")) & ~expected.mated
    rate = (scores[chosen] >= card["threshold"] - 1e-9).mean()
    assert f"| north | south | {chosen.sum()} | {rate:.3g} |" in out


def test_match_names_the_extreme_pairs_and_the_errors_of_every_subject(
    run: Run, probes: Path, one: People, expected: AllPairs, tmp_path: Path
) -> None:
    run(f"match {probes} -o {tmp_path} --fmr 1e-3 --tail 50")
    tails = rows_of(tmp_path / "tails.csv")
    assert [row["kind"] for row in tails] == ["non-mated"] * 50 + ["mated"] * 50
    chosen = np.flatnonzero(~expected.mated)
    chosen = chosen[np.argsort(-expected.product[chosen], kind="stable")][:50]
    for row, place in zip(tails, chosen, strict=False):
        assert float(row["score"]) == pytest.approx(expected.product[place] / SIZE, abs=1e-6)
        for side, number in (("probe", expected.probe[place]), ("gallery", expected.gallery[place])):
            assert row[side] == one.paths[number]
            assert row[f"{side}_subject"] == one.subjects[number]
    subjects = rows_of(tmp_path / "subjects.csv")
    assert [row["subject"] for row in subjects] == sorted(set(one.subjects))
    threshold = json.loads((tmp_path / "threshold.json").read_text())["threshold"]
    over = ~expected.mated & (expected.product / SIZE >= threshold - 1e-9)
    assert sum(float(row["false_matches"]) for row in subjects) == pytest.approx(2 * over.sum(), rel=1e-3)
    assert sum(int(row["mated"]) for row in subjects) == expected.mated.sum()


def test_match_writes_every_score_where_asked(
    run: Run, probes: Path, one: People, expected: AllPairs, tmp_path: Path
) -> None:
    run(f"match {probes} -o {tmp_path} --scores npy -gr G --subject_pattern photos/([0-9])/ --memory 0.01")
    found = {name: np.load(tmp_path / f"G_{name}.npy") for name in ("authentic", "impostor")}
    assert sum(map(len, found.values())) == len(expected.probe)
    folder = np.array([path[7] for path in one.paths])
    for name, rows in found.items():
        same = folder[rows[:, 0].astype(int)] == folder[rows[:, 1].astype(int)]
        assert (same == (name == "authentic")).all()
    assert [row["subject"] for row in rows_of(tmp_path / "subjects.csv")] == list("0123456")


@STOPS
def test_a_match_that_was_killed_ends_as_one_that_was_not(run: Run, tmp_path: Path, stop: int) -> None:
    probes = people(15_000, seed=6).write(tmp_path / "probes")
    words = f"match {probes} --group country --memory 0.02 -o"
    assert run(f"{words} {tmp_path / 'whole'}")[0] == 0
    unfinished = tmp_path / "killed" / ".match.unfinished.npz"
    stopped_when(f"{words} {tmp_path / 'killed'}", unfinished, 1000, stop)
    assert not (tmp_path / "killed" / "counts.npz").exists()
    with np.load(unfinished) as state:
        done = json.loads(str(state["state"]))["done"]
    assert done >= 1
    status, _, err = run(f"{words} {tmp_path / 'killed'} --resume --tail 7")
    assert (status, "other tail" in err) == (2, True)
    assert run(f"{words} {tmp_path / 'killed'} --resume")[0] == 0
    whole, killed = tree(tmp_path / "whole"), tree(tmp_path / "killed")
    assert killed.keys() == whole.keys()
    for name in ("counts.npz", "tails.csv", "subjects.csv", "threshold.json"):
        assert killed[name] == whole[name], name


def test_a_set_without_mated_pairs_is_matched_and_reported_by_its_non_mated_ones(
    run: Run, probes: Path, expected: AllPairs, tmp_path: Path
) -> None:
    status, out, _ = run(f"match {probes} -o {tmp_path / 'match'} --subject path --group country --fmr 1e-3")
    assert (status, "0 mated and" in out, "FNMR (%)" in out) == (0, True, True)
    assert "EER and d-prime not known: no mated pairs" in out
    card = json.loads((tmp_path / "match" / "threshold.json").read_text())
    assert (card["fnmr"], card["fnmr_interval"], card["fnmr_reason"]) == (None, None, "no mated pairs")
    assert card["fmr"] == pytest.approx((expected.product / SIZE >= card["threshold"] - 1e-9).mean())
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "det.png").write_text("of an earlier report")
    assert run(f"report {tmp_path / 'match'} -d {tmp_path / 'report'} --overwrite")[0] == 0
    written = {path.name for path in (tmp_path / "report").iterdir()}
    assert {"report.html", "group_fmr.png", "group_scores.png", "scores.png"} <= written
    assert not {"det.png", "det.csv"} & written
    page = (tmp_path / "report" / "report.html").read_text()
    assert ("no pairs" in page, "EER and d-prime not known: no mated pairs" in page) == (True, True)
    assert "One person, lowest scores" not in page
    rates = {row["fmr_asked"]: row for row in rows_of(tmp_path / "report" / "rates.csv")}
    assert (rates["0.001"]["fnmr"], float(rates["0.001"]["fmr"])) == ("", pytest.approx(card["fmr"]))


def test_wrong_options_are_named(run: Run, probes: Path, tmp_path: Path) -> None:
    for words, named in (
        ("--fmr 0", "--fmr"),
        ("--memory 0", "--memory"),
        ("--tail -1", "--tail"),
        ("--subject person", "person"),
        ("--subject original --subject_pattern (.)", "not both"),
        ("--group race", "race"),
        ("--subject_pattern (", "regular expression"),
        ("--memory 0.0001", "--memory 0.0001"),
    ):
        status, _, err = run(f"match {probes} -o {tmp_path / 'out'} {words}")
        assert (status, named in err) == (2, True), err
    status, _, err = run(f"match {tmp_path / 'none'} -o {tmp_path / 'out'}")
    assert (status, "none/embeddings.npy" in err) == (2, True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"PK", b"no counts"])
def test_damaged_counts_are_named_by_a_resumed_match_and_by_a_report(
    run: Run, probes: Path, tmp_path: Path, content: bytes
) -> None:
    assert run(f"match {probes} -o {tmp_path / 'm'}")[0] == 0
    for name, words in (
        (".match.unfinished.npz", f"match {probes} -o {tmp_path / 'm'} --resume"),
        ("counts.npz", f"report {tmp_path / 'm'} -d {tmp_path / 'r'}"),
    ):
        (tmp_path / "m" / name).write_bytes(content)
        status, out, err = run(words)
        assert (status, out, "Traceback" in err) == (2, "", False)
        assert f"{tmp_path / 'm' / name}: " in err
    assert run(f"match {probes} -o {tmp_path / 'm'} --overwrite")[0] == 0
    assert run(f"report {tmp_path / 'm'} -d {tmp_path / 'r'}")[0] == 0


def test_extract_records_its_source_so_that_equal_paths_of_two_folders_are_two_pictures(
    run: Run, patterns: Path, recognition_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = sorted(patterns.parent.rglob("*.jpg"))[:12]
    for number, image in enumerate(images):
        place = tmp_path / ("probe", "gallery")[number % 2] / f"person {number // 2}" / "1.jpg"
        place.parent.mkdir(parents=True)
        shutil.copy(image, place)
    extract = f"extract --aligned -m {recognition_model}"
    monkeypatch.chdir(tmp_path)
    for name, source in (("p", tmp_path / "probe"), ("again", "probe/"), ("g", f"{tmp_path}/./gallery")):
        assert run(f"{extract} -s {source} -d {name}")[0] == 0
    Path("list.csv").write_text("path\n" + "".join(f"probe/person {number}/1.jpg\n" for number in range(6)))
    assert run(f"{extract} -i list.csv -d listed")[0] == 0
    for other, mated, not_compared in (("g", 6, 0), ("again", 0, 6), ("listed", 0, 6)):
        status, out, _ = run(f"match p {other} -o m_{other} --subject folder --fmr 0.5")
        assert (status, out.startswith(f"{mated} mated and 30 non-mated")) == (0, True), out
        pairs = json.loads(Path(f"m_{other}/match.json").read_text())["pairs"]
        assert pairs["not_compared"] == not_compared
        assert run(f"search p {other} -o s_{other} --subject folder")[0] == 0
        found = rows_of(Path(f"s_{other}/candidates.csv"))
        assert sum(row["probe"] == row["gallery"] for row in found) == mated
    assert run("report m_g -d page --faces")[0] == 0
    shown = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', Path("page/report.html").read_text())
    assert len(set(shown)) == 12  # each picture from the source of its own set
    status, _, err = run("match p g -o m")
    assert (status, "--subject folder" in err, "--subject_pattern" in err) == (2, True, True)


def test_rows_that_are_no_embeddings_are_named_and_end_the_command_with_1(run: Run, tmp_path: Path) -> None:
    whole = people(300, seed=9)
    embeddings = whole.embeddings.copy()
    embeddings[5], embeddings[250, 7] = 0, np.nan
    probes = write_set(tmp_path / "set", embeddings, {"path": whole.paths, "subject": whole.subjects})
    for words in (f"match {probes} --fmr 0.01", f"search {probes} {probes}"):
        status, _, err = run(f"{words} -o {tmp_path / 'out'} --overwrite")
        assert (status, "2 images could not be used" in err) == (1, True)
        rows = rows_of(tmp_path / "out" / "errors.csv")
        assert [row["path"] for row in rows] == [whole.paths[5], whole.paths[250]]
        assert ["all zeros" in rows[0]["reason"], "not finite" in rows[1]["reason"]] == [True, True]
    about = json.loads((tmp_path / "out" / "match.json").read_text())
    assert (about["probes"]["rows"], about["probes"]["left_out"]) == (298, 2)


def test_one_person_and_one_pair_are_told_with_what_they_lack_in_text_json_and_page(
    run: Run, tmp_path: Path
) -> None:
    def strict(path: Path) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(path.read_text(), parse_constant=pytest.fail)
        return found

    rows = np.random.default_rng(0).standard_normal((5, 64))
    embeddings = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    names = [f"{row}.jpg" for row in range(5)]
    columns = {"path": names, "subject": ["Ann"] * 5, "country": ["IN"] * 4 + ["CH"]}
    one = write_set(tmp_path / "one", embeddings, columns)
    status, out, _ = run(f"match {one} -o {tmp_path / 'm'} --group country")
    assert (status, out.startswith("10 mated and 0 non-mated")) == (0, True)
    assert "threshold for FMR 0.0001 not known: no non-mated pairs" in out
    card = strict(tmp_path / "m" / "threshold.json")
    assert (card["threshold"], card["threshold_reason"], card["fmr"]) == (None, "no non-mated pairs", None)
    assert strict(tmp_path / "m" / "match.json")["threshold"] == card
    assert [row["false_matches"] for row in rows_of(tmp_path / "m" / "subjects.csv")] == [""]
    status, _, err = run(f"search {one} {one} -o {tmp_path / 's'} --card {tmp_path / 'm' / 'threshold.json'}")
    assert (status, "found no threshold (no non-mated pairs)" in err) == (2, True)
    assert run(f"report {tmp_path / 'm'} -d {tmp_path / 'r'}")[0] == 0
    assert "no non-mated pairs" in (tmp_path / "r" / "report.html").read_text()

    pair = write_set(tmp_path / "pair", embeddings[:3], {"path": names[:3], "subject": ["Ann", "Ann", "Bob"]})
    status, out, _ = run(f"match {pair} -o {tmp_path / 'm'} --fmr 0.5 --overwrite")
    rate, threshold = out.splitlines()[1:3]
    assert (status, " % *" in rate, threshold.endswith(" *"), "* too few pairs" in out) == (
        0,
        True,
        True,
        True,
    )
    assert run(f"report {tmp_path / 'm'} -d {tmp_path / 'r'} --overwrite")[0] == 0
    page = (tmp_path / "r" / "report.html").read_text()
    assert (" % *" in page, "* too few pairs" in page) == (True, True)

    single = write_set(tmp_path / "single", embeddings[:1], {"path": ["a.jpg"], "subject": ["Ann"]})
    status, _, err = run(f"match {single} -o {tmp_path / 'none'}")
    assert (status, "no two pictures to compare" in err) == (2, True)
    assert not (tmp_path / "none").exists()


def test_a_threshold_at_which_no_errors_are_counted_by_subject_has_no_interval(
    run: Run, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((1024, 64))
    rows[::2] += 2  # every second row, which a sample consists of, is like the others of them
    names = [f"{row}.jpg" for row in range(1024)]
    embeddings = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    probes = write_set(tmp_path / "set", embeddings, {"path": names, "subject": names})
    assert run(f"match {probes} -o {tmp_path / 'm'} --fmr 0.01")[0] == 0
    card = json.loads((tmp_path / "m" / "threshold.json").read_text())
    scores = (embeddings.astype(np.float64) @ embeddings.T)[np.triu_indices(1024, 1)]
    assert card["fmr"] == pytest.approx((scores >= card["threshold"]).mean(), abs=1e-5)
    assert (card["fmr_interval"], "not counted" in card["fmr_interval_reason"]) == (None, True)
    subjects = rows_of(tmp_path / "m" / "subjects.csv")
    assert {(row["non_mated"], row["false_matches"]) for row in subjects} == {("1023", "")}


def test_groups_of_few_people_are_marked_on_the_screen_as_on_the_page(run: Run, tmp_path: Path) -> None:
    many = people(600, seed=10)
    groups = ["few" if subject == many.subjects[0] else "many" for subject in many.subjects]
    columns = {"path": many.paths, "subject": many.subjects, "country": groups}
    probes = write_set(tmp_path / "set", many.embeddings, columns)
    _, out, _ = run(f"match {probes} -o {tmp_path / 'm'} --group country --fmr 0.01")
    lines = {tuple(line.split(" | ")[:2]): line for line in out.splitlines() if line.startswith("| ")}
    assert lines["| few", "few"].count(" *") >= 1
    assert " *" not in lines["| many", "many"]
    assert "* too few pairs or people" in out
