from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
import tifffile
import torch
from PIL import Image as Pillow
from PIL import ImageOps
from pillow_heif import register_heif_opener

from face_analysis.errors import UnreadableImageError
from face_analysis.images.decode import decode, fit
from face_analysis.images.normalise import normalise
from tests.generators.image_rarities import deep_png
from tests.generators.image_seeds import seeds

register_heif_opener()
ORIENTATION_TAG = 0x0112
# Of each format and kind one picture of 123x97 and smaller ones.
KINDS = [
    pytest.param(data, id=f"{form}-{number}")
    for form, images in seeds().items()
    for number, data in enumerate(images)
    if len(data) < 100_000
]


def picture(height: int = 60, width: int = 84) -> Pillow.Image:
    y, x = np.mgrid[:height, :width]
    texture = np.random.default_rng(0).integers(0, 40, (height, width))
    return Pillow.fromarray(np.stack([x * 2 + texture, y * 3, x + y], -1).astype(np.uint8))


def encoded(image: Pillow.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def by_pillow(data: bytes) -> np.ndarray:
    with Pillow.open(io.BytesIO(data)) as image, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about palettes with transparency
        if image.mode.startswith("I;16"):  # which Pillow would clip at 255
            return np.repeat((np.asarray(image).astype(int) >> 8)[:, :, None], 3, axis=2)
        if image.format == "HEIF":  # those made here turn nothing by themselves, but say it in EXIF
            image.getexif()[ORIENTATION_TAG] = image.info["original_orientation"] or 1
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB")).astype(int)


@pytest.mark.parametrize("data", KINDS)
def test_every_kind_of_image_agrees_with_pillow(data: bytes) -> None:
    ours, theirs = decode(data, "kind"), by_pillow(data)
    assert (ours.dtype, ours.shape) == (np.uint8, theirs.shape)
    assert ours.flags.c_contiguous
    assert np.abs(ours - theirs).max() <= 1


@pytest.mark.parametrize("data", KINDS)
def test_a_cut_image_is_refused_or_gives_the_same_pixels_as_the_whole(data: bytes) -> None:
    whole = decode(data, "whole")
    for end in np.unique(np.linspace(0, len(data) - 1, 25).astype(int)):
        try:
            pixels = decode(data[:end], "cut")
        except UnreadableImageError:
            continue
        np.testing.assert_array_equal(pixels, whole)


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


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("layout", [{"tile": (32, 32)}, {"rowsperstrip": 7}])
def test_orientation_of_tiles_and_strips_is_applied(
    orientation: int, deep: bool, layout: dict[str, object]
) -> None:
    pixels, buffer = np.asarray(picture()), io.BytesIO()
    values = pixels.astype(np.uint16) * 257 if deep else pixels
    tag = (ORIENTATION_TAG, "H", 1, orientation, True)
    tifffile.imwrite(buffer, values, photometric="rgb", extratags=[tag], **layout)
    exif = Pillow.Exif()
    exif[ORIENTATION_TAG] = orientation
    expected = by_pillow(encoded(picture(), "PNG", exif=exif))
    np.testing.assert_array_equal(decode(buffer.getvalue(), "scan"), expected)


@pytest.mark.parametrize(
    "options", [{"quality": 95}, {"quality": 80, "subsampling": 0}, {"quality": 80, "progressive": True}]
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_jpeg_pixels_agree_with_pillow(options: dict[str, object], mode: str) -> None:
    data = encoded(picture().convert(mode), "JPEG", **options)
    assert np.abs(decode(data, "photo") - by_pillow(data)).max() <= 1


def test_palette_images_agree_with_pillow() -> None:
    data = encoded(picture().quantize(32), "PNG")
    np.testing.assert_array_equal(decode(data, "palette"), by_pillow(data))
    data = encoded(picture().quantize(32), "GIF")
    np.testing.assert_array_equal(decode(data, "palette"), by_pillow(data))


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_dropped_and_stored_colours_stay(form: str) -> None:
    pixels = np.dstack([np.asarray(picture()), np.tile(np.arange(84, dtype=np.uint8) * 3, (60, 1))])
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    ours = decode(encoded(Pillow.fromarray(pixels), form, **options), "alpha")
    np.testing.assert_array_equal(ours, pixels[:, :, :3])


def test_grey_with_alpha_comes_out_as_rgb() -> None:
    data = encoded(picture().convert("LA"), "PNG")
    np.testing.assert_array_equal(decode(data, "LA"), by_pillow(data))


def test_sixteen_bit_grey_keeps_its_high_byte() -> None:
    values = (np.arange(60 * 84).reshape(60, 84) * 13).astype(np.uint16)
    ours = decode(encoded(Pillow.fromarray(values), "PNG"), "deep")
    np.testing.assert_array_equal(ours, np.repeat((values >> 8)[:, :, None], 3, axis=2))


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bit_colour_keeps_its_high_byte_in_rgb_order(form: str) -> None:
    values, buffer = np.random.default_rng(3).integers(0, 2**16, (9, 7, 3)).astype(np.uint16), io.BytesIO()
    tifffile.imwrite(buffer, values, photometric="rgb")
    data = deep_png(values) if form == "PNG" else buffer.getvalue()
    np.testing.assert_array_equal(decode(data, "deep"), values >> 8)


@pytest.mark.parametrize("subsampling", ["444", "420"])
def test_ycck_jpeg_agrees_with_pillow(subsampling: str) -> None:
    inks = np.ascontiguousarray(picture().convert("CMYK"))
    data = simplejpeg.encode_jpeg(inks, 95, "CMYK", subsampling)
    assert simplejpeg.decode_jpeg_header(data)[2] == "YCCK"
    assert np.abs(decode(data, "print") - by_pillow(data)).max() <= 2


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_picture_counts(form: str) -> None:
    frames = [picture().quantize(60).convert("RGB").rotate(angle) for angle in (0, 90, 180)]
    options = {"lossless": True} if form == "WEBP" else {}
    data = encoded(frames[0], form, save_all=True, append_images=frames[1:], **options)
    np.testing.assert_array_equal(decode(data, "film"), np.asarray(frames[0]))


def test_of_an_animated_png_the_picture_for_old_viewers_counts() -> None:
    frames = [picture().rotate(angle) for angle in (0, 90, 180)]
    data = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:], default_image=True)
    np.testing.assert_array_equal(decode(data, "film"), np.asarray(frames[0]))


def test_transparent_pixels_of_a_gif_keep_their_colours() -> None:
    data = encoded(picture().quantize(32), "GIF", transparency=5)
    np.testing.assert_array_equal(decode(data, "gif"), by_pillow(data))


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


def test_broken_images_print_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    for form in ("JPEG", "PNG", "TIFF", "GIF", "BMP"):
        data = encoded(picture(), form)
        with pytest.raises(UnreadableImageError):
            decode(data[: len(data) // 2], "cut")
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


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
