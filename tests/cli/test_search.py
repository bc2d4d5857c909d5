from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Run
from tests.cli.killed_runs import STOPS, stopped_when, tree
from tests.csv_files import rows_of
from tests.matching.feature_sets import SIZE, People, people

FILES = {
    *("candidates.csv", "search.json", "config.yaml", "identification.csv", "identification.md"),
    *("cmc.png", "identification_det.csv", "identification_det.png"),
}


@pytest.fixture(scope="module")
def sides() -> tuple[People, People]:
    return people(400, seed=11), people(900, seed=12)


@pytest.fixture(scope="module")
def words(sides: tuple[People, People], tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("sets")
    return " ".join(str(each.write(folder / name)) for each, name in zip(sides, ("p", "g"), strict=True))


def test_search_writes_the_candidates_of_every_probe_and_measures_them(
    run: Run, sides: tuple[People, People], words: str, tmp_path: Path
) -> None:
    status, out, _ = run(f"search {words} -o {tmp_path} --top 3 --threshold 0.3")
    assert status == 0
    assert {path.name for path in tmp_path.iterdir()} == FILES
    probes, gallery = sides
    products = probes.signs @ gallery.signs.T
    rows = rows_of(tmp_path / "candidates.csv")
    assert len(rows) == 3 * 400
    for place, row in enumerate(rows):
        probe = place // 3
        other = [path.split("/")[-2:] != probes.paths[probe].split("/")[-2:] for path in gallery.paths]
        best = sorted((column for column in range(900) if other[column]), key=lambda c: -products[probe, c])
        column = best[place % 3]
        assert (row["probe"], row["gallery"]) == (probes.paths[probe], gallery.paths[column])
        assert (row["rank"], row["subject"]) == (str(place % 3 + 1), gallery.subjects[column])
        assert float(row["score"]) == pytest.approx(products[probe, column] / SIZE, abs=1e-6)
        assert row["accepted"] == str(int(products[probe, column] >= 0.3 * SIZE))
    about = json.loads((tmp_path / "search.json").read_text())
    assert about["probes_accepted"] == sum(row["accepted"] == "1" for row in rows[::3]) > 0
    assert (about["exact"], about["faiss"], about["top"]) == (True, None, 3)
    told = {(row["measure"], row["rank"]): row for row in rows_of(tmp_path / "identification.csv")}
    first = told["identification rate", "1"]
    hits = [probes.subjects[place // 3] == row["subject"] for place, row in enumerate(rows) if not place % 3]
    assert float(first["value"]) == pytest.approx(sum(hits) / int(first["probes"]), abs=1e-6)
    assert f"| 1 | {100 * float(first['value']):.2f} [" in out
    for name in ("cmc", "identification_det"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert len(picture.convert("RGB").getcolors(2**20) or ()) > 20


@STOPS
def test_a_search_that_was_killed_ends_as_one_that_was_not(run: Run, tmp_path: Path, stop: int) -> None:
    probes = people(4000, seed=13).write(tmp_path / "probes")
    told = f"search {probes} {probes} --memory 0.002 -o"
    assert run(f"{told} {tmp_path / 'whole'}")[0] == 0
    stopped_when(
        f"{told} {tmp_path / 'killed'}", tmp_path / "killed" / ".candidates.csv.journal", 50_000, stop
    )
    assert not (tmp_path / "killed" / "candidates.csv").exists()
    status, _, err = run(f"{told} {tmp_path / 'killed'} --resume --top 7")
    assert (status, "other top" in err) == (2, True)
    assert run(f"{told} {tmp_path / 'killed'} --resume")[0] == 0
    whole, killed = tree(tmp_path / "whole"), tree(tmp_path / "killed")
    assert killed.keys() == whole.keys()
    for name in ("candidates.csv", "identification.csv", "identification_det.csv"):
        assert killed[name] == whole[name], name


def test_an_index_that_is_not_exact_says_so_and_one_that_is_finds_the_same(
    run: Run, words: str, tmp_path: Path
) -> None:
    for folder, told in (("exact", ""), ("all", "--lists 4 --nprobe 4"), ("some", "--lists 20 --nprobe 2")):
        status, out, _ = run(f"search {words} -o {tmp_path / folder} {told and '--index faiss ' + told}")
        about = json.loads((tmp_path / folder / "search.json").read_text())
        assert (status, about["exact"], "not exact: 2 of 20 lists" in out) == (
            0,
            folder != "some",
            folder == "some",
        )
    assert 0 < about["recall"] < 1
    assert about["recall_probes"] == 400
    scores = [
        [row["score"] for row in rows_of(tmp_path / name / "candidates.csv")] for name in ("exact", "all")
    ]
    assert scores[0] == scores[1]  # rows too, but for which of equal scores at the end


def test_without_subjects_there_are_candidates_alone(
    run: Run, words: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    probes, gallery = words.split()
    found = tmp_path / "found"
    assert run(f"search {words} -o {found}")[0] == 0
    nameless = people(50, seed=14).write(tmp_path / "nameless")
    lines = (nameless / "index.csv").read_text().splitlines()
    (nameless / "index.csv").write_text("\n".join([lines[0].replace("subject", "whom"), *lines[1:]]) + "\n")
    status, out, _ = run(f"search {nameless} {gallery} -o {found} --overwrite")
    assert (status, "no measures of identification" in caplog.text, "rank" in out) == (0, True, False)
    assert not {"identification.csv", "cmc.png"} & {path.name for path in found.iterdir()}
    assert all(row["subject"] for row in rows_of(found / "candidates.csv"))
    status = run(f"search {probes} {nameless} -o {found} --overwrite")[0]
    assert (status, {row["subject"] for row in rows_of(found / "candidates.csv")}) == (0, {""})


def test_the_threshold_of_a_match_is_taken(run: Run, words: str, tmp_path: Path) -> None:
    assert run(f"match {words.split()[1]} -o {tmp_path / 'match'} --fmr 1e-3")[0] == 0
    card = tmp_path / "match" / "threshold.json"
    status, out, _ = run(f"search {words} -o {tmp_path / 'out'} --card {card}")
    threshold = json.loads(card.read_text())["threshold"]
    assert (status, f"| given | {threshold:.4f} |" in out) == (0, True)
    assert json.loads((tmp_path / "out" / "search.json").read_text())["threshold"] == threshold
    for text, named in (("{}", "not a threshold.json"), ('{"threshold": NaN}', "no number"), ("[", "not a")):
        card.write_text(text)
        status, _, err = run(f"search {words} -o {tmp_path / 'out'} --card {card}")
        assert (status, named in err) == (2, True), err


def test_wrong_options_are_named(run: Run, words: str, tmp_path: Path) -> None:
    for told, named in (
        ("--top 0", "--top"),
        ("--memory 0", "--memory"),
        ("--threshold 0.3 --card card.json", "not both"),
        ("--card none.json", "none.json"),
        ("--subject person", "person"),
        ("--index faiss --nprobe 0", "--nprobe"),
        ("--index faiss --memory 0.0001", "--memory"),
    ):
        status, _, err = run(f"search {words} -o {tmp_path / 'out'} {told}")
        assert (status, named in err) == (2, True), err
    assert not (tmp_path / "out").exists()
