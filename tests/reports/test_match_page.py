from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from face_analysis.cli.main import main
from face_analysis.datasets.attributes import Attribute
from face_analysis.errors import MissingFileError, PackedFileError
from face_analysis.evaluation.attributes_by_group import evaluate
from face_analysis.reports.attributes.report import read_attributes, write_report
from face_analysis.reports.matches.hard_pairs import MOST_PAIRS, hard_pairs
from face_analysis.reports.style import PERCEIVED
from tests.reports.browser import assert_shown_whole, needs_chromium
from tests.reports.test_audit import Parsed


@pytest.fixture(scope="module")
def attributes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `evaluate` writes of race and gender."""
    rng = np.random.default_rng(0)
    labels: dict[Attribute, Any] = {"race": rng.integers(0, 5, 60), "gender": rng.integers(0, 2, 60)}
    predictions = {name: np.roll(values, rng.integers(0, 2)) for name, values in labels.items()}
    folder = tmp_path_factory.mktemp("attributes")
    write_report(evaluate(labels, predictions), labels, predictions, folder)
    return folder


@pytest.fixture(scope="module")
def page(matched: Path, attributes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of everything there is; one image can be read."""
    folder = tmp_path_factory.mktemp("page")
    hardest = hard_pairs(matched / "groups", None)[0].pairs[0].pictures[0].path
    (folder / "images" / hardest).parent.mkdir(parents=True)
    Image.new("RGB", (200, 100), "teal").save(folder / "images" / hardest)
    page = folder / "page"
    told = ["report", str(matched / "groups"), "-d", str(page), "--attributes", str(attributes)]
    assert main([*told, "--faces", "-s", str(folder / "images")]) == 0
    return page / "report.html"


def test_the_page_is_whole_and_fetches_nothing(page: Path) -> None:
    parsed = Parsed(page.read_text(encoding="utf-8"))
    assert parsed.open == []
    assert not {"script", "link", "iframe"} & {tag for tag, _ in parsed.tags}
    sources = [str(attributes["src"]) for tag, attributes in parsed.tags if tag == "img"]
    pngs = [source for source in sources if source.startswith("data:image/png;base64,")]
    jpegs = [source for source in sources if source.startswith("data:image/jpeg;base64,")]
    assert (len(pngs), len(jpegs) > 0, len(sources)) == (5 + 4, True, len(pngs) + len(jpegs))
    assert all(attributes.get("alt") is not None for tag, attributes in parsed.tags if tag == "img")


def test_the_page_says_what_groups_are_and_what_made_it(page: Path, matched: Path, tmp_path: Path) -> None:
    words = Parsed(page.read_text(encoding="utf-8")).words
    hashes = json.loads((matched / "groups" / "match.json").read_text())["probes"]["sha256"]
    assert PERCEIVED in words
    assert all(value in words for value in hashes.values())
    assert "fmr: 0.01" in words  # of the options of match
    told = ["--predicted", "--note", "of <another> camera"]
    assert main(["report", str(matched / "groups"), "-d", str(tmp_path), *told]) == 0
    words = Parsed((tmp_path / "report.html").read_text(encoding="utf-8")).words
    assert "predictions of a model" in words
    assert "of <another> camera" in words
    assert PERCEIVED not in words


def test_pictures_are_there_only_where_asked_for(matched: Path, tmp_path: Path) -> None:
    assert main(["report", str(matched / "plain"), "-d", str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "image/jpeg" not in page
    hardest = hard_pairs(matched / "plain", None)
    assert [len(part.pairs) for part in hardest] == [MOST_PAIRS, MOST_PAIRS]
    words = Parsed(page).words
    assert all(side.path in words for part in hardest for pair in part.pairs for side in pair.pictures)


@needs_chromium
def test_a_browser_shows_it_whole_on_a_screen_and_on_a_phone(page: Path) -> None:
    images = page.read_text(encoding="utf-8").count("<img ")
    assert images > 9
    assert_shown_whole(page, images, tables=5)


def test_a_damaged_folder_is_named(matched: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"tails\.csv"):
        hard_pairs(tmp_path, None)
    (tmp_path / "tails.csv").write_text("kind,score\nnon-mated,0.9\n")
    with pytest.raises(PackedFileError, match="not the tails"):
        hard_pairs(tmp_path, None)
    (tmp_path / "metrics.json").write_text('{"attributes": {"race": 3}}')
    with pytest.raises(PackedFileError, match="not the measures"):
        read_attributes(tmp_path)
    for name in ("counts.npz", "tails.csv"):
        shutil.copy(matched / "groups" / name, tmp_path)
    assert main(["report", str(tmp_path), "-d", str(tmp_path / "out")]) == 2
    assert main(["report", str(matched / "groups"), "-d", str(tmp_path / "out"), "-s", str(tmp_path)]) == 2
    (tmp_path / "match.json").write_text("{}")
    assert main(["report", str(tmp_path), "-d", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()
