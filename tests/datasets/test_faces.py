from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from lightning_fabric.utilities.apply_func import move_data_to_device
from PIL import Image as Pillow

from face_analysis.datasets.attributes import Attribute
from face_analysis.datasets.faces import FaceBatch, FaceDataset
from face_analysis.datasets.lmdb.writer import LmdbWriter
from face_analysis.datasets.packed import LmdbSource
from face_analysis.datasets.sources import ImageSource, open_source
from face_analysis.errors import EmptyDataError
from face_analysis.types import ImageFailure
from tests.images.mask_loops import codes_of, loop_by_level, picture, png


def labelled(patterns: Path, folder: Path, labels: list[str]) -> ImageSource:
    names = sorted(file.name for file in (patterns.parent / "patterns").iterdir())[: len(labels)]
    rows = [f"{name} {label}\n" for name, label in zip(names, labels, strict=True)]
    (folder / "list.txt").write_text("".join(rows))
    return open_source(patterns.parent / "patterns", folder / "list.txt")


def test_a_batch_holds_the_pixels_pillow_reads_in_channels_last_memory(patterns: Path) -> None:
    batch = FaceDataset(open_source(patterns.parent, patterns), ["race"]).__getitems__([5, 2, 40])
    for image, row in zip(batch.images, (5, 2, 40), strict=True):
        with Pillow.open(patterns.parent / "patterns" / f"{row:06d}.jpg") as expected:
            difference = image.permute(1, 2, 0).numpy().astype(int) - np.asarray(expected)
        assert np.abs(difference).max() <= 1
    assert batch.images.dtype == torch.uint8
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert batch.indices.tolist() == [5, 2, 40]


def test_a_row_stays_while_one_attribute_is_known_and_the_unknown_is_minus_one(
    patterns: Path, tmp_path: Path
) -> None:
    source = labelled(patterns, tmp_path, ["0 1 20", "5 1 101", "-1 0 40", "7 9 -1", "4 -1 0"])
    dataset = FaceDataset(source, ["race", "gender", "age"])
    batch = dataset.__getitems__(range(len(dataset)))
    assert batch.indices.tolist() == [0, 1, 2, 4]
    assert batch.labels.tolist() == [[0, 1, 20], [-1, 1, -1], [-1, 0, 40], [4, -1, 0]]
    assert dataset.left_out == {"race": 3, "gender": 2, "age": 2}
    assert dataset.counts("race").tolist() == [1, 0, 0, 0, 1]
    assert dataset.counts("gender").tolist() == [1, 2]
    ages = dataset.counts("age")
    assert (len(ages), np.flatnonzero(ages).tolist(), ages.sum()) == (101, [0, 20, 40], 3)


def test_one_attribute_keeps_only_its_rows(patterns: Path, tmp_path: Path) -> None:
    source = labelled(patterns, tmp_path, ["0 1 20", "5 1 101", "-1 0 40", "4 -1 0"])
    dataset = FaceDataset(source, ["age"])
    assert dataset.__getitems__([2, 0]).indices.tolist() == [3, 0]
    assert dataset.__getitems__([2, 0]).labels.tolist() == [[0], [20]]


@pytest.mark.parametrize("attribute", ["race", "gender", "age"])
def test_nothing_known_is_an_error_that_names_list_and_attribute(
    patterns: Path, tmp_path: Path, attribute: Attribute
) -> None:
    source = labelled(patterns, tmp_path, ["-1 -1 -1", "9 9 999"])
    with pytest.raises(EmptyDataError, match=rf"list\.txt.*{attribute}"):
        FaceDataset(source, [attribute])


def test_a_list_without_the_column_is_an_error_that_names_those_there(patterns: Path, tmp_path: Path) -> None:
    source = labelled(patterns, tmp_path, ["4", "5"])
    with pytest.raises(EmptyDataError, match=r"list\.txt.*race.*class"):
        FaceDataset(source, ["race"])


def test_unreadable_images_are_named_and_the_rest_of_the_batch_goes_on(
    patterns: Path, tmp_path: Path
) -> None:
    names = ["000000.jpg", "000001.jpg", "000002.jpg"]
    for name in names:
        shutil.copy(patterns.parent / "patterns" / name, tmp_path)
    (tmp_path / names[1]).write_bytes((tmp_path / names[1]).read_bytes()[:900])
    rows = [f"{name} 1 1 {age}\n" for age, name in enumerate([*names, "gone.jpg"])]
    (tmp_path / "list.txt").write_text("".join(rows))
    dataset = FaceDataset(open_source(tmp_path, tmp_path / "list.txt"), ["age"])
    batch = dataset.__getitems__([3, 2, 1, 0])
    assert batch.indices.tolist() == [2, 0]
    assert batch.labels.tolist() == [[2], [0]]
    assert torch.equal(batch.images[0], dataset[2].images[0])
    assert torch.equal(batch.images[1], dataset[0].images[0])
    assert [failure.path for failure in batch.failures] == ["gone.jpg", "000001.jpg"]
    alone = dataset.__getitems__([1])
    assert (alone.images.shape, alone.labels.shape) == ((0, 3, 112, 112), (0, 1))
    assert len(alone.failures) == 1


def test_names_are_asked_for_only_of_images_that_cannot_be_read(tmp_path: Path) -> None:
    class Watched(LmdbSource):
        asked: ClassVar[list[int]] = []

        def name(self, index: int) -> str:
            self.asked.append(index)
            return super().name(index)

    image, mask = png(picture(112, 112)), png(codes_of(112, 112))
    with LmdbWriter(tmp_path / "p.lmdb", "race", ["race"]) as writer:
        for row in range(6):
            writer.add(f"{row}.png", image[:300] if row == 3 else image, {"race": 0}, mask)
    dataset = FaceDataset(Watched(tmp_path / "p.lmdb"), ["race"], use_mask=True)
    assert len(dataset.__getitems__([0, 1, 2, 4, 5]).failures) == Watched.asked.count(0) == 0
    (failure,) = dataset.__getitems__([2, 3, 4]).failures
    assert (failure.path, failure.reason.startswith("3.png: broken PNG")) == ("3.png", True)
    assert set(Watched.asked) == {3}


def test_training_sees_images_blurred_outside_the_face_only_when_asked(
    tmp_path: Path, write_plainly: Callable[..., None]
) -> None:
    image, codes = picture(112, 112), codes_of(112, 112)
    large, halved = picture(224, 224), codes_of(112, 112)
    records = [[png(image), 0, png(codes)], [png(large), 1, png(halved)]]
    write_plainly(tmp_path / "p.lmdb", records, 2)  # as the original wrote it
    source = open_source(tmp_path / "p.lmdb", None, "race")
    masked = FaceDataset(source, ["race"], use_mask=True).__getitems__([0, 1]).images
    found = masked[0].permute(1, 2, 0).numpy()
    assert np.abs(loop_by_level(image, codes, float) - found).max() < 1.01
    doubled = loop_by_level(large, codes.repeat(2, 0).repeat(2, 1), float)  # blurred at its own size
    means = doubled.reshape(112, 2, 112, 2, 3).mean((1, 3))
    assert np.abs(means - masked[1].permute(1, 2, 0).numpy()).max() < 2
    without = FaceDataset(source, ["race"]).__getitems__([0]).images
    np.testing.assert_array_equal(without[0].permute(1, 2, 0).numpy(), image)


def test_an_image_whose_mask_is_missing_or_none_is_named_and_left_out(tmp_path: Path) -> None:
    image, codes = png(picture(112, 112)), codes_of(112, 112)
    with LmdbWriter(tmp_path / "p.lmdb", "race", ["race"]) as writer:
        writer.add("masked", image, {"race": 0}, png(codes))
        writer.add("plain", image, {"race": 1})
        writer.add("binary", image, {"race": 1}, png((codes == 1).astype(np.uint8) * 255))
        writer.add("narrow", image, {"race": 1}, png(codes[:, :50]))
    batch = FaceDataset(LmdbSource(tmp_path / "p.lmdb"), ["race"], use_mask=True).__getitems__(range(4))
    assert batch.indices.tolist() == [0]
    reasons = {failure.path: failure.reason for failure in batch.failures}
    assert list(reasons) == ["plain", "binary", "narrow"]
    assert "--keep_masks" in reasons["plain"]
    assert "mask of binary" in reasons["binary"]
    assert "50x112 pixels, the picture 112x112" in reasons["narrow"]


def test_a_file_of_the_original_serves_the_one_attribute_asked_for(
    patterns: Path, tmp_path: Path, write_plainly: Callable[..., None]
) -> None:
    images = [file.read_bytes() for file in sorted((patterns.parent / "patterns").iterdir())[:4]]
    write_plainly(tmp_path / "p.lmdb", list(zip(images, [30, 101, 0, 100], strict=True)), 101)
    source = open_source(tmp_path / "p.lmdb", None)
    dataset = FaceDataset(source, ["age"])
    assert dataset.labels.tolist() == [[30], [0], [100]]
    assert dataset.left_out == {"age": 1}
    with pytest.raises(EmptyDataError, match=r"p\.lmdb"):
        FaceDataset(source, ["age", "race"])


def test_fabric_moves_a_batch_that_names_failures() -> None:
    failures = [ImageFailure("a.jpg", "broken")]
    batch = FaceBatch(torch.zeros(1, 3, 2, 2), torch.zeros(1, 1), torch.zeros(1), failures)
    moved = move_data_to_device(batch, torch.device("meta"))
    assert isinstance(moved, FaceBatch)
    assert {tensor.device.type for tensor in moved[:3]} == {"meta"}
    assert moved.failures == failures


@pytest.mark.faces
def test_the_real_list_is_read_with_its_spaced_name(faces_data: Path) -> None:
    folder = faces_data / "utkface"
    dataset = FaceDataset(open_source(folder / "images", folder / "train.txt"), ["race", "gender", "age"])
    spaced = [row for row in range(len(dataset)) if " " in dataset.source.name(row)]
    assert spaced
    batch = dataset.__getitems__([0, *spaced])
    assert not batch.failures
    assert batch.images.shape == (1 + len(spaced), 3, 112, 112)
