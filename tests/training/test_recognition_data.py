from __future__ import annotations

import csv
import logging
import pickle
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from face_analysis.datasets.faces import FaceDataset
from face_analysis.datasets.lists.image_list import read_image_list
from face_analysis.datasets.pack import pack
from face_analysis.datasets.sources import FolderSource, folder_of_classes, open_source
from face_analysis.errors import (
    EmptyDataError,
    FaceAnalysisError,
    MissingFileError,
    ModelMismatchError,
    PackedFileError,
    UsageError,
)
from face_analysis.training.options import TrainOptions
from face_analysis.training.recognition_data import class_count, number_people, val_sets
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
    monkeypatch.setattr("face_analysis.training.fitting.free_memory", lambda: 32 * 2**30)
    with pytest.raises(UsageError, match="20,000,000 classes of 512 numbers"):
        class_count(10, recognition(num_classes=20_000_000, embedding_size=512))
    assert class_count(10, recognition(num_classes=93_431, embedding_size=512)) == 93_431
    with pytest.raises(UsageError, match="--num_classes 9: the images are of 10 people"):
        class_count(10, recognition(num_classes=9))


def test_people_of_any_numbers_from_a_list_an_lmdb_and_a_rec_train_as_those_from_zero(
    recognition: MakeOptions, renumber: Callable[..., Path], tmp_path: Path
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
    recognition: MakeOptions, renumber: Callable[..., Path], tmp_path: Path
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
    recognition: MakeOptions, tmp_path: Path, caplog: pytest.LogCaptureFixture
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
    recognition: MakeOptions, options: MakeOptions, tmp_path: Path
) -> None:
    train(recognition(epochs=1))
    assert (tmp_path / "run" / "people.csv").is_file()
    train(options(epochs=1, overwrite=True))
    assert not (tmp_path / "run" / "people.csv").exists()


Bin = Callable[..., Path]


@pytest.fixture
def write_bin(people: Path, tmp_path: Path) -> Bin:
    """Writes `tmp_path/sets/NAME.bin` of pairs with these truths; some of its images may be cut short."""
    images = [Path(name).read_bytes() for name in read_image_list(people).images]

    def write(name: str, truths: list[bool], broken: tuple[int, ...] = ()) -> Path:
        chosen = [images[number % len(images)] for number in range(2 * len(truths))]
        encoded = [image[:300] if number in broken else image for number, image in enumerate(chosen)]
        path = tmp_path / "sets" / f"{name}.bin"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pickle.dumps((encoded, truths), protocol=4))
        return path

    return write


@pytest.fixture
def opened(recognition: MakeOptions, tmp_path: Path) -> Callable[..., list[str]]:
    """The names of the sets that `--val_list` with these words opens in `tmp_path/sets`."""

    def names(*words: str) -> list[str]:
        sets = val_sets(recognition(val_source=tmp_path / "sets", val_list=words))
        return [pair_set.path.stem for pair_set in sets]

    return names


GOOD = [True, False] * 10


@pytest.mark.parametrize(
    ("truths", "message"),
    [
        ([True] * 12, "12 pairs of one person and 0 of two; verification needs both"),
        ([False] * 12, "0 pairs of one person and 12 of two"),
        ([True], "1 pairs of one person and 0 of two"),
        ([True, False], "too few"),
        ([True, True, False], "too few"),
        ([False] * 15 + [True], "too few"),
    ],
)
def test_a_set_that_no_accuracy_can_be_taken_of_is_refused(
    write_bin: Bin, opened: Callable[..., list[str]], truths: list[bool], message: str
) -> None:
    write_bin("good", GOOD)
    write_bin("poor", truths)
    with pytest.raises(EmptyDataError, match=rf"poor\.bin: .*{message}"):
        opened("good", "poor")


def test_the_pairs_that_can_be_read_are_what_is_judged(
    write_bin: Bin, opened: Callable[..., list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    write_bin("partly", GOOD, broken=(0, 7))
    assert opened("partly") == ["partly"]
    assert "2 pairs have an image that cannot be read" in caplog.text
    write_bin("lost", [True, True, *[False] * 10], broken=(0, 3))
    with pytest.raises(EmptyDataError, match="0 pairs of one person and 10 of two"):
        opened("lost")
    write_bin("nothing", GOOD, broken=tuple(range(40)))
    with pytest.raises(EmptyDataError, match="no pair is left"):
        opened("nothing")


def test_few_pairs_are_judged_and_told(
    write_bin: Bin, opened: Callable[..., list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    write_bin("four", [True, False, False, True])
    assert opened("four") == ["four"]
    assert "2 pairs of one person and 2 of two" in caplog.text
    assert "in 4 folds" in caplog.text
    assert "4 pairs; each counts for 25 % of accuracy" in caplog.text


def test_a_set_that_is_not_there_is_a_warning_beside_others_and_else_an_error(
    write_bin: Bin, opened: Callable[..., list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    write_bin("lfw", GOOD)
    write_bin("agedb_30", GOOD)
    assert opened("[lfw,", "cpf_fp,", "agedb_30]") == ["lfw", "agedb_30"]
    assert "cpf_fp; the score is of the other sets alone" in caplog.text
    with pytest.raises(MissingFileError, match="calfw"):
        opened("calfw", "cplfw")


@pytest.mark.parametrize(
    "words",
    [
        ("[lfw,", "cpf_fp,", "agedb_30]"),
        ("['lfw', 'cpf_fp', 'agedb_30']",),
        ('["lfw","cfp_fp","agedb_30"]',),
        ("lfw,cfp_fp,agedb_30",),
        ("lfw", "cfp_fp.bin", "agedb_30"),
    ],
)
def test_the_names_may_come_as_a_shell_hands_a_python_list_over(
    write_bin: Bin, opened: Callable[..., list[str]], caplog: pytest.LogCaptureFixture, words: tuple[str, ...]
) -> None:
    for name in ("lfw", "cfp_fp", "agedb_30"):
        write_bin(name, GOOD)
    assert opened(*words) == ["lfw", "cfp_fp", "agedb_30"]
    assert caplog.records == []


@pytest.mark.parametrize("content", [b"", b"no pickle at all", pickle.dumps({"pairs": 3})])
def test_a_set_that_cannot_be_read_is_refused_though_others_can(
    write_bin: Bin, opened: Callable[..., list[str]], content: bytes
) -> None:
    write_bin("lfw", GOOD)
    write_bin("cfp_fp", GOOD).write_bytes(content)
    with pytest.raises(PackedFileError, match=r"cfp_fp\.bin"):
        opened("lfw", "cpf_fp")


def test_a_set_whose_folder_lacks_a_file_is_refused_and_not_left_out(
    write_bin: Bin, opened: Callable[..., list[str]], sets: Path, tmp_path: Path
) -> None:
    write_bin("lfw", GOOD)
    shutil.copytree(sets / "one", tmp_path / "sets" / "cfp_fp")
    (tmp_path / "sets" / "cfp_fp" / "images.npy").unlink()
    for name in ("cfp_fp", "cpf_fp"):
        with pytest.raises(FaceAnalysisError, match=r"images\.npy"):
            opened("lfw", name)


def test_a_set_counts_once_and_two_of_one_name_are_refused(
    write_bin: Bin, opened: Callable[..., list[str]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = write_bin("lfw", GOOD)
    assert opened("lfw", "lfw.bin") == ["lfw"]
    assert "named twice" in caplog.text
    (tmp_path / "sets" / "other").mkdir()
    shutil.copy(first, tmp_path / "sets" / "other" / "lfw.bin")
    with pytest.raises(UsageError, match="have one name"):
        opened("lfw", "other/lfw")
