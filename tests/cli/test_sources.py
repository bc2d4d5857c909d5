"""What goes into the commands: what of a folder is left out is told once, and files stand in for folders."""

from __future__ import annotations

import csv
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from face_analysis.cli.main import main
from face_analysis.datasets.lists.image_list import read_image_list
from face_analysis.datasets.lmdb.reader import LmdbReader
from tests.cli.conftest import Run
from tests.datasets.record_files import labelled, write_records


def pictures(patterns: Path) -> list[bytes]:
    return [file.read_bytes() for file in sorted((patterns.parent / "patterns").iterdir())]


@pytest.fixture
def people(patterns: Path, tmp_path: Path) -> Path:
    """Two people with two pictures each, beside files and folders that are none."""
    folder = tmp_path / "people"
    for name, picture in zip(
        ("ann/1.jpg", "ann/2", "bo/1.jpg", "bo/2.png"), pictures(patterns), strict=False
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture)
    for name in ("notes.txt", "ann/list.TXT", "bo/clip.mp4", ".git/x.jpg", "bo/@eaDir/x.jpg", "bo/._1.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"of no concern")
    return folder


TOLD = [
    "4 files left out: 2 .txt, 1 .mp4, 1 hidden",
    "hidden and system folders not searched: .git, bo/@eaDir",
]
COMMANDS = {
    "predict by word": "predict {folder} --aligned -m {model} -d {out}",
    "predict to stdout": "predict {folder} --aligned -m {model}",
    "predict by source": "predict -s {folder} --aligned -m {model} -d {out}",
    "extract": "extract -s {folder} --aligned -d {out}",
    "align": "align {folder} {out} --whole",
    "pack": "pack -s {folder} -d {out}",
    "audit": "audit {folder} -d {out}",
    "annotations": "annotations normalize rfw -s {folder} -d {out}/list.csv",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_that_searches_a_folder_tells_once_what_it_leaves_out(
    people: Path, models: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture, command: str
) -> None:
    words = COMMANDS[command].format(folder=people, model=models["joint"], out=tmp_path / "out")
    main(words.split())
    told = [message for message in caplog.messages if "left out" in message or "searched" in message]
    assert told == [f"{people}: {sentence}" for sentence in TOLD]


def test_what_is_left_out_goes_to_stderr(people: Path, models: dict[str, Path]) -> None:
    command = [sys.executable, "-m", "face_analysis.cli.main", "predict", str(people), "--aligned", "-m"]
    done = subprocess.run([*command, str(models["joint"])], capture_output=True, text=True, check=True)
    assert [done.stderr.count(sentence) for sentence in TOLD] == [1, 1]
    assert done.stdout.count("\n") == 4


def test_people_are_the_folders_that_are_not_hidden(run: Run, people: Path, tmp_path: Path) -> None:
    status, out, _ = run(f"pack -s {people} -d {tmp_path}/p.lmdb")
    assert (status, out) == (0, f"{tmp_path}/p.lmdb: 4 images; 0 without a known recognition left out\n")
    assert LmdbReader(tmp_path / "p.lmdb").labels["class"].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("name", ["photo.jpg", "GOOGLE.HEIC", "noending"])
def test_a_photo_stands_in_for_a_folder(run: Run, photos: Path, tmp_path: Path, name: str) -> None:
    photo = tmp_path / name
    photo.write_bytes((photos / "hopper.jpg").read_bytes())
    status, out, _ = run(f"predict {photo}")
    assert (status, out.startswith(f"{photo}: face at")) == (0, True)
    assert run(f"predict -s {photo} -d {tmp_path}/p")[0] == 0
    assert run(f"extract -s {photo} -d {tmp_path}/e")[0] == 0
    assert np.load(tmp_path / "e" / "embeddings.npy").shape == (1, 128)
    assert run(f"align {photo} {tmp_path}/a")[0] == 0
    assert len(read_image_list(tmp_path / "a" / "chips.csv")) == 1
    assert run(f"audit {photo} -d {tmp_path}/u")[0] == 0


@pytest.mark.parametrize(
    "words",
    [
        *("predict {file}", "predict -s {file}", "extract -s {file} -d {out}", "align {file} {out}"),
        *("pack -s {file} -d {out}", "calibrate -s {file} -m {model} -d {out}"),
        "train -a race -ts {file} -t {file} -v {file} -vs {file} -o {out}",
    ],
)
def test_a_list_given_as_the_source_is_named_with_the_option_that_takes_it(
    run: Run, patterns: Path, models: dict[str, Path], tmp_path: Path, words: str
) -> None:
    status, out, err = run(words.format(file=patterns, model=models["race"], out=tmp_path / "out"))
    assert (status, out) == (2, "")
    assert f"{patterns} is a text file, not" in err
    assert "--image_list" in err
    assert not (tmp_path / "out").exists()


def test_a_heic_photo_without_its_reader_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64))
    for words in (f"predict {tmp_path}", f"predict {tmp_path}/IMG_1.HEIC"):
        status, out, err = run(words)
        assert (status, out) == (1, "")
        assert "IMG_1.HEIC: " in err


def test_names_that_are_not_utf8_go_through_the_commands(
    run: Run, patterns: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    name = os.fsdecode(b"p/caf\xe9.jpg")
    (tmp_path / "in" / "p").mkdir(parents=True)
    (tmp_path / "in" / name).write_bytes(pictures(patterns)[0])
    source = tmp_path / "in"
    assert run(f"pack -s {source} -d {tmp_path}/p.lmdb")[0] == 0
    assert LmdbReader(tmp_path / "p.lmdb").name(0) == name
    assert run(f"audit {source} -d {tmp_path}/u --fix first")[0] == 0
    assert read_image_list(tmp_path / "u" / "cleaned" / "in.csv").images == [name]
    assert run(f"predict -s {source} --aligned -m {models['joint']} -d {tmp_path}/o")[0] == 0
    with (tmp_path / "o" / "in_predictions.csv").open(errors="surrogateescape", newline="") as file:
        assert [row["path"] for row in csv.DictReader(file)] == [name]
    assert run(f"extract -s {tmp_path}/p.lmdb --aligned -d {tmp_path}/e")[0] == 0
    assert name in (tmp_path / "e" / "index.csv").read_text(errors="surrogateescape")


def recognition_records(folder: Path, images: Sequence[bytes]) -> None:
    """`train.rec` with three images of each person, and a verification set, as InsightFace hands them on."""
    folder.mkdir()
    records = [labelled(image, number // 3) for number, image in enumerate(images)]
    write_records(folder / "train.rec", [labelled(b"", len(images) + 1, len(images) + 2), *records])
    (folder / "property").write_text("4,112,112\n")
    (folder / "lfw.bin").write_bytes(
        pickle.dumps((list(images), [n % 2 == 0 for n in range(len(images) // 2)]))
    )


def test_the_folder_of_train_rec_is_a_source_of_every_command(
    run: Run, patterns: Path, tmp_path: Path
) -> None:
    folder, images = tmp_path / "ms1m", pictures(patterns)[:20]
    recognition_records(folder, images)
    small = "--backbone mobilefacenet --width 0.125 --embedding_size 32 -e 1 -b 4 -w 0 --validations 1"
    status, out, _ = run(f"train -a recognition -ts {folder} -vs {folder} -v lfw -o {tmp_path}/run {small}")
    assert (status, "| lfw |" in out) == (0, True)
    status, out, _ = run(f"pack -s {folder} -d {tmp_path}")
    assert (status, out.split(";")[0]) == (0, f"{tmp_path}/ms1m.lmdb: 20 images")
    assert LmdbReader(tmp_path / "ms1m.lmdb").record(4)[:2] == (images[4], 1)
    assert run(f"extract -s {folder} --aligned -d {tmp_path}/e")[0] == 0
    with (tmp_path / "e" / "index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["path"], row["label"]) for row in rows[:4]] == [
        (f"train.rec[{n + 1}]", str(n // 3)) for n in range(4)
    ]
    status, out, _ = run(f"audit {folder} -d {tmp_path}/u")
    assert (status, "20" in out) == (0, True)


def test_pairs_are_built_of_lfw_in_any_format(run: Run, patterns: Path, tmp_path: Path) -> None:
    for name, picture in zip(
        ("Ann/Ann_0001.png", "Ann/Ann_0002.jpeg", "Bo/Bo_0001.webp"), pictures(patterns), strict=False
    ):
        (tmp_path / "lfw" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "lfw" / name).write_bytes(picture)
    (tmp_path / "lfw" / "pairs.txt").write_bytes(b"1\r\nAnn\t1\t2\r\nAnn\t1\tBo\t1\r\n")
    status, out, err = run(f"pairs build -s {tmp_path}/lfw --protocol lfw -d {tmp_path}/sets")
    assert (status, out.split(": ")[1][:8]) == (0, "3 images"), err
    for words, reason in (
        ("", "JPEG picture, not a .bin file"),
        ("--protocol lfw -d x", "with --protocol give the folder"),
    ):
        status, _, err = run(f"pairs build -s {tmp_path}/lfw/Ann/Ann_0002.jpeg {words}")
        assert (status, reason in err) == (2, True)


def test_fairface_is_normalised_and_what_became_of_its_labels_is_told(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    (tmp_path / "f.csv").write_text(
        "file,age,gender,race,service_test\ntrain/1.jpg,20-29,Female,Middle Eastern,True\n"
    )
    status, _, _ = run(f"annotations normalize fairface -i {tmp_path}/f.csv -d {tmp_path}/list.csv")
    assert (status, (tmp_path / "list.csv").read_text()) == (0, "path,race,gender,age\ntrain/1.jpg,4,0,24\n")
    assert "Latino_Hispanic and Middle Eastern 4" in caplog.text
    assert "20-29 as 24" in caplog.text
