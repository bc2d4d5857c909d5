from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow
from PIL import ImageOps
from pillow_heif import register_heif_opener

from face_analysis.datasets.sources import FolderSource, list_folder
from face_analysis.errors import UnreadableImageError
from face_analysis.images import decode as module
from face_analysis.images.decode import decode
from face_analysis.images.formats import HEAD, IMAGE_SUFFIXES, sniff
from face_analysis.images.limits import MAX_BYTES, MAX_PIXELS, read_picture_file

register_heif_opener()
NAMES = {"PPM": "PNM", "WEBP": "WebP", "HEIF": "HEIC"}
FORMS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "HEIF"]
XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>'


def picture() -> Pillow.Image:
    """Four corners of different colours, so that each of the eight orientations differs."""
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[:32, :48], pixels[:32, 48:], pixels[32:, :48] = (220, 40, 40), (40, 200, 40), (40, 40, 210)
    return Pillow.fromarray(pixels)


def encoded(form: str, image: Pillow.Image | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    (image or picture()).save(buffer, form, **options)
    return buffer.getvalue()


def exif(orientation: int) -> Pillow.Exif:
    block = Pillow.Exif()
    block[0x0112] = orientation
    return block


def turned(orientation: int) -> np.ndarray:
    copy = picture()
    copy.getexif()[0x0112] = orientation
    return np.asarray(ImageOps.exif_transpose(copy)).astype(int)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("suffix", [".jpg", ".HEIC", ".jfif", ""])
def test_the_content_tells_the_format_whatever_the_suffix(form: str, suffix: str, tmp_path: Path) -> None:
    data = encoded(form)
    assert sniff(data[:HEAD]) == NAMES.get(form, form)
    path = tmp_path / f"picture{suffix}"
    path.write_bytes(data)
    assert np.abs(decode(read_picture_file(path), path.name) - turned(1)).mean() < 8


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8",
        b"%PDF-1.7",
        b"RIFF\0\0\0\0WAVE",
        b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom",
        b"P7\n",
        b"BA",
    ],
)
def test_other_files_are_no_pictures(data: bytes) -> None:
    assert sniff(data) is None
    with pytest.raises(UnreadableImageError, match=r"x\.dat: (not a picture|the file is empty)"):
        decode(data, "x.dat")


def test_brands_that_many_formats_share_are_told_by_those_beside_them() -> None:
    assert sniff(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif" + bytes(40)) == "AVIF"
    assert sniff(b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic" + bytes(40)) == "HEIC"
    # The brand stands behind the box, in what is no list of brands.
    assert sniff(b"\0\0\0\x14ftypmif1\0\0\0\0miafavif" + bytes(40)) == "HEIC"


def test_folders_are_searched_for_every_suffix(tmp_path: Path) -> None:
    for suffix in IMAGE_SUFFIXES:
        (tmp_path / f"a{suffix.upper()}").write_bytes(b"")
    assert len(list_folder(tmp_path)) == len(IMAGE_SUFFIXES) >= 20


def test_without_pillow_heif_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    module._reader.cache_clear()
    with pytest.raises(UnreadableImageError, match=r"IMG_1\.HEIC: HEIC needs pillow-heif; `pip install"):
        decode(encoded("HEIF"), "IMG_1.HEIC")
    module._reader.cache_clear()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_orientation_is_applied_once_in_every_format_that_states_it(form: str, orientation: int) -> None:
    ours = decode(encoded(form, exif=exif(orientation)), "photo")
    expected = turned(orientation)
    assert ours.shape == expected.shape
    assert np.abs(ours - expected).mean() < 8


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_orientation_that_xmp_alone_states_is_applied(form: str, orientation: int) -> None:
    ours = decode(encoded(form, xmp=XMP % orientation), "photo")
    expected = turned(orientation)
    assert ours.shape == expected.shape
    assert np.abs(ours - expected).mean() < 8


@pytest.mark.parametrize("block", [b"Exif\0\0", b"Exif\0\0MM\0*\0\0\xff\xff", b"Exif\0\0nonsense"])
def test_a_damaged_exif_block_leaves_the_picture_as_it_is(block: bytes) -> None:
    np.testing.assert_array_equal(decode(encoded("JPEG", exif=block), "a"), decode(encoded("JPEG"), "b"))


@pytest.mark.parametrize("form", ["AVIF", "HEIF"])
@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.9])
def test_truncated_avif_and_heic_are_refused_by_name(form: str, part: float) -> None:
    noise = Pillow.fromarray(np.random.default_rng(0).integers(0, 255, (90, 120, 3)).astype(np.uint8))
    data = encoded(form, noise)
    with pytest.raises(UnreadableImageError, match=r"cut\.bin"):
        decode(data[: int(len(data) * part)], "cut.bin")


def test_sixteen_bit_grey_tiff_where_zero_is_white_is_inverted() -> None:
    values = np.random.default_rng(0).integers(0, 2**16, (20, 30)).astype(np.uint16)
    for photometric, expected in (("minisblack", values), ("miniswhite", 65535 - values)):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, values, photometric=photometric)
        np.testing.assert_array_equal(decode(buffer.getvalue(), "scan")[:, :, 1], expected >> 8)


@pytest.mark.parametrize("values", [np.zeros((8, 9), np.float32), np.zeros((8, 9), np.uint32)])
def test_tiff_without_a_known_range_is_refused(values: np.ndarray) -> None:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values)
    with pytest.raises(UnreadableImageError, match="convert it"):
        decode(buffer.getvalue(), "depth")


def test_sixteen_bit_tiff_in_planes_is_read_compressed_and_refused_otherwise() -> None:
    values = np.random.default_rng(0).integers(0, 2**16, (3, 20, 30)).astype(np.uint16)
    for compression in ("zlib", None):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, values, photometric="rgb", planarconfig="separate", compression=compression)
        if compression:
            np.testing.assert_array_equal(decode(buffer.getvalue(), "planes"), values.transpose(1, 2, 0) >> 8)
        else:
            with pytest.raises(UnreadableImageError, match="save it compressed"):
                decode(buffer.getvalue(), "planes")


@pytest.mark.parametrize("form", ["PNG", "GIF", "BMP", "TIFF", "PPM", "WEBP"])
def test_a_decompression_bomb_is_refused_by_the_size_it_claims(form: str) -> None:
    side = int(MAX_PIXELS**0.5) + 1
    data = encoded(form, Pillow.new("1" if form != "WEBP" else "RGB", (side, side)))
    with pytest.raises(UnreadableImageError, match=f"{side}x{side} pixels are more than the limit"):
        decode(data, "bomb")


def test_a_file_over_the_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # a hole, which takes no disk space
    with pytest.raises(UnreadableImageError, match=r"large\.jpg: 200000001 bytes are more than the limit"):
        read_picture_file(path)


def test_pipes_and_devices_are_refused_without_waiting(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        with pytest.raises(UnreadableImageError, match="not a regular file"):
            read_picture_file(path)
    with pytest.raises(UnreadableImageError, match="not a regular file"):
        FolderSource(list_of(pipe)).read(0)


def list_of(path: Path):  # type: ignore[no-untyped-def]
    from face_analysis.datasets.lists.image_list import ImageList

    return ImageList(path.parent, [str(path)])


def test_a_regular_file_is_read_whole_and_a_missing_one_is_an_os_error(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc" * 50_000)
    assert read_picture_file(str(path)) == b"abc" * 50_000
    with pytest.raises(FileNotFoundError):
        read_picture_file(tmp_path / "b")
    with pytest.raises(OSError, match="directory"):
        read_picture_file(tmp_path)
