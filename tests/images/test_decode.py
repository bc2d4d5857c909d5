from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from PIL import ImageOps

from face_analysis.errors import UnreadableImageError
from face_analysis.images.decode import MAX_PIXELS, decode, fit
from face_analysis.images.headers import claimed_size
from face_analysis.images.normalise import normalise

ORIENTATION_TAG = 0x0112


def picture(height: int = 60, width: int = 84) -> Pillow.Image:
    y, x = np.mgrid[:height, :width]
    texture = np.random.default_rng(0).integers(0, 40, (height, width))
    return Pillow.fromarray(np.stack([x * 2 + texture, y * 3, x + y], -1).astype(np.uint8))


def encoded(image: Pillow.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def by_pillow(data: bytes) -> np.ndarray:
    with Pillow.open(io.BytesIO(data)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB")).astype(int)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied_as_pillow_does(orientation: int, form: str) -> None:
    exif = Pillow.Exif()
    exif[ORIENTATION_TAG] = orientation
    options = {"lossless": True} if form == "WEBP" else {}
    data = encoded(picture(), form, exif=exif, **options)
    ours, theirs = decode(data, "photo"), by_pillow(data)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("JPEG", {"quality": 80, "subsampling": 0}),
        ("JPEG", {"quality": 80, "progressive": True}),
        ("PNG", {}),
        ("BMP", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("PPM", {}),
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_colour_and_grey_agree_with_pillow(form: str, options: dict[str, object], mode: str) -> None:
    data = encoded(picture().convert(mode), form, **options)
    ours = decode(data, "photo")
    assert ours.dtype == np.uint8
    assert ours.flags.c_contiguous
    assert np.abs(ours - by_pillow(data)).max() <= 1


def test_palette_images_agree_with_pillow() -> None:
    data = encoded(picture().quantize(32), "PNG")
    np.testing.assert_array_equal(decode(data, "palette"), by_pillow(data))
    data = encoded(picture().quantize(32), "GIF")
    np.testing.assert_array_equal(decode(data, "palette"), by_pillow(data))


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_alpha_is_dropped_and_stored_colours_stay(form: str) -> None:
    pixels = np.dstack([np.asarray(picture()), np.tile(np.arange(84, dtype=np.uint8) * 3, (60, 1))])
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    ours = decode(encoded(Pillow.fromarray(pixels), form, **options), "alpha")
    np.testing.assert_array_equal(ours, pixels[:, :, :3])


def test_alpha_in_tiff_comes_out_over_black() -> None:
    alpha = np.tile(np.arange(84, dtype=np.uint8) * 3, (60, 1))
    pixels = np.dstack([np.asarray(picture()), alpha])
    expected = pixels[:, :, :3] * (alpha[:, :, None] / 255)
    ours = decode(encoded(Pillow.fromarray(pixels), "TIFF"), "alpha")
    assert np.abs(ours - expected).max() <= 1


def test_grey_with_alpha_comes_out_as_rgb() -> None:
    data = encoded(picture().convert("LA"), "PNG")
    np.testing.assert_array_equal(decode(data, "LA"), by_pillow(data))


def test_sixteen_bit_grey_keeps_its_high_byte() -> None:
    values = (np.arange(60 * 84).reshape(60, 84) * 13).astype(np.uint16)
    ours = decode(encoded(Pillow.fromarray(values), "PNG"), "deep")
    np.testing.assert_array_equal(ours, np.repeat((values >> 8)[:, :, None], 3, axis=2))


def test_sixteen_bit_colour_keeps_its_high_byte_in_rgb_order() -> None:
    values = np.random.default_rng(3).integers(0, 2**16, (9, 7, 3)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    header = struct.pack(">IIBBBBB", 7, 9, 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    np.testing.assert_array_equal(decode(data, "deep"), (values >> 8).astype(np.uint8))


def test_cmyk_jpeg_agrees_with_pillow() -> None:
    data = encoded(picture().convert("CMYK"), "JPEG", quality=95)
    assert np.abs(decode(data, "print") - by_pillow(data)).max() <= 2


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"}),
        ("PNG", {}),
        ("BMP", {}),
        ("WEBP", {}),
        ("TIFF", {}),
        ("GIF", {}),
    ],
)
@pytest.mark.parametrize("part", [0.01, 0.3, 0.6, 0.9, 0.99])
def test_truncated_images_are_refused_by_name(form: str, options: dict[str, object], part: float) -> None:
    data = encoded(picture(200, 200), form, **options)
    assert decode(data, "whole").shape == (200, 200, 3)
    with pytest.raises(UnreadableImageError, match=r"folder/cut\.jpg"):
        decode(data[: int(len(data) * part)], "folder/cut.jpg")


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"hello, this is text", bytes(5000)]
)
def test_bytes_that_are_no_image_are_refused_by_name(data: bytes) -> None:
    with pytest.raises(UnreadableImageError, match="notes"):
        decode(data, "notes")


def test_broken_images_print_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    for form in ("JPEG", "PNG", "TIFF", "GIF", "BMP"):
        data = encoded(picture(), form)
        with pytest.raises(UnreadableImageError):
            decode(data[: len(data) // 2], "cut")
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"])
def test_the_claimed_size_is_read_from_the_header(form: str) -> None:
    assert claimed_size(encoded(picture(61, 83), form)) == (61, 83)
    assert claimed_size(encoded(picture(61, 83), "WEBP", lossless=True)) == (61, 83)


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    side = int(MAX_PIXELS**0.5) + 1
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + b"\0" * 100
    with pytest.raises(UnreadableImageError, match=f"bomb.*{side}x{side}.*limit"):
        decode(data, "bomb")


@pytest.mark.parametrize(("height", "width"), [(144, 144), (250, 250), (113, 200), (80, 60), (336, 448)])
def test_fit_stays_near_a_filtered_resize(height: int, width: int) -> None:
    y, x = np.mgrid[:height, :width]
    wave = 127 + 60 * np.sin(14 * x / width) + 60 * np.cos(11 * y / height)
    image = np.stack([wave, wave[::-1], wave[:, ::-1]], -1).astype(np.uint8)
    expected = np.asarray(Pillow.fromarray(image).resize((112, 112), Pillow.Resampling.BILINEAR)).astype(int)
    difference = np.abs(fit(image) - expected)
    assert difference.mean() < 1
    assert difference.max() <= 6


def test_fit_averages_areas_when_an_image_shrinks_to_half() -> None:
    image = np.random.default_rng(1).integers(0, 256, (224, 224, 3)).astype(np.uint8)
    expected = image.reshape(112, 2, 112, 2, 3).mean(axis=(1, 3))
    assert np.abs(fit(image) - expected).max() <= 0.5


def test_fit_returns_an_image_of_the_right_size_untouched() -> None:
    image = np.zeros((112, 112, 3), np.uint8)
    assert fit(image) is image


def test_normalise_maps_every_pixel_value_and_keeps_channels_last() -> None:
    values = torch.arange(256, dtype=torch.uint8)
    expected = [value / 127.5 - 1 for value in range(256)]
    torch.testing.assert_close(normalise(values), torch.tensor(expected), atol=1e-6, rtol=0)
    images = torch.zeros((2, 5, 5, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    assert normalise(images).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.faces
def test_real_faces_decode_as_pillow_decodes_them(faces_data: Path) -> None:
    for path in sorted((faces_data / "utkface" / "images").iterdir())[::800]:
        data = path.read_bytes()
        assert np.abs(decode(data, path.name) - by_pillow(data)).max() <= 1
