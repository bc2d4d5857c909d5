"""Matching and searching from Python, against the commands and against all products."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from face_analysis import FaceAnalyzer, FeatureSet, match, search
from face_analysis.errors import EmptyDataError, NoFaceError, OutputError, UsageError
from tests.cli.conftest import Run
from tests.csv_files import rows_of
from tests.matching.feature_sets import People, people


@pytest.fixture(scope="module")
def one() -> People:
    return people(600, seed=21)


@pytest.fixture(scope="module")
def folder(one: People, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return one.write(tmp_path_factory.mktemp("sets") / "one")


def in_memory(folder: Path) -> FeatureSet:
    there = FeatureSet.open(folder)
    columns = {name: values for name, values in there.columns.items() if name not in ("path", "subject")}
    vectors = there.read(np.arange(len(there)))
    return FeatureSet.from_arrays(vectors, there.paths, there.columns["subject"], **columns)


def test_a_match_in_memory_is_that_of_the_command(run: Run, folder: Path, tmp_path: Path) -> None:
    status, out, _ = run(f"match {folder} -o {tmp_path / 'm'} --group country --fmr 1e-2")
    assert status == 0
    run(f"report {tmp_path / 'm'} -d {tmp_path / 'r'}")
    for features in (folder, str(folder), in_memory(folder)):
        matched = match(features, groups=["country"], fmr=1e-2)
        assert matched.summary.strip() == out.strip()
        tables = matched.tables
        for name in ("rates", "group_rates", "scores", "det"):
            written = rows_of(tmp_path / "r" / f"{name}.csv")
            assert len(tables[name]) == len(written) > 0
            for column in tables[name].columns:
                for found, text in zip(tables[name][column], (row[column] for row in written), strict=True):
                    missing = found is None or found != found
                    assert (missing and text == "") or str(found) == text or float(found) == float(text)
        tails = rows_of(tmp_path / "m" / "tails.csv")
        assert [row["probe"] for row in tails] == tables["tails"]["probe"].tolist()


def test_a_match_shows_itself_in_a_notebook(folder: Path) -> None:
    matched = match(folder, groups=["country"], fmr=1e-2)
    page = matched._repr_html_()
    assert page.count("data:image/png;base64,") == len(matched.figures()) >= 4
    assert "<th>FMR asked</th>" in page
    assert "as perceived by the annotators" in page
    assert set(matched.figures()) == {"scores", "scores_log", "det", "group_scores", "group_fmr"}


def test_a_search_in_memory_is_that_of_the_command(
    run: Run, folder: Path, one: People, tmp_path: Path
) -> None:
    gallery = people(300, seed=22).write(tmp_path / "gallery")
    status, _, _ = run(f"search {folder} {gallery} -o {tmp_path / 's'} --top 4 --threshold 0.2")
    assert status == 0
    found = search(in_memory(folder), gallery, top=4, threshold=0.2)
    written = rows_of(tmp_path / "s" / "candidates.csv")
    table = found.tables["candidates"]
    assert table["gallery"].tolist() == [row["gallery"] for row in written]
    assert table["accepted"].tolist() == [int(row["accepted"]) for row in written]
    measures = rows_of(tmp_path / "s" / "identification.csv")
    assert found.tables["identification"]["value"].tolist() == [float(row["value"]) for row in measures]


def test_rows_of_any_length_are_brought_to_length_1() -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 16)) * np.arange(1, 6)[:, None]
    found = FeatureSet.from_arrays(vectors).read(np.arange(5))
    expected = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_rows_that_are_no_embeddings_are_left_out_and_named() -> None:
    vectors = np.random.default_rng(0).normal(size=(6, 8))
    vectors[1], vectors[4, 0] = 0, np.nan
    matched = match(FeatureSet.from_arrays(vectors, subjects=list("aabbcc")), fmr=0.5)
    assert [failure.path for failure in matched.comparison.failures] == ["1", "4"]
    assert "the feature set in memory" in matched.comparison.failures[0].reason


def test_a_set_is_saved_opened_and_given_as_tables(one: People, folder: Path, tmp_path: Path) -> None:
    features = in_memory(folder)
    saved = features.save(tmp_path / "saved")
    again = FeatureSet.open(tmp_path / "saved")
    for found in (saved, again):
        assert found.columns == features.columns
        np.testing.assert_array_equal(found.read(np.arange(600)), features.read(np.arange(600)))
    with pytest.raises(OutputError):
        features.save(tmp_path / "saved")
    frame = features.to_pandas()
    assert frame["path"].tolist() == one.paths
    back = FeatureSet.from_pandas(frame, features.read(np.arange(600)))
    assert back.columns["subject"] == features.columns["subject"]
    table = features.to_arrow()
    np.testing.assert_array_equal(np.stack(table["embedding"].to_numpy()), features.read(np.arange(600)))


def test_a_part_of_a_set_keeps_rows_and_columns_together(folder: Path) -> None:
    for features in (FeatureSet.open(folder), in_memory(folder)):
        chosen = np.array([5, 2, 599])
        part = features.only(chosen)
        assert part.paths == [features.paths[row] for row in chosen]
        np.testing.assert_array_equal(part.read(np.arange(3)), features.read(chosen))
        assert len(features.without([0, 1])) == 598


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"embeddings": np.zeros(3)}, r"floats \(N, D\)"),
        ({"embeddings": np.zeros((2, 3), int)}, "int64"),
        ({"embeddings": np.ones((2, 3)), "subjects": ["a"]}, "column subject has 1 values for 2"),
        ({"embeddings": np.ones((2, 3)), "paths": ["a"] * 3}, "column path has 3 values for 2"),
        ({"embeddings": np.ones((2, 3)), "country": []}, "column country has 0 values for 2"),
    ],
)
def test_arrays_that_do_not_fit_are_named(given: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        FeatureSet.from_arrays(**given)  # type: ignore[arg-type]


def test_names_and_codes_of_a_group_are_the_same_group() -> None:
    vectors = np.random.default_rng(0).normal(size=(40, 8))
    subjects = np.repeat(range(20), 2)
    forms = (["female", "male"] * 20, [0, 1] * 20, np.tile([0.0, 1.0], 20))
    found = [
        match(FeatureSet.from_arrays(vectors, subjects=subjects, gender=form), groups=["gender"], fmr=0.5)
        for form in forms
    ]
    assert all(matched.counts.groups == ["female", "male"] for matched in found)
    assert len({matched.summary for matched in found}) == 1


def test_one_picture_alone_cannot_be_matched() -> None:
    with pytest.raises(EmptyDataError, match="no two pictures"):
        match(FeatureSet.from_arrays(np.ones((1, 4)), subjects=["a"]))


def test_features_of_photos_are_those_of_each_face(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    analyzer = FaceAnalyzer(embeddings=True, precision="32-true")
    names = ["both.jpg", "empty.png", "hopper.jpg"]
    features = analyzer.features([photos / name for name in names], subjects=["b", "e", "h"])
    assert features.columns["subject"] == ["b", "b", "h"]
    assert "1 of 3 photos could not be used" in caplog.text
    assert "empty.png: no face found" in caplog.text
    for row, face in enumerate(face for name in names for face in analyzer.analyze(photos / name)):
        assert face.gender is not None
        assert features.columns["predicted_gender"][row] == face.gender.label
        (vector,) = features.read(np.array([row]))
        np.testing.assert_allclose(vector, face.embedding, atol=1e-6)


def test_features_of_a_folder_know_their_source(photos: Path) -> None:
    features = FaceAnalyzer(None, embeddings=True, faces="largest").features(photos)
    assert features.source == str(photos.resolve())
    assert features.paths == ["both.jpg", "hopper.jpg", "sub/astronaut.jpg", "sub/turned.jpg"]
    with pytest.raises(NoFaceError, match="no face was found in 1 photos"):
        FaceAnalyzer(None, embeddings=True).features([photos / "empty.png"])
    with pytest.raises(UsageError, match="2 subjects for 1 photos"):
        FaceAnalyzer(None, embeddings=True).features([photos / "hopper.jpg"], subjects=["a", "b"])


def test_the_command_searches_a_photo_in_a_folder_of_photos(
    run: Run, photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    status, _, _ = run(f"search {photos / 'hopper.jpg'} {photos} -o {tmp_path} --top 2")
    assert status == 0
    first, second = rows_of(tmp_path / "candidates.csv")
    assert first["gallery"] == "both.jpg", "the photo itself is no candidate"
    assert float(first["score"]) > 0.5 > float(second["score"])
    assert "2 of 6 photos could not be used" in caplog.text
