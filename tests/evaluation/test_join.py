from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from face_analysis.datasets.lists.image_list import ImageList
from face_analysis.datasets.predictions.tables import PredictionTable
from face_analysis.errors import EmptyDataError, UsageError
from face_analysis.evaluation.join import join


def table(images, **values):
    return PredictionTable(Path("p.csv"), images, {key: np.array(row) for key, row in values.items()})


def test_predictions_take_the_order_of_the_list_whatever_order_they_were_written_in():
    images = [f"{number}.jpg" for number in range(50)]
    codes = np.arange(50) % 5
    shuffled = np.random.default_rng(0).permutation(50)
    predictions = table([images[row] for row in shuffled], race=codes[shuffled])
    joined = join(ImageList(Path("l.txt"), images, {"race": codes}), predictions)
    assert joined.images == images
    np.testing.assert_array_equal(joined.predictions["race"], joined.labels["race"])
    assert (joined.missing, joined.unlisted) == (0, 0)


def test_images_in_one_file_only_are_counted_and_the_first_missing_are_named():
    listed = [f"m{number}" for number in range(8)] + ["a", "b"]
    labels = ImageList(Path("l.txt"), listed, {"gender": np.arange(10) % 2, "class": np.arange(10)})
    joined = join(labels, table(["b", "extra", "a"], gender=[1, 0, 0]))
    assert joined.images == ["a", "b"]
    assert (joined.missing, joined.unlisted) == (8, 1)
    assert joined.first_missing == ("m0", "m1", "m2", "m3", "m4")
    assert joined.labels["gender"].tolist() == [0, 1]
    assert joined.predictions["gender"].tolist() == [0, 1]
    assert set(joined.labels) == {"gender"}


def test_an_image_listed_twice_is_refused_with_both_places():
    labels = ImageList(Path("l.txt"), ["a", "b", "c", "b"], {"race": np.zeros(4, dtype=np.int64)})
    with pytest.raises(UsageError, match=r"image 4 is image 2 again \(b\)"):
        join(labels, table(["a", "b", "c"], race=[0, 0, 0]))


def test_files_without_a_common_image_are_refused_with_an_example_of_each():
    labels = ImageList(Path("l.txt"), ["x/a.jpg"], {"race": np.array([0])})
    with pytest.raises(EmptyDataError, match=r"x/a\.jpg.*y/a\.jpg"):
        join(labels, table(["y/a.jpg"], race=[0]))


def test_the_count_decoding_is_joined_too():
    predictions = PredictionTable(
        Path("p.csv"), ["b", "a"], {"age": np.array([20.5, 30.5])}, age_count=np.array([20, 30])
    )
    joined = join(ImageList(Path("l.txt"), ["a", "b"], {"age": np.array([31, 21])}), predictions)
    assert joined.age_count.tolist() == [30, 20]


@pytest.mark.parametrize(
    ("listed", "predicted", "advice"),
    [
        ("x/a.jpg", "/data/faces/x/a.jpg", "--source /data/faces/"),
        ("faces/x/a.jpg", "x/a.jpg", "the list has faces/ in front"),
        ("x/a.jpg", "x/a.png", "written alike in both"),
    ],
)
def test_paths_that_differ_by_a_folder_in_front_are_explained(listed, predicted, advice):
    labels = ImageList(Path("l.txt"), ["other.jpg", listed], {"race": np.zeros(2, np.int64)})
    with pytest.raises(EmptyDataError, match=advice):
        join(labels, table(["another.jpg", predicted], race=[0, 0]))


def test_predictions_joined_with_their_source_belong_to_the_paths_of_the_list():
    labels = ImageList(Path("l.txt"), ["a.jpg", "x/b.jpg", "c.jpg"], {"race": np.array([0, 1, 2])})
    predictions = table(["./faces/x/b.jpg", "faces/a.jpg", "elsewhere/c.jpg"], race=[4, 3, 2])
    joined = join(labels, predictions, Path("faces/"))
    assert joined.predictions["race"].tolist() == [3, 4]
    assert (joined.first_missing, joined.first_unlisted) == (("c.jpg",), ("elsewhere/c.jpg",))


def test_one_file_given_as_labels_and_predictions_is_refused(tmp_path):
    (tmp_path / "l.txt").write_text("a.jpg 0 1 30\n")
    labels = ImageList(tmp_path / "l.txt", ["a.jpg"], {"race": np.array([0])})
    predictions = PredictionTable(tmp_path / "l.txt", ["a.jpg"], {"race": np.array([0])})
    with pytest.raises(UsageError, match="as labels and as predictions"):
        join(labels, predictions)
