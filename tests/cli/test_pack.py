from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from face_analysis.datasets.lmdb.reader import LmdbReader
from tests.cli.conftest import Run


@pytest.mark.parametrize(
    ("dest", "written"),
    [
        ("new/faces.lmdb", "new/faces.lmdb"),
        ("new", "new/patterns.lmdb"),
        ("new -n other", "new/other.lmdb"),
    ],
)
def test_the_lmdb_lies_where_it_is_asked_for_beside_its_configuration(
    run: Run, patterns: Path, tmp_path: Path, dest: str, written: str
) -> None:
    status, out, _ = run(f"pack -l {patterns} -s {patterns.parent} -a age -d {tmp_path}/{dest}")
    path = tmp_path / written
    assert status == 0
    assert out.startswith(f"{path}: 60 images")
    assert path.is_file()
    config = yaml.safe_load(Path(f"{path}.config.yaml").read_text())
    assert config["attribute"] == "age"
    assert config["list"] == str(patterns)


def test_a_folder_of_subfolders_becomes_classes_and_needs_no_list(
    run: Run, tmp_path: Path, patterns: Path
) -> None:
    for name in ("bo", "al"):
        (tmp_path / "people" / name).mkdir(parents=True)
        (tmp_path / "people" / name / "1.jpg").write_bytes(
            (patterns.parent / "patterns/000000.jpg").read_bytes()
        )
    status, out, _ = run(f"pack -s {tmp_path}/people -d {tmp_path} -n named")
    assert status == 0
    assert out.startswith(f"{tmp_path}/named.lmdb: 2 images")
    status, _, err = run(f"pack -s {tmp_path}/people -a age -d {tmp_path}")
    assert (status, "--list" in err) == (2, True)


def test_verify_tells_a_whole_file_from_a_damaged_one(run: Run, patterns: Path, tmp_path: Path) -> None:
    run(f"pack -l {patterns} -s {patterns.parent} -a age -d {tmp_path}/p.lmdb")
    status, out, _ = run(f"pack verify {tmp_path}/p.lmdb")
    assert (status, out.strip()) == (0, f"{tmp_path}/p.lmdb: whole, 60 images")
    data = bytearray((tmp_path / "p.lmdb").read_bytes())
    at = data.index((patterns.parent / "patterns/000030.jpg").read_bytes()) + 500
    data[at] ^= 1
    (tmp_path / "p.lmdb").write_bytes(data)
    status, _, err = run(f"pack verify {tmp_path}/p.lmdb")
    assert (status, "damaged" in err) == (2, True)


def test_photos_are_packed_aligned_or_taken_whole(run: Run, photos: Path, tmp_path: Path) -> None:
    names = ["hopper.jpg", "empty.png", "sub/broken.jpg"]
    image_list = tmp_path / "people.txt"
    image_list.write_text("".join(f"{name} {row}\n" for row, name in enumerate(names)))
    words = f"pack -l {image_list} -s {photos} -d {tmp_path}/p.lmdb --align"
    status, out, _ = run(words)
    assert (status, ": 1 images" in out) == (1, True)
    errors = (tmp_path / "p.lmdb.errors.csv").read_text()
    assert "empty.png: no face found" in errors
    assert "sub/broken.jpg" in errors
    status, out, _ = run(f"{words} --whole --size 64 --overwrite")
    assert (status, ": 2 images" in out) == (1, True)
    status, _, err = run(f"{words} --strict --overwrite")
    assert (status, "--strict" in err) == (1, True)
    assert LmdbReader(tmp_path / "p.lmdb").class_count == 2, "the former file stays"


@pytest.mark.parametrize("wrong", ["--quality 0", "--size 0", "--whole", "-w -1"])
def test_wrong_options_are_named(run: Run, patterns: Path, tmp_path: Path, wrong: str) -> None:
    status, _, err = run(f"pack -l {patterns} -s {patterns.parent} -a age -d {tmp_path}/p.lmdb {wrong}")
    assert (status, "--" in err) == (2, True)
    assert not (tmp_path / "p.lmdb").exists()
