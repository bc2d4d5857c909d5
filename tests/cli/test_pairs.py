from __future__ import annotations

import csv
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from face_analysis.datasets.pairs.sets import open_pairs
from face_analysis.images.align import align_chip
from face_analysis.images.decode import decode
from face_analysis.images.detect import YuNet
from face_analysis.zoo.find import find
from tests.cli.conftest import Run

ROOT = Path(__file__).parents[2]


def write_bin(path: Path, patterns: Path, names: list[str], same: list[bool]) -> None:
    """A `.bin` file of generated pictures; the name `broken` is no picture."""
    files = {file.stem: file.read_bytes() for file in (patterns.parent / "patterns").iterdir()}
    images = [files.get(name, b"broken") for name in names]
    path.write_bytes(pickle.dumps((images, same), 2))


def errors(folder: Path) -> list[str]:
    with (folder / "errors.csv").open(newline="") as file:
        return [row["path"] for row in csv.DictReader(file)]


def test_the_original_script_makes_a_folder_of_every_bin_file(patterns: Path, tmp_path: Path) -> None:
    write_bin(tmp_path / "lfw.bin", patterns, ["000000", "000001", "000001", "000002"], [True, False])
    write_bin(tmp_path / "agedb_30.bin", patterns, ["000003", "000004", "broken", "000003"], [False, True])
    (tmp_path / "train.rec").write_bytes(b"of no concern")
    command = [sys.executable, str(ROOT / "utils/prepare_test_sets.py"), "-r", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1, result.stderr
    assert result.stdout.splitlines() == [
        f"{tmp_path}/agedb_30: 2 images, 0 without a face found; 1 pairs, 1 left out",
        f"{tmp_path}/lfw: 3 images, 0 without a face found; 2 pairs, 0 left out",
    ]
    assert errors(tmp_path / "agedb_30") == ["agedb_30.bin[2]"]
    assert not (tmp_path / "lfw" / "errors.csv").exists()
    built, packed = open_pairs(tmp_path / "lfw"), open_pairs(tmp_path / "lfw.bin")
    np.testing.assert_array_equal(built.images, packed.images)
    assert built.names == packed.names
    for row in range(3):
        with Image.open(patterns.parent / "patterns" / f"{row:06d}.jpg") as expected:
            assert np.abs(built.images[row].astype(int) - np.asarray(expected)).max() <= 1


def test_a_damaged_bin_file_stops_nobody_else(run: Run, patterns: Path, tmp_path: Path) -> None:
    write_bin(tmp_path / "b.bin", patterns, ["000000", "000001"], [True])
    (tmp_path / "a.bin").write_bytes(b"damaged")
    status, out, err = run(f"pairs build -s {tmp_path} -d {tmp_path}/sets")
    assert status == 1
    assert out.startswith(f"{tmp_path}/sets/b: 2 images")
    assert f"{tmp_path}/a.bin: no verification set" in err
    assert [path.name for path in (tmp_path / "sets").iterdir()] == ["b"]
    status, out, err = run(f"pairs build -s {tmp_path}/a.bin")
    assert (status, out) == (2, "")
    assert f"{tmp_path}/a.bin: no verification set" in err


def test_photos_are_aligned_once_each_and_broken_ones_take_their_pairs_along(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    listed = tmp_path / "people.txt"
    pairs = [
        ("sub/astronaut.jpg", "sub/turned.jpg", 1),
        ("hopper.jpg", "sub/astronaut.jpg", 0),
        ("hopper.jpg", "sub/broken.jpg", 1),
        ("empty.png", "hopper.jpg", 0),
        ("gone.jpg", "hopper.jpg", 0),
    ]
    listed.write_text("".join(f"{first} {same}\n{second} {same}\n" for first, second, same in pairs))
    status, out, _ = run(f"pairs build -s {photos} --protocol list --pairs {listed} -d {tmp_path}")
    folder = tmp_path / "people"
    assert status == 1
    assert out == f"{folder}: 4 images, 1 without a face found; 3 pairs, 2 left out\n"
    assert errors(folder) == ["sub/broken.jpg", "gone.jpg"]
    assert yaml.safe_load((folder / "config.yaml").read_text())["pairs"] == str(listed)
    opened = open_pairs(folder)
    found = dict(zip(opened.names, opened.found.tolist(), strict=True))
    assert found == {
        "sub/astronaut.jpg": True,
        "sub/turned.jpg": True,
        "hopper.jpg": True,
        "empty.png": False,
    }
    rows = zip(opened.pairs.first, opened.pairs.second, opened.pairs.same, strict=True)
    assert [(opened.names[a], opened.names[b], same) for a, b, same in rows] == [pairs[0], pairs[1], pairs[3]]
    detector = YuNet(find("yunet"))
    for name in ("sub/astronaut.jpg", "hopper.jpg"):
        photo = decode((photos / name).read_bytes(), name)
        (face,) = detector.detect(photo)
        expected = align_chip(photo, face.landmarks)
        np.testing.assert_array_equal(opened.images[opened.names.index(name)], expected)


def test_wrong_options_are_named(run: Run, photos: Path, patterns: Path, tmp_path: Path) -> None:
    (tmp_path / "sets").mkdir()
    for name in ("a", "b"):
        write_bin(tmp_path / "sets" / f"{name}.bin", patterns, ["000000", "000001"], [True])
    for words, message in (
        ("", "usage"),
        ("fly", "usage"),
        (f"build -s {photos} --protocol lfw", "--dest"),
        (f"build -s {photos} --protocol lfw -d {tmp_path}", "pairs.txt"),
        (f"build -s {photos} --protocol cfp_fp -d {tmp_path}", "Pair_list_F.txt"),
        (f"build -s {photos} --protocol cfp_fp --pairs a -d {tmp_path}", "--pairs"),
        (f"build -s {photos}", "no .bin file"),
        (f"build -s {tmp_path}/none", "none"),
        (f"build -s {tmp_path}/sets -n one", "--name"),
        (f"build -s {tmp_path}/sets -w -1", "--workers"),
    ):
        status, out, err = run(f"pairs {words}")
        assert (status, out) == (2, ""), words
        assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["sets"]


@pytest.mark.faces
def test_some_pairs_of_lfw_are_built_from_its_photos(run: Run, faces_data: Path, tmp_path: Path) -> None:
    lines = (faces_data / "lfw" / "pairs.txt").read_text().splitlines()
    listed = tmp_path / "pairs.txt"
    listed.write_text("\n".join(["1\t4", *lines[1:5], *lines[301:305]]) + "\n")
    status, _, _ = run(
        f"pairs build -s {faces_data}/lfw/images --protocol lfw --pairs {listed} -d {tmp_path}"
    )
    assert status == 0
    opened = open_pairs(tmp_path / "lfw")
    assert opened.pairs.same.tolist() == [True] * 4 + [False] * 4
    people = [name.split("/")[0] for name in opened.names]
    rows = zip(opened.pairs.first, opened.pairs.second, strict=True)
    assert [people[first] == people[second] for first, second in rows] == opened.pairs.same.tolist()
    assert opened.found.all()
