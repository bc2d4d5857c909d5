"""The people of a recognition training: numbered from 0 whatever their numbers are, and kept with the run."""

from __future__ import annotations

import csv
import logging
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from face_analysis.datasets.faces import FaceDataset
from face_analysis.datasets.lists.image_list import read_image_list
from face_analysis.datasets.pack import pack
from face_analysis.datasets.sources import FolderSource, folder_of_classes, open_source
from face_analysis.errors import EmptyDataError, ModelMismatchError, UsageError
from face_analysis.training.options import TrainOptions
from face_analysis.training.people import class_count, number_people
from face_analysis.training.run import train
from tests.datasets.record_files import labelled, write_records
from tests.training.runs import content, same, saved_weights

MakeOptions = Callable[..., TrainOptions]


@pytest.fixture
def renumber(people: Path, tmp_path: Path) -> Callable[[str, Callable[[int], object]], Path]:
    """Writes `people` with other numbers."""

    def write(name: str, number: Callable[[int], object]) -> Path:
        lines = [line.split(" ") for line in people.read_text().splitlines()]
        (tmp_path / name).write_text("".join(f"{path} {number(int(kind))}\n" for path, kind in lines))
        return tmp_path / name

    return write


def numbered(path: Path) -> tuple[FaceDataset, tuple[str, ...]]:
    dataset = FaceDataset(open_source(None, path), ("class",))
    return dataset, number_people(dataset)


@pytest.mark.parametrize("shift", [(100, 7), (20_210_000, 1), (0, 1000)])
def test_numbers_with_gaps_become_those_of_a_plain_count(
    renumber: Callable[..., Path], shift: tuple[int, int]
) -> None:
    first, step = shift
    path = renumber("list.txt", lambda kind: first + step * kind if kind != 4 else -7)
    dataset, people = numbered(path)
    listed = [int(line.rsplit(" ", 1)[1]) for line in path.read_text().splitlines()]
    known = sorted({number for number in listed if number >= 0})
    assert people == tuple(map(str, known))
    assert dataset.labels[:, 0].tolist() == [known.index(number) for number in listed if number >= 0]
    assert dataset.left_out["class"] == listed.count(-7) > 0


def test_people_are_called_what_their_source_calls_them(people: Path, tmp_path: Path) -> None:
    lines = [line.split(" ") for line in people.read_text().splitlines()]
    listed = tmp_path / "list.csv"
    listed.write_text("path,subject\n" + "".join(f"{path},p{9 - int(kind)}\n" for path, kind in lines))
    dataset, names = numbered(listed)
    assert [names[code] for code in dataset.labels[:, 0]] == [f"p{9 - int(kind)}" for _, kind in lines]
    for row, (path, kind) in enumerate(lines):
        place = tmp_path / "folders" / f"who {kind}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{row}.jpg").write_bytes(Path(path).read_bytes())
    folders = FaceDataset(folder_of_classes(tmp_path / "folders"), ("class",))
    assert number_people(folders) == tuple(sorted({f"who {kind}" for _, kind in lines}))


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (lambda kind: 100 + 7 * kind, "54 of the 64 classes from 100 to 163 are without an image"),
        (lambda kind: kind if kind else 5_000_000, "4,999,990 of the 5,000,000 classes from 1 to 5000000"),
        (lambda kind: 3 * kind, "18 of the 28 classes from 0 to 27"),
    ],
)
def test_numbers_with_more_gaps_than_people_are_told(
    renumber: Callable[..., Path],
    caplog: pytest.LogCaptureFixture,
    number: Callable[[int], int],
    message: str,
) -> None:
    numbered(renumber("list.txt", number))
    assert [message in record.message for record in caplog.records] == [True]


def test_people_without_a_second_image_and_numbers_beyond_float32_are_told(
    people: Path, tmp_path: Path, renumber: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    numbered(renumber("list.txt", lambda kind: kind + 30))
    assert caplog.records == []
    images = [line.split(" ")[0] for line in people.read_text().splitlines()]
    (tmp_path / "one.txt").write_text("".join(f"{path} {row}\n" for row, path in enumerate(images)))
    numbered(tmp_path / "one.txt")
    assert "no person in" in caplog.text
    records = [
        labelled(Path(path).read_bytes(), 20_210_000.0 + 2 * (row % 3)) for row, path in enumerate(images)
    ]
    write_records(tmp_path / "large.rec", records)
    number_people(FaceDataset(open_source(tmp_path / "large.rec", None, "recognition"), ("class",)))
    assert "float32, which merges neighbours" in caplog.text


def test_one_person_or_none_is_refused(renumber: Callable[..., Path]) -> None:
    with pytest.raises(EmptyDataError, match="one person only"):
        numbered(renumber("one.txt", lambda kind: 300 if kind else -1))
    with pytest.raises(EmptyDataError, match="no row has a known class"):
        numbered(renumber("none.txt", lambda kind: -1 - kind))


@pytest.mark.parametrize("changes", [{"num_classes": 20_000_000_000}, {"embedding_size": 2**36}])
def test_a_head_that_cannot_fit_is_refused_before_memory_is_taken(
    recognition: MakeOptions, changes: dict[str, object]
) -> None:
    tracemalloc.start()
    with pytest.raises(UsageError, match=r"the head does not fit into memory: .* MiB are free"):
        class_count(10, recognition(**changes))
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_twenty_million_classes_need_what_a_machine_of_32_gigabytes_lacks(
    recognition: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("face_analysis.training.people.free_memory", lambda: 32 * 2**30)
    with pytest.raises(UsageError, match="20,000,000 classes of 512 numbers"):
        class_count(10, recognition(num_classes=20_000_000, embedding_size=512))
    assert class_count(10, recognition(num_classes=93_431, embedding_size=512)) == 93_431
    with pytest.raises(UsageError, match="--num_classes 9: the images are of 10 people"):
        class_count(10, recognition(num_classes=9))


def test_people_of_any_numbers_from_a_list_an_lmdb_and_a_rec_train_as_those_from_zero(
    recognition: MakeOptions, renumber: Callable[..., Path], tmp_path: Path, one_layer: None
) -> None:
    train(recognition(epochs=1, output=tmp_path / "dense"))
    dense = saved_weights(tmp_path / "dense")
    listed = renumber("list.txt", lambda kind: 100 + 7 * kind)
    source = FolderSource(read_image_list(listed))
    pack(source, tmp_path / "people.lmdb", "recognition")
    labels = source.labels["class"].tolist()
    write_records(
        tmp_path / "people.rec",
        [labelled(source.read(row), float(label)) for row, label in enumerate(labels)],
    )
    for name, given in {
        "list": {"train_list": listed},
        "lmdb": {"train_list": None, "train_source": tmp_path / "people.lmdb"},
        "rec": {"train_list": None, "train_source": tmp_path / "people.rec"},
    }.items():
        train(recognition(epochs=1, output=tmp_path / name, **given))
        assert same(saved_weights(tmp_path / name), dense)
        last = content(tmp_path / name / "checkpoints" / "last.ckpt")
        assert last["people"] == [str(100 + 7 * kind) for kind in range(10)]
        with (tmp_path / name / "people.csv").open(newline="") as file:
            table = {int(row["class"]): row["person"] for row in csv.DictReader(file)}
        assert table == dict(enumerate(last["people"]))


def test_a_run_goes_on_with_the_same_people_and_no_others(
    recognition: MakeOptions, renumber: Callable[..., Path], tmp_path: Path, one_layer: None
) -> None:
    first, run = renumber("list.txt", lambda kind: 100 + 7 * kind), tmp_path / "run"
    train(recognition(epochs=2, train_list=first, output=tmp_path / "whole"))
    train(recognition(epochs=1, train_list=first))
    before = sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*"))
    others = {
        "`163` is missing": renumber("other.txt", lambda kind: 100 + 7 * kind + (kind == 9)),
        "a run of 10 people, and these images are of 9": renumber(
            "fewer.txt", lambda kind: 100 + 7 * (kind % 9)
        ),
    }
    for message, path in others.items():
        with pytest.raises(ModelMismatchError, match=message):
            train(recognition(epochs=2, train_list=path, resume=run))
    assert sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*")) == before
    train(recognition(epochs=2, train_list=first, resume=run))
    assert same(saved_weights(run), saved_weights(tmp_path / "whole"))


def test_more_classes_than_people_leave_the_last_ones_without_images(
    recognition: MakeOptions, tmp_path: Path, one_layer: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    train(recognition(epochs=1, num_classes=14))
    assert "4 of the classes are without an image" in caplog.text
    assert content(tmp_path / "run" / "checkpoints" / "last.ckpt")["people"] == [
        str(kind) for kind in range(10)
    ]
    with pytest.raises(ModelMismatchError, match="a run of classes 14, not of 10"):
        train(recognition(epochs=2, resume=tmp_path / "run"))


def test_a_run_of_attributes_in_the_place_of_one_of_recognition_leaves_no_people(
    recognition: MakeOptions, options: MakeOptions, tmp_path: Path, one_layer: None
) -> None:
    train(recognition(epochs=1))
    assert (tmp_path / "run" / "people.csv").is_file()
    train(options(epochs=1, overwrite=True))
    assert not (tmp_path / "run" / "people.csv").exists()
