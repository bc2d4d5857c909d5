from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageCms
from pillow_heif import register_heif_opener

from face_analysis.images.colour import _converter, to_srgb
from face_analysis.images.decode import decode

register_heif_opener()
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
# Chromaticities of the red, green and blue colorants under D50, as the published profiles hold them.
DISPLAY_P3 = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))


def fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def profile(colorants: tuple[tuple[float, float, float], ...], gamma: float, space: bytes = b"RGB ") -> bytes:
    """A version 2 ICC profile of three colorants (or none, for grey) and a power law."""
    curve = b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(gamma * 256), 0)
    tags = {b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642) + fixed(1) + fixed(0.82491)}
    if space == b"GRAY":
        tags[b"kTRC"] = curve
    else:
        for name, xyz in zip(b"rgb", colorants, strict=True):
            tags[bytes((name,)) + b"XYZ"] = b"XYZ \0\0\0\0" + b"".join(map(fixed, xyz))
            tags[bytes((name,)) + b"TRC"] = curve
    table, body, at = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s", 0, b"none", 0x02400000, b"mntr", space, b"XYZ ") + bytes(12) + b"acsp"
    head = head.ljust(68, b"\0") + fixed(0.9642) + fixed(1) + fixed(0.82491)
    whole = head.ljust(128, b"\0") + table + body
    return struct.pack(">I", len(whole)) + whole[4:]


def linear(values: np.ndarray) -> np.ndarray:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def companded(values: np.ndarray) -> np.ndarray:
    values = values.clip(0, 1)
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)


def by_hand(
    pixels: np.ndarray, colorants: tuple[tuple[float, float, float], ...], gamma: float
) -> np.ndarray:
    """To XYZ (D50) by the colorants, and back by those of sRGB (IEC 61966-2-1)."""
    srgb = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141))
    light = (pixels / 255.0) ** gamma @ np.array(colorants) @ np.linalg.inv(np.array(srgb))
    return 255 * companded(light)


def patches(mode: str = "RGB") -> Pillow.Image:
    values = np.random.default_rng(0).integers(0, 256, (8, 12, 3)).astype(np.uint8)
    image = Pillow.fromarray(values.repeat(16, axis=0).repeat(16, axis=1))
    return image.convert(mode)


def encoded(form: str, image: Pillow.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(("colorants", "gamma"), [(DISPLAY_P3, 2.2), (ADOBE_RGB, 2.19921875)])
@pytest.mark.parametrize(
    ("form", "options"),
    [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True}), ("JPEG", {"quality": 100, "subsampling": 0})],
)
def test_a_wide_gamut_comes_out_as_the_colour_equations_say(
    form: str, options: dict[str, object], colorants: tuple[tuple[float, float, float], ...], gamma: float
) -> None:
    data = encoded(form, patches(), icc_profile=profile(colorants, gamma), **options)
    stored = decode(encoded(form, patches(), **options), "without a profile")
    difference = np.abs(decode(data, "wide") - by_hand(stored, colorants, gamma))
    assert difference.max() <= 2
    assert np.abs(decode(data, "wide").astype(int) - stored).max() > 20


@pytest.mark.parametrize("form", ["AVIF", "HEIF"])
def test_wide_gamut_avif_and_heic_are_converted_as_image_cms_does(form: str) -> None:
    icc = profile(DISPLAY_P3, 2.2)
    data = encoded(form, patches(), icc_profile=icc)
    with Pillow.open(io.BytesIO(data)) as image:
        expected = ImageCms.profileToProfile(
            image.convert("RGB"), io.BytesIO(image.info["icc_profile"]), ImageCms.createProfile("sRGB")
        )
    assert np.abs(decode(data, "wide") - np.asarray(expected).astype(int)).max() <= 1


def test_red_of_display_p3_is_the_brightest_red() -> None:
    red = Pillow.new("RGB", (40, 30), (234, 51, 35))  # sRGB's red, (255, 0, 0), in Display P3
    pixels = decode(encoded("PNG", red, icc_profile=profile(DISPLAY_P3, 2.2)), "red")
    assert np.abs(pixels - np.array((255, 0, 0))).max() <= 8


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_picture_in_srgb_is_left_as_it_is(form: str) -> None:
    options = {"lossless": True} if form == "WEBP" else {}
    plain = decode(encoded(form, patches(), **options), "plain")
    np.testing.assert_array_equal(decode(encoded(form, patches(), icc_profile=SRGB, **options), "s"), plain)


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_grey_profile_counts_for_grey_pixels(form: str) -> None:
    ramp = Pillow.fromarray(np.arange(256, dtype=np.uint8).repeat(16)[None].repeat(16, axis=0))
    pixels = decode(encoded(form, ramp, icc_profile=profile((), 1.8, b"GRAY")), "scan")
    expected = 255 * companded((np.asarray(ramp) / 255) ** 1.8)
    assert np.abs(pixels - expected[:, :, None]).max() <= 2


@pytest.mark.parametrize(
    "icc", [b"", b"nonsense" * 40, SRGB[:300], SRGB[:128] + bytes(2000), profile((), 1.0, b"GRAY")]
)
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_profile_that_is_broken_or_of_another_kind_is_ignored(icc: bytes, form: str) -> None:
    plain = decode(encoded(form, patches()), "plain")
    np.testing.assert_array_equal(decode(encoded(form, patches(), icc_profile=icc), "broken"), plain)


def test_a_palette_is_converted_as_its_colours() -> None:
    icc = profile(ADOBE_RGB, 2.19921875)
    palette = patches().quantize(96)
    pixels = decode(encoded("PNG", palette, icc_profile=icc), "palette")
    assert np.abs(pixels - by_hand(np.asarray(palette.convert("RGB")), ADOBE_RGB, 2.19921875)).max() <= 2


def test_many_photos_of_one_camera_read_its_profile_once() -> None:
    icc = profile(DISPLAY_P3, 2.21)
    _converter.cache_clear()
    for _ in range(5):
        to_srgb(np.zeros((4, 4, 3), np.uint8), icc)
    assert _converter.cache_info().misses == 1
