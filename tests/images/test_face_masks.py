"""Blur outside the face, beside a straight-line loop over SciPy's filter."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy.ndimage import gaussian_filter

from face_analysis.errors import UnreadableImageError
from face_analysis.images.face_masks import blur_outside, decode_mask, fade_outside
from tests.images.mask_loops import FACE, codes_of, loop_by_level, loop_by_weight, picture, png

Form = Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.uint8]]
Loop = Callable[[NDArray[np.uint8], NDArray[np.uint8], type], NDArray[np.float64]]

SHAPES = [(112, 112), (90, 61), (30, 250)]
FORMS = [(blur_outside, loop_by_level), (fade_outside, loop_by_weight)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("ours", "loop"), FORMS)
def test_a_picture_is_blurred_as_by_scipys_filter_but_for_the_fraction(
    ours: Form, loop: Loop, shape: tuple[int, int]
) -> None:
    image, codes = picture(*shape), codes_of(*shape)
    exact, found = loop(image, codes, float), ours(image, codes)
    difference = exact - found
    assert found.dtype == np.uint8
    assert difference.min() > -0.01
    assert difference.max() < 1.01
    assert (found == np.floor(exact + 1e-3)).mean() > 0.999
    assert np.abs(exact - image).max() > 50  # there was something to blur


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("ours", "loop"), FORMS)
def test_it_is_within_two_grey_levels_of_the_filter_in_whole_numbers(
    ours: Form, loop: Loop, shape: tuple[int, int]
) -> None:
    """The original filtered bytes, where each of the two passes cuts the fraction off."""
    image, codes = picture(*shape), codes_of(*shape)
    difference = np.floor(loop(image, codes, np.uint8)) - ours(image, codes)
    assert np.abs(difference).max() <= 2
    assert np.abs(difference).mean() < 0.6


@pytest.mark.parametrize("ours", [blur_outside, fade_outside])
def test_the_face_stays_as_it_is_and_a_mask_all_of_face_changes_nothing(ours: Form) -> None:
    image, codes = picture(112, 112), codes_of(112, 112)
    inside = np.zeros((112, 112), bool)
    inside[45:65, 45:65] = True
    np.testing.assert_array_equal(ours(image, codes)[inside], image[inside])
    for code in sorted(FACE):
        np.testing.assert_array_equal(ours(image, np.full((112, 112), code)), image)


@pytest.mark.parametrize("ours", [blur_outside, fade_outside])
@pytest.mark.parametrize("code", [0, 7, 8, 9, 14, 15, 16, 17, 18])
def test_a_mask_without_a_face_blurs_the_whole_picture_by_the_largest_sigma(ours: Form, code: int) -> None:
    image = picture(112, 112)
    exact = np.stack([gaussian_filter(image[..., channel].astype(float), 10) for channel in range(3)], axis=2)
    np.testing.assert_allclose(ours(image, np.full((112, 112), code)), np.floor(exact + 1e-3), atol=1)


def test_one_pixel_of_face_is_sharp_and_its_picture_finite() -> None:
    image, codes = picture(60, 60), np.zeros((60, 60), np.uint8)
    codes[30, 30] = 10
    for ours, loop in FORMS:
        found = ours(image, codes)
        np.testing.assert_array_equal(found[30, 30], image[30, 30])
        assert np.abs(loop(image, codes, float) - found).max() < 1.01


def palette(codes: NDArray[np.uint8]) -> Pillow.Image:
    """As parsers save what is to be looked at: the code is the index of a colour."""
    mask = Pillow.fromarray(codes, "P")
    mask.putpalette(np.random.default_rng(0).integers(0, 256, 768).astype(np.uint8).tobytes())
    return mask


@pytest.mark.parametrize(
    "saved",
    [
        lambda codes: Pillow.fromarray(codes),
        palette,
        lambda codes: Pillow.merge("RGB", [Pillow.fromarray(codes)] * 3),
        lambda codes: Pillow.merge("RGBA", [*[Pillow.fromarray(codes)] * 3, Pillow.fromarray(codes * 7)]),
        lambda codes: Pillow.merge("LA", [Pillow.fromarray(codes), Pillow.fromarray(codes * 7)]),
        lambda codes: Pillow.fromarray(codes.astype(np.uint16)),
    ],
    ids=["grey", "palette", "RGB", "RGBA", "grey and alpha", "16 bits"],
)
def test_codes_are_read_however_the_png_holds_them(
    saved: Callable[[NDArray[np.uint8]], Pillow.Image],
) -> None:
    codes = codes_of(64, 48)
    np.testing.assert_array_equal(decode_mask(png(saved(codes)), "m", (64, 48, 3)), codes)


@pytest.mark.parametrize(("bits", "largest"), [(2, 3), (4, 13)])
@pytest.mark.parametrize("colour_type", [0, 3], ids=["grey", "palette"])
def test_codes_of_few_bits_are_the_stored_numbers(bits: int, largest: int, colour_type: int) -> None:
    codes = np.random.default_rng(bits).integers(0, largest + 1, (16, 24)).astype(np.uint8)
    per_byte = 8 // bits
    packed = sum(
        codes[:, place::per_byte].astype(int) << (8 - bits * (place + 1)) for place in range(per_byte)
    )
    lines = b"".join(b"\0" + row.tobytes() for row in packed.astype(np.uint8))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 24, 16, bits, colour_type, 0, 0, 0))]
    chunks += [(b"PLTE", bytes(range(100, 100 + 3 * 2**bits)))] if colour_type == 3 else []
    chunks += [(b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    np.testing.assert_array_equal(decode_mask(data, "m", (16, 24)), codes)


def test_a_mask_of_one_bit_says_face_where_it_is_set() -> None:
    codes = (codes_of(64, 48) == 1).astype(np.uint8)
    read = decode_mask(png(Pillow.fromarray(codes * 255).convert("1")), "m", (64, 48))
    np.testing.assert_array_equal(read, codes)


SIZES = [((512, 512), (112, 112)), ((60, 45), (120, 90)), ((50, 37), (100, 75))]


@pytest.mark.parametrize(("mask", "shape"), SIZES)
def test_a_mask_of_another_size_takes_the_nearest_code(mask: tuple[int, int], shape: tuple[int, int]) -> None:
    codes = codes_of(*mask)
    read = decode_mask(png(Pillow.fromarray(codes)), "m", shape)
    for y in range(shape[0]):
        for x in range(shape[1]):
            down, right = int((y + 0.5) * mask[0] / shape[0]), int((x + 0.5) * mask[1] / shape[1])
            assert read[y, x] == codes[down, right]


def jpeg(codes: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(codes).save(buffer, "JPEG")
    return buffer.getvalue()


CODES = codes_of(64, 64)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (png(Pillow.fromarray(np.where(CODES == 1, 255, 0).astype(np.uint8))), "largest value is 255"),
        (png(palette(CODES).convert("RGB")), "in colours"),
        (png(Pillow.fromarray(codes_of(64, 48))), "48x64 pixels, the picture 64x64"),
        (png(Pillow.fromarray(CODES))[:200], "give a PNG"),
        (jpeg(CODES), "give a PNG"),
        (b"", "give a PNG"),
    ],
    ids=["black and white", "colours", "aspect", "cut short", "JPEG", "empty"],
)
def test_what_is_no_mask_of_the_picture_is_refused_by_name(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImageError, match=f"mask of a.jpg.*{reason}"):
        decode_mask(data, "mask of a.jpg", (64, 64, 3))
