from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from face_analysis.auditing.copies import find_copies
from face_analysis.auditing.similarity import copy_descriptor
from face_analysis.datasets.folders import list_folder
from tests.auditing.conftest import audited, scanned


def encoded(image: Image.Image, quality: int) -> Image.Image:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


CHANGES = {
    "quality 30": lambda image: encoded(image, 30),
    "half": lambda image: encoded(image.resize((72, 72)), 90),
    "double": lambda image: encoded(image.resize((288, 288), Image.Resampling.BICUBIC), 90),
    "mirrored": lambda image: encoded(ImageOps.mirror(image), 85),
    "lighter": lambda image: encoded(ImageEnhance.Brightness(image).enhance(1.3), 90),
    "less contrast": lambda image: encoded(ImageEnhance.Contrast(image).enhance(0.7), 90),
    "grey": lambda image: encoded(image.convert("L").convert("RGB"), 90),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_portrait_is_a_copy_of_itself_alone(
    portraits: dict[str, Image.Image], tmp_path: Path, change: str
) -> None:
    for name, image in portraits.items():
        image.save(tmp_path / f"a_{name}.png")
        CHANGES[change](image).save(tmp_path / f"b_{name}.png")
    names = list_folder(tmp_path).images
    groups = find_copies(scanned(audited(tmp_path, {"all": names})))
    found = {tuple(names[copy.row] for copy in group) for group in groups}
    assert found == {(f"a_{name}.png", f"b_{name}.png") for name in portraits}
    kind = "mirrored" if change == "mirrored" else "near"
    assert {tuple(copy.kind for copy in group) for group in groups} == {("first", kind)}


def test_pictures_of_noise_are_no_copies(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(60):
        coarse = Image.fromarray(rng.integers(0, 256, (14, 14, 3), np.uint8))
        coarse.resize((112, 112), Image.Resampling.BICUBIC).save(tmp_path / f"{number}.jpg")
    assert find_copies(scanned(audited(tmp_path, {"all": list_folder(tmp_path).images}))) == []


def test_the_same_bytes_and_the_same_pixels_are_told_apart(
    portraits: dict[str, Image.Image], tmp_path: Path
) -> None:
    image = portraits["hopper"]
    image.save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes())
    image.save(tmp_path / "c.bmp")
    encoded(image, 60).save(tmp_path / "d.png")
    (group,) = find_copies(scanned(audited(tmp_path, {"all": ["a.png", "b.png", "c.bmp", "d.png"]})))
    assert [copy.kind for copy in group] == ["first", "same bytes", "same pixels", "near"]
    assert group[1].similarity == group[2].similarity == 1
    assert 0.9 < group[3].similarity < 1


def test_a_picture_of_another_shape_does_not_have_the_same_pixels(tmp_path: Path) -> None:
    flat = np.full((40, 90, 3), 120, np.uint8)
    Image.fromarray(flat).save(tmp_path / "wide.png")
    Image.fromarray(flat.reshape(90, 40, 3)).save(tmp_path / "high.png")
    assert find_copies(scanned(audited(tmp_path, {"all": ["wide.png", "high.png"]}))) == []


def test_unreadable_images_are_named_and_are_no_copies_of_each_other(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"no image")
    found = scanned(audited(tmp_path, {"all": ["a.jpg", "b.jpg", "absent.jpg"]}))
    assert find_copies(found) == []
    assert [reason.split(":")[0].rpartition("/")[2] for reason in found.reasons.values()] == [
        "a.jpg",
        "b.jpg",
        "absent.jpg",
    ]


def test_flat_pictures_have_no_description_and_other_ones_length_1(portraits: dict[str, Image.Image]) -> None:
    assert not copy_descriptor(np.full((112, 112, 3), 77, np.uint8)).any()
    described = copy_descriptor(np.asarray(portraits["hopper"]))
    assert np.linalg.norm(described) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (31, 33)])
def test_a_picture_of_any_size_can_be_described(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    assert np.isfinite(copy_descriptor(pixels)).all()
