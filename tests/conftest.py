"""Fixtures that several folders of tests share."""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from face_analysis.datasets.synthetic import write_patterns
from tests.generators.portraits import astronaut, hopper

FACES = "FACE_ANALYSIS_DATA"


# Tests run side by side, a process a core: more threads each, in commands they start too, would only wait.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"


def pytest_runtest_teardown() -> None:
    """Give back freed memory, which commands keep for their next step."""
    with contextlib.suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    lacking = {}
    if not os.environ.get(FACES):
        lacking["faces"] = f"set {FACES} to a folder of real faces to run it"
    if not torch.cuda.is_available():
        lacking["gpu"] = "there is no GPU that torch can use"
    for item in items:
        for marker, reason in lacking.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session", autouse=True)
def speed_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Measured once, a network runs in the same form in all tests, also in the commands that they start."""
    os.environ["FACE_ANALYSIS_SPEED_CACHE"] = str(tmp_path_factory.mktemp("speed"))


@pytest.fixture(scope="session")
def faces_data() -> Path:
    """The folder of real faces; tests that use it carry the marker `faces`."""
    return Path(os.environ[FACES])


@pytest.fixture(scope="session")
def patterns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image list `path race gender age` of 60 generated pictures, beside its folder; not to be changed."""
    return write_patterns(tmp_path_factory.mktemp("patterns"), 60, seed=7)


FACES_OF = {"both.jpg": 2, "empty.png": 0, "hopper.jpg": 1, "sub/astronaut.jpg": 1, "sub/turned.jpg": 1}
"""How many faces each photo of `photos` shows; beside them lies `sub/broken.jpg`."""


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of photos made of portraits that matplotlib and scikit-image carry; not to be changed."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "sub").mkdir()
    admiral, flyer = hopper(), astronaut()
    both = Image.new("RGB", (1024, 606), "grey")
    both.paste(admiral, (0, 0))
    both.paste(flyer, (512, 90))
    both.save(folder / "both.jpg")
    Image.new("RGB", (200, 150), "teal").save(folder / "empty.png")
    admiral.save(folder / "hopper.jpg")
    flyer.save(folder / "sub" / "astronaut.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    flyer.transpose(Image.Transpose.ROTATE_90).save(folder / "sub" / "turned.jpg", exif=exif)
    whole = (folder / "hopper.jpg").read_bytes()
    (folder / "sub" / "broken.jpg").write_bytes(whole[: len(whole) // 2])
    return folder
