"""What is taken for a photo, against the pixels of the file it came from."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from face_analysis.errors import MissingFileError, UnreadableImageError, UsageError
from face_analysis.images.decode import decode
from face_analysis.inference.photos import PhotoReader


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PNG with four channels, whose alpha is not the same everywhere."""
    pixels = np.random.default_rng(3).integers(0, 256, (20, 30, 4), dtype=np.uint8)
    path = tmp_path_factory.mktemp("picture") / "p.png"
    Image.fromarray(pixels).save(path)
    return path


def rgb(path: Path) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(path))[:, :, :3]


FORMS = {
    "text": str,
    "path": lambda path: path,
    "bytes": Path.read_bytes,
    "bytearray": lambda path: bytearray(path.read_bytes()),
    "memoryview": lambda path: memoryview(path.read_bytes()),
    "open file": lambda path: path.open("rb"),
    "BytesIO": lambda path: io.BytesIO(path.read_bytes()),
    "Pillow RGBA": Image.open,
    "Pillow RGB": lambda path: Image.open(path).convert("RGB"),
    "array RGBA": lambda path: np.asarray(Image.open(path)),
    "array RGB": rgb,
    "array with steps": lambda path: np.asarray(Image.open(path))[:, ::-1][:, ::-1, :3],
    "tensor RGB": lambda path: torch.from_numpy(rgb(path).copy()).permute(2, 0, 1),
    "tensor RGBA": lambda path: torch.from_numpy(np.asarray(Image.open(path)).copy()).permute(2, 0, 1),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_pixels_of_the_file(picture: Path, form: str) -> None:
    given = PhotoReader().input(FORMS[form](picture))
    np.testing.assert_array_equal(given.load(), rgb(picture))


@pytest.mark.parametrize("flag", [cv2.IMREAD_COLOR, cv2.IMREAD_UNCHANGED])
def test_bgr_takes_what_opencv_reads(picture: Path, flag: int) -> None:
    read = cv2.imread(str(picture), flag)
    np.testing.assert_array_equal(PhotoReader(bgr=True).input(read).load(), rgb(picture))
    assert not np.array_equal(PhotoReader().input(read).load(), rgb(picture))


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 1)])
def test_grey_becomes_three_equal_channels(shape: tuple[int, ...]) -> None:
    grey = np.random.default_rng(4).integers(0, 256, shape, dtype=np.uint8)
    expected = np.stack([grey.reshape(20, 30)] * 3, axis=2)
    np.testing.assert_array_equal(PhotoReader().input(grey).load(), expected)
    tensor = torch.from_numpy(grey.reshape(1, 20, 30))
    np.testing.assert_array_equal(PhotoReader().input(tensor).load(), expected)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "I;16"]
)
def test_pillow_images_of_any_mode_are_as_a_lossless_file_of_them(mode: str, tmp_path: Path) -> None:
    ramp = np.add.outer(np.arange(24) * 4, np.arange(32) * 3).astype(np.uint8)
    colour = Image.fromarray(np.stack([ramp, ramp[::-1], ramp[:, ::-1]], axis=2))
    if mode == "I;16":
        image = Image.fromarray(ramp.astype(np.uint16) * 256)
    else:
        image = colour.convert("P").convert("PA") if mode == "PA" else colour.convert(mode)
    before = image.copy()
    found = PhotoReader().input(image).load()
    assert found.shape == (24, 32, 3)
    assert found.dtype == np.uint8
    expected = np.stack([ramp] * 3, axis=2) if mode == "I;16" else np.asarray(image.convert("RGB"))
    np.testing.assert_allclose(found.astype(int), expected.astype(int), atol=1)
    assert (image.mode, image.tobytes()) == (before.mode, before.tobytes()), "the image was changed"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pillow_images_are_turned_upright_as_files_are(orientation: int, tmp_path: Path) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    Image.fromarray(pixels).save(path, exif=exif)
    np.testing.assert_array_equal(
        PhotoReader().input(Image.open(path)).load(), decode(path.read_bytes(), "p")
    )


@pytest.mark.parametrize(
    ("photo", "words"),
    [
        (np.zeros((20, 30, 3), np.float32), "multiply values of 0 to 1 by 255"),
        (np.zeros((20, 30, 3), np.int64), "found int64"),
        (np.zeros((20, 30, 2), np.uint8), r"found uint8 \(20, 30, 2\)"),
        (np.zeros((0, 30, 3), np.uint8), r"\(0, 30, 3\)"),
        (np.zeros((2, 20, 30, 3), np.uint8), r"\(2, 20, 30, 3\)"),
        (torch.zeros(20, 30, 3, dtype=torch.uint8), r"tensor \(C, H, W\)"),
        (torch.zeros(3, 20, 30), "multiply values of 0 to 1 by 255"),
        (None, "None in place of a photo"),
        (b"", "the file is empty"),
        (b"no picture", "not a picture"),
        (io.BytesIO(b"no picture"), "not a picture"),
        (io.StringIO("text"), "mode 'rb'"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_cannot_be_read_fails_when_it_is_loaded(photo: object, words: str) -> None:
    given = PhotoReader().input(photo, 7)
    with pytest.raises(UnreadableImageError, match=words):
        given.load()


@pytest.mark.parametrize(
    "photo", [5, 1.5, ("a.jpg",), {"photo": 1}, object()], ids=lambda value: type(value).__name__
)
def test_what_cannot_be_a_photo_is_a_wrong_use(photo: object) -> None:
    with pytest.raises(UsageError, match=f"photo 3 is of the type {type(photo).__name__}: give a path"):
        PhotoReader().input(photo, 3).load()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"gone\.jpg"):
        PhotoReader().input(tmp_path / "gone.jpg").load()


@pytest.fixture
def server(picture: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(picture.parent))) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


def test_a_url_is_fetched_with_leave_alone(server: str, picture: Path) -> None:
    with pytest.raises(UsageError, match="allow_urls"):
        PhotoReader().input(f"{server}/p.png").load()
    np.testing.assert_array_equal(PhotoReader(allow_urls=True).input(f"{server}/p.png").load(), rgb(picture))


def test_a_url_that_fails_says_why(server: str) -> None:
    with pytest.raises(UnreadableImageError, match="404"):
        PhotoReader(allow_urls=True).input(f"{server}/none.png").load()
    with pytest.raises(UnreadableImageError, match="could not be fetched"):
        PhotoReader(allow_urls=True).input("http://127.0.0.1:9/p.png").load()


def test_a_url_that_gives_more_than_the_limit_is_refused(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("inference.photos", "images.limits"):
        monkeypatch.setattr(f"face_analysis.{place}.MAX_BYTES", 100)
    with pytest.raises(UnreadableImageError, match="more than the limit of 100"):
        PhotoReader(allow_urls=True).input(f"{server}/p.png").load()
