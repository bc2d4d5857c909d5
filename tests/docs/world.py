"""The files and folders that the documentation speaks of, small: each is made once, when a page needs it."""

from __future__ import annotations

import csv
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from face_analysis.cli.main import run
from face_analysis.datasets.synthetic import write_patterns, write_people
from face_analysis.models.backbone import build_backbone
from face_analysis.models.weights import save_model
from face_analysis.zoo.card import BackboneConfig, recognition_card
from tests.datasets.record_files import labelled, write_records
from tests.generators.portraits import inside

SMALL = "-e 1 --depth 18 --width 0.125 -b 16 -w 0 --validations 1"
"""Options that make any training a matter of seconds."""
PORTRAITS = (("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"), ("skimage", "data/astronaut.png"))


def portraits(count: int) -> list[Image.Image]:
    """Different pictures of two people in turn: cut, turned and lit otherwise. Both are public domain."""
    originals = [Image.open(inside(package, path)).convert("RGB") for package, path in PORTRAITS]
    chance = np.random.default_rng(0)
    made = []
    for number in range(count):
        left, top = chance.integers(0, 60, 2).tolist()
        angle, light = float(chance.uniform(-12, 12)), float(chance.uniform(0.7, 1.2))
        picture = originals[number % 2].crop((left, top // 2, left + 400, top // 2 + 400)).rotate(angle)
        made.append(picture.point(lambda value, light=light: min(255, int(value * light))))
    return made


def photos(folder: Path) -> None:
    folder.mkdir()
    for number, picture in enumerate(portraits(8)):
        picture.save(folder / f"{number}.jpg")


def people_csv(path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "race", "gender", "age", "subject"))
        writer.writerows((f"{number}.jpg", 0, 0, 40 + number, f"person{number % 2}") for number in range(8))


def group_photo(path: Path) -> None:
    first, second = portraits(2)
    both = Image.new("RGB", (800, 400))
    both.paste(first, (0, 0))
    both.paste(second, (400, 0))
    both.save(path)


def images(folder: Path) -> None:
    write_patterns(folder, 160, seed=1)


def masks(folder: Path) -> None:
    """A mask of face-parsing codes for each of `images`: skin in the middle, hair around it."""
    source = write_patterns(folder.parent / "masked", 160, seed=1).parent
    for path in source.rglob("*.jpg"):
        with Image.open(path) as picture:
            codes = Image.new("L", picture.size, 17)
        codes.paste(1, (codes.width // 4, codes.height // 4, codes.width * 3 // 4, codes.height * 3 // 4))
        target = folder / path.relative_to(source).with_name(f"{path.stem}_mask.png")
        target.parent.mkdir(parents=True, exist_ok=True)
        codes.save(target)
    shutil.rmtree(source)


def list_of(first: int, last: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        images(path.parent / "listed")
        lines = (path.parent / "listed" / "patterns.txt").read_text().splitlines(keepends=True)
        path.write_text("".join(lines[first:last]))
        shutil.rmtree(path.parent / "listed")

    return write


def packed(path: Path) -> None:
    source = write_patterns(path.parent / "packed", 60, seed=1)
    assert run(["pack", "-l", str(source), "-s", str(source.parent), "-a", "race", "-d", str(path)]) == 0
    shutil.rmtree(source.parent)


def people(folder: Path) -> None:
    """A subfolder a person."""
    source = write_people(folder.parent / "of_people", 6, 4, seed=2)
    with source.open(newline="") as file:
        for row in csv.DictReader(file):
            target = folder / row["subject"] / Path(row["path"]).name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(source.parent / row["path"], target)
    shutil.rmtree(source.parent)


def features(seed: int) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        source = write_people(folder.parent / f"people{seed}", 6, 3, seed=seed)
        words = ["extract", "-s", str(source.parent), "-i", str(source), "-d", str(folder), "--aligned"]
        assert run(words) == 0
        shutil.rmtree(source.parent)

    return write


def pictures_of_people(folder: Path, count: int, each: int, seed: int) -> list[bytes]:
    """Encoded pictures, `each` of one person together; the folder is left as it was."""
    source = write_people(folder / "faces", count, each, seed=seed)
    with source.open(newline="") as file:
        encoded = [(source.parent / row["path"]).read_bytes() for row in csv.DictReader(file)]
    shutil.rmtree(source.parent)
    return encoded


def sets(folder: Path) -> None:
    folder.mkdir()
    encoded = pictures_of_people(folder, 12, 2, seed=5)
    same = [pair % 2 == 0 for pair in range(20)]
    pairs = [(pair % 12, pair % 12 if mated else (pair + 1) % 12) for pair, mated in enumerate(same)]
    listed = [
        encoded[2 * person + place]
        for first, second in pairs
        for person, place in ((first, 0), (second, first == second))
    ]
    for name in ("lfw", "cfp_fp", "agedb_30"):
        (folder / f"{name}.bin").write_bytes(pickle.dumps((listed, same), 2))


def lfw(folder: Path) -> None:
    """Two people of three photos each, and pairs of them in two folds."""
    for number, picture in enumerate(portraits(6)):
        name = f"Person_{'AB'[number % 2]}"
        (folder / "images" / name).mkdir(parents=True, exist_ok=True)
        picture.save(folder / "images" / name / f"{name}_{number // 2 + 1:04d}.jpg")
    fold = (
        "Person_A\t{0}\t{1}\nPerson_B\t{0}\t{1}\nPerson_A\t{0}\tPerson_B\t{1}\nPerson_A\t{1}\tPerson_B\t{0}\n"
    )
    (folder / "pairs.txt").write_text("2\t2\n" + fold.format(1, 2) + fold.format(2, 3))


def utkface(folder: Path) -> None:
    folder.mkdir()
    for number, picture in enumerate(portraits(24)):
        picture.save(folder / f"{20 + number}_{number % 2}_{number % 5}_2017011{number:04d}.jpg.chip.jpg")


def morph(folder: Path) -> None:
    folder.mkdir()
    for number, picture in enumerate(portraits(24)):
        picture.resize((100, 100)).save(folder / f"{number // 2:06d}_{number % 2}M{20 + number}.JPG")


def morph_list(path: Path) -> None:
    lines = [
        f"{number // 2:06d}_{number % 2}M{20 + number}.JPG {'WB'[number // 2 % 2]} M {20 + number}\n"
        for number in range(24)
    ]
    path.write_text("".join(lines))


def copies(path: Path) -> None:
    path.write_text("path,group\n000000_0M20.JPG,1\n000001_1M23.JPG,1\n")


def records(folder: Path) -> None:
    """InsightFace's form: record 0 tells which records are images."""
    folder.mkdir()
    encoded = pictures_of_people(folder, 8, 4, seed=6)
    payloads = [labelled(picture, number // 4) for number, picture in enumerate(encoded)]
    write_records(folder / "train.rec", [labelled(b"", len(payloads) + 1, len(payloads) + 9), *payloads])
    (folder / "property").write_text("8,112,112")


def recognition_model(path: Path) -> None:
    torch.manual_seed(0)
    config = BackboneConfig("iresnet", 18, "ir_se", 0.125)
    save_model(path, build_backbone(config), recognition_card("faces", config))


def original_model(path: Path) -> None:
    """A checkpoint of the original system's IR-SE-50, and its head of race beside it."""
    torch.manual_seed(0)
    torch.save(build_backbone(BackboneConfig("iresnet", 50, "ir_se", 1.0)).state_dict(), path)
    head = {"fc1.weight": torch.randn(5, 512), "fc1.bias": torch.randn(5)}
    torch.save(head, path.with_name(path.name.replace("model_", "head_")))


def trained(folder: Path) -> None:
    people(folder.parent / "learnt")
    sets(folder.parent / "judged")
    data = f"-ts {folder.parent}/learnt -vs {folder.parent}/judged -v lfw"
    assert run(f"train -a recognition {data} {SMALL} -o {folder}".split()) == 0
    shutil.rmtree(folder.parent / "learnt")
    shutil.rmtree(folder.parent / "judged")


def runs(folder: Path) -> None:
    """One training under four names: two heads, two seeds."""
    folder.mkdir()
    trained(folder / "arcface_0")
    config = (folder / "arcface_0" / "config.yaml").read_text()
    for head in ("arcface", "cosface"):
        for seed in (0, 1):
            place = folder / f"{head}_{seed}"
            if not place.exists():
                shutil.copytree(folder / "arcface_0", place)
            changed = config.replace("head: arcface", f"head: {head}").replace("seed: 0", f"seed: {seed}")
            (place / "config.yaml").write_text(changed)


WORLD: dict[str, Callable[[Path], None]] = {
    "MORPH": morph,
    "UTKFace": utkface,
    "copies.csv": copies,
    "features": features(3),
    "gallery": features(3),
    "group.jpg": group_photo,
    "images": images,
    "lfw": lfw,
    "masks": masks,
    "model_accuracy.pth": original_model,
    "morph.txt": morph_list,
    "ms1m": records,
    "other_run": trained,
    "people": people,
    "people.csv": people_csv,
    "photo.jpg": lambda path: portraits(1)[0].save(path),
    "photos": photos,
    "probes": features(4),
    "recognition.safetensors": recognition_model,
    "runs": runs,
    "sets": sets,
    "test.txt": list_of(140, 160),
    "train.lmdb": packed,
    "train.txt": list_of(0, 60),
    "val.txt": list_of(60, 140),
}
"""What each name of the documentation is, and how it is made."""
