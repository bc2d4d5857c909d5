from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from face_analysis.datasets.attributes import known
from face_analysis.datasets.sources import open_source
from face_analysis.images.align import align_chip
from face_analysis.images.decode import decode
from face_analysis.images.detect import YuNet
from face_analysis.zoo.find import find
from tests.cli.conftest import Run
from tests.conftest import FACES_OF

FOUND = [name for name, count in FACES_OF.items() if count]


def listed(folder: Path) -> list[dict[str, str]]:
    with (folder / "chips.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_chips_keep_the_tree_and_are_those_of_the_largest_face(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    status, out, _ = run(f"align {photos} {tmp_path}")
    assert status == 1  # for the broken photo
    assert out.strip() == str(tmp_path / "chips.csv")
    assert [row["path"] for row in listed(tmp_path)] == FOUND
    with (tmp_path / "errors.csv").open(newline="") as file:
        assert {row["path"] for row in csv.DictReader(file)} == {"empty.png", "sub/broken.jpg"}
    detector = YuNet(find("yunet"))
    for name in FOUND:
        photo = decode((photos / name).read_bytes(), name)
        largest = max(detector.detect(photo), key=lambda face: max(face.box[2:]))
        chip = np.asarray(Image.open(tmp_path / name), np.int16)
        assert chip.shape == (112, 112, 3)
        difference = np.abs(chip - align_chip(photo, largest.landmarks).astype(np.int16))
        assert difference.mean() < 4  # what JPEG of quality 95 changes


def test_all_faces_are_numbered_from_left_to_right(run: Run, photos: Path, tmp_path: Path) -> None:
    run(f"align {photos} {tmp_path} --faces all")
    expected = [
        str(Path(name).with_stem(f"{Path(name).stem}_{number}"))
        for name, count in FACES_OF.items()
        for number in range(count)
    ]
    assert [row["path"] for row in listed(tmp_path)] == expected


def test_a_list_with_labels_gives_chips_that_carry_them(run: Run, photos: Path, tmp_path: Path) -> None:
    image_list = tmp_path / "people.txt"
    image_list.write_text("hopper.jpg 0 0 78\nempty.png 1 1 20\nsub/astronaut.jpg 0 0 -1\n")
    assert run(f"align {photos} {tmp_path / 'chips'} -i {image_list}")[0] == 0
    chips = open_source(tmp_path / "chips", tmp_path / "chips" / "chips.csv")
    assert [chips.name(row) for row in range(len(chips))] == ["hopper.jpg", "sub/astronaut.jpg"]
    assert chips.labels["gender"].tolist() == [0, 0]
    assert chips.labels["age"].tolist() == [78, -1]
    assert known("age", chips.labels["age"]).tolist() == [True, False]


def test_aligned_chips_predict_as_their_photos(
    run: Run, models: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    run(f"align {photos} {tmp_path / 'chips'} --quality 100")
    run(f"predict -s {tmp_path / 'chips'} --aligned -am {models['age']} -d {tmp_path}")
    run(f"predict -s {photos} --faces largest -am {models['age']} -d {tmp_path}")

    def ages(name: str) -> dict[str, float]:
        with (tmp_path / f"{name}_predictions.csv").open(newline="") as file:
            return {row["path"]: float(row["age"]) for row in csv.DictReader(file)}

    ours, theirs = ages("chips"), ages(photos.name)
    assert ours.keys() == theirs.keys()
    assert all(abs(ours[name] - theirs[name]) < 1 for name in ours)


def test_wrong_options_are_named(run: Run, photos: Path, tmp_path: Path) -> None:
    status, _, err = run(f"align {photos} {tmp_path} --quality 0")
    assert (status, "--quality" in err) == (2, True)
    status, _, err = run(f"align {photos} {tmp_path} --threshold 1.5")
    assert (status, "threshold" in err) == (2, True)
    status, _, err = run(f"align {tmp_path}/absent {tmp_path}")
    assert (status, "absent" in err) == (2, True)
