from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from face_analysis.datasets.faces import FaceDataset, collate
from face_analysis.datasets.pack import pack
from face_analysis.datasets.record_source import RecordSource
from face_analysis.datasets.sources import ImageSource, open_people, open_photos, open_source
from face_analysis.errors import EmptyDataError, PackedFileError
from tests.datasets.record_files import MAGIC, labelled, write_records

IMAGES = [b"one", b"two" * 50, b"", b"abcd" + MAGIC + b"four"]


def everything(source: RecordSource) -> list[tuple[str, bytes, int]]:
    labels = source.labels["class"].tolist()
    return [(source.name(row), source.read(row), labels[row]) for row in range(len(source))]


def test_plain_records_give_images_labels_and_keys(tmp_path: Path) -> None:
    payloads = [labelled(image, label) for image, label in zip(IMAGES, (3, 0, 16_777_216, 3), strict=True)]
    write_records(tmp_path / "a.rec", payloads, keys=[5, 2, 9, 11])
    source = RecordSource(tmp_path / "a.rec")
    assert everything(source) == [
        ("a.rec[2]", IMAGES[1], 0),
        ("a.rec[5]", IMAGES[0], 3),
        ("a.rec[9]", IMAGES[2], 16_777_216),
        ("a.rec[11]", IMAGES[3], 3),
    ]
    assert (source.origin, source.read_mask(0)) == (tmp_path / "a.rec", None)


def test_of_several_labels_the_first_is_the_class(tmp_path: Path) -> None:
    write_records(tmp_path / "a.rec", [labelled(b"x", 4, 0.5, -1), labelled(b"yz", 6, 1)])
    assert everything(RecordSource(tmp_path / "a.rec")) == [("a.rec[0]", b"x", 4), ("a.rec[1]", b"yz", 6)]


@pytest.mark.parametrize("indexed", [True, False])
def test_record_0_gives_the_range_of_images(tmp_path: Path, indexed: bool) -> None:
    images = [labelled(image, label) for label, image in enumerate(IMAGES)]
    write_records(tmp_path / "a.rec", [labelled(b"", 2, 4), *images])
    if not indexed:
        (tmp_path / "a.rec").with_suffix(".idx").unlink()
    source = RecordSource(tmp_path / "a.rec")
    assert everything(source) == [("a.rec[2]", IMAGES[1], 1), ("a.rec[3]", IMAGES[2], 2)]


@pytest.mark.parametrize("indexed", [True, False])
def test_where_record_0_gives_the_range_of_people_images_are_those_before(
    tmp_path: Path, indexed: bool
) -> None:
    """As InsightFace packs: record 0, images from 1, then a record a person with the range of her images."""
    images = [labelled(image, label) for label, image in enumerate(IMAGES)]
    people = [labelled(b"", 1, 3), labelled(b"", 3, 5)]
    write_records(tmp_path / "a.rec", [labelled(b"", 5, 7), *images, *people])
    if not indexed:
        (tmp_path / "a.rec").with_suffix(".idx").unlink()
    source = RecordSource(tmp_path / "a.rec")
    assert everything(source) == [(f"a.rec[{row + 1}]", IMAGES[row], row) for row in range(4)]


def test_without_the_records_of_people_images_are_those_before_as_well(tmp_path: Path) -> None:
    images = [labelled(image, label) for label, image in enumerate(IMAGES)]
    write_records(tmp_path / "a.rec", [labelled(b"", 5, 7), *images])
    assert len(RecordSource(tmp_path / "a.rec")) == 4


def test_a_range_without_images_is_refused(tmp_path: Path) -> None:
    write_records(tmp_path / "a.rec", [labelled(b"", 1, 1), labelled(b"x", 0)])
    with pytest.raises(EmptyDataError, match=r"a\.rec: record 0 says"):
        RecordSource(tmp_path / "a.rec")


@pytest.mark.parametrize("label", [0.5, float("nan"), float("inf"), -float("inf"), 1e20])
def test_a_label_that_is_no_class_is_named(tmp_path: Path, label: float) -> None:
    write_records(tmp_path / "a.rec", [labelled(b"x", 1), labelled(b"y", label)])
    source = RecordSource(tmp_path / "a.rec")
    assert source.read(1) == b"y"
    with pytest.raises(PackedFileError, match=r"a\.rec: damaged at byte 36, the label"):
        _ = source.labels


def test_records_shorter_than_they_claim_are_named(tmp_path: Path) -> None:
    claims = labelled(b"x" * 40, 1, 2)
    claims = (2**32 - 1).to_bytes(4, "little") + claims[4:]
    write_records(tmp_path / "a.rec", [labelled(b"x", 1)[:20], claims, labelled(b"", 1, 2)[:26]])
    source = RecordSource(tmp_path / "a.rec")
    for row in range(3):
        with pytest.raises(PackedFileError, match="shorter than"):
            source.read(row)


def test_opening_reads_no_label_and_labels_read_no_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_records(tmp_path / "a.rec", [labelled(os.urandom(5000), row) for row in range(50)])
    sizes: list[int] = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda *words: sizes.append(words[1]) or pread(*words))
    source = RecordSource(tmp_path / "a.rec")
    assert sum(sizes) < 200
    assert source.labels["class"].tolist() == list(range(50))
    read = len(sizes)
    assert max(sizes) < 64
    assert source.labels["class"].tolist() == list(range(50))
    assert len(sizes) == read


def test_the_label_takes_the_name_of_the_attribute_asked_for(tmp_path: Path) -> None:
    write_records(tmp_path / "a.rec", [labelled(b"x", 30)])
    for attribute, column in ((None, "class"), ("recognition", "class"), ("age", "age")):
        source = open_source(tmp_path / "a.rec", None, attribute)
        assert {name: values.tolist() for name, values in source.labels.items()} == {column: [30]}
    assert isinstance(open_photos([tmp_path / "a.rec"]), RecordSource)


@pytest.fixture
def packed(patterns: Path, tmp_path: Path) -> Path:
    """Twelve pictures with their age, in a file as InsightFace packs them."""
    lines = [line.split(" ") for line in patterns.read_text().splitlines()][:12]
    images = [labelled((patterns.parent / name).read_bytes(), int(age)) for name, _, _, age in lines]
    write_records(tmp_path / "train.rec", [labelled(b"", 13, 14), *images, labelled(b"", 1, 13)])
    return tmp_path / "train.rec"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_read_what_the_parent_reads(packed: Path, method: str) -> None:
    dataset = FaceDataset(open_source(packed, None, "age"), ["age"])
    alone = list(DataLoader(dataset, batch_size=5, collate_fn=collate))
    loader = DataLoader(
        dataset, batch_size=5, collate_fn=collate, num_workers=2, multiprocessing_context=method
    )
    together = list(loader)
    assert len(alone) == len(together) == 3
    for expected, actual in zip(alone, together, strict=True):
        for left, right in zip(expected[:3], actual[:3], strict=True):
            assert torch.equal(left, right)


def test_it_packs_into_an_lmdb_and_pickles(packed: Path, patterns: Path, tmp_path: Path) -> None:
    source = pickle.loads(pickle.dumps(open_source(packed, None)))
    report = pack(source, tmp_path / "p.lmdb", "recognition")
    assert (report.written, report.failures) == (12, [])
    ages = [int(line.split(" ")[3]) for line in patterns.read_text().splitlines()][:12]
    assert open_source(tmp_path / "p.lmdb", None).labels["class"].tolist() == ages
    assert open_source(tmp_path / "p.lmdb", None).read(3) == source.read(3)


@pytest.mark.parametrize("opened", [lambda folder: open_source(folder, None), open_people])
def test_a_folder_of_train_rec_is_its_records_also_beside_other_files(
    packed: Path, opened: Callable[[Path], ImageSource], caplog: pytest.LogCaptureFixture
) -> None:
    (packed.parent / "property").write_text("12,112,112\n")
    (packed.parent / "lfw.bin").write_bytes(b"of no concern")
    source, direct = opened(packed.parent), RecordSource(packed)
    assert (len(source), source.name(3), source.read(3)) == (12, "train.rec[4]", direct.read(3))
    assert source.labels["class"].tolist() == direct.labels["class"].tolist()
    assert caplog.messages == []
    (packed.parent / "sub").mkdir()
    (packed.parent / "sub" / "a.jpg").touch()
    assert len(opened(packed.parent)) == 12
    assert caplog.messages == [f"{packed.parent}: train.rec is taken, and not the 1 pictures beside it"]


def test_the_one_rec_of_another_name_stands_for_a_folder_without_pictures(packed: Path) -> None:
    for suffix in (".rec", ".idx"):
        packed.with_suffix(suffix).rename(packed.with_name(f"faces{suffix}"))
    assert open_source(packed.parent, None).name(0) == "faces.rec[1]"
    (packed.parent / "a.jpg").touch()
    assert open_source(packed.parent, None).name(0) == "a.jpg"


def test_a_missing_index_is_told_and_gives_the_same(packed: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    before = everything(RecordSource(packed))
    assert caplog.messages == []
    packed.with_suffix(".idx").unlink()
    assert everything(RecordSource(packed)) == before
    assert caplog.messages == [
        f"{packed.with_suffix('.idx')} is not there: train.rec is read through for its records"
    ]


def test_an_index_that_is_cut_short_or_of_another_file_is_refused(packed: Path) -> None:
    index = packed.with_suffix(".idx")
    lines = index.read_text().splitlines(keepends=True)
    index.write_text("".join(lines[:-1]))
    with pytest.raises(PackedFileError, match=r"train\.idx: cut short, records behind byte \d+ of"):
        RecordSource(packed)
    shifted = [f"{key}\t{int(offset) + 4}\n" for key, offset in (line.split("\t") for line in lines[1:-1])]
    index.write_text("".join([lines[0], *shifted]))
    with pytest.raises(PackedFileError, match=r"train\.idx: byte \d+ of train\.rec is no whole record"):
        RecordSource(packed)
    index.write_text("".join(lines))
    packed.write_bytes(packed.read_bytes()[:-60])
    with pytest.raises(PackedFileError, match=r"train\.idx"):
        RecordSource(packed)
