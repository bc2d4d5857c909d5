"""Bytes become pixels here, and nowhere else."""

from __future__ import annotations

import io
import warnings
from functools import lru_cache
from importlib import import_module
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from face_analysis.errors import UnreadableImageError
from face_analysis.images.colour import STRIP, to_srgb
from face_analysis.images.formats import HEAD, READ, sniff
from face_analysis.images.jpeg import read_jpeg
from face_analysis.images.limits import MAX_PIXELS, check_bytes, check_pixels
from face_analysis.types import Image, Name, called

MAX_SLOW_PIXELS = 2**22
"""Of what Pillow reads by loops in Python: run lengths in BMP, text and unusual ranges in PNM."""
TIFF_PACKINGS = frozenset(
    "raw tiff_ccitt group3 group4 tiff_lzw jpeg tiff_adobe_deflate tiff_deflate packbits".split()  # noqa: SIM905
)
"""Those left out are rare, and in the readers of some of them lay most of libtiff's flaws."""
_ORIENTATION, _BITS, _PHOTOMETRIC, _PLANES, _TILE_WIDTH, _TILE_HEIGHT = 274, 258, 262, 284, 322, 323
_READERS = {
    "PNG": "PIL.PngImagePlugin.PngImageFile",
    "WebP": "PIL.WebPImagePlugin.WebPImageFile",
    "GIF": "PIL.GifImagePlugin.GifImageFile",
    "BMP": "PIL.BmpImagePlugin.BmpImageFile",
    "TIFF": "PIL.TiffImagePlugin.TiffImageFile",
    "PNM": "PIL.PpmImagePlugin.PpmImageFile",
    "AVIF": "PIL.AvifImagePlugin.AvifImageFile",
    "HEIC": "pillow_heif.HeifImageFile",
}
"""Called by name instead of by `Image.open`, which swallows the reason why a file is refused."""
_FLIPS = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}
"""OpenCV's flip code for each EXIF orientation; what remains to be done for 5 to 8 after transposing."""


def decode(data: bytes, name: Name) -> Image:
    """Decode a JPEG, PNG, WebP, GIF, BMP, TIFF, PNM, AVIF or HEIC picture to RGB uint8 (H, W, 3), upright.

    The content decides the format. The orientation that a picture states is applied, and its colour profile
    is converted to sRGB. Grey, palette and CMYK pictures come out as RGB, 16-bit values keep their high
    byte, and alpha is dropped: the stored colours stay, without a background. Of an animation or a file of
    several pages the first picture counts. `name` is what the error calls the picture.
    Raises UnreadableImageError for bytes that are no picture, for another format, for HEIC without
    pillow-heif, for a truncated or damaged picture, and for one beyond the limits of `images/limits.py`.
    """
    pixels, orientation = _decoded(data, name)
    return _upright(pixels, orientation)


def from_pillow(picture: Pillow.Image, name: str) -> Image:
    """The pixels of a Pillow image as `decode` gives those of a file: RGB uint8 (H, W, 3), upright, in sRGB.

    The image itself is left as it is. Raises UnreadableImageError as `decode`.
    """
    try:
        check_pixels(picture.width, picture.height)
        copy = picture.copy()
        pixels = to_srgb(_array(copy, "Pillow"), picture.info.get("icc_profile"))
        return _upright(pixels, _orientation(picture))
    except UnreadableImageError as error:
        raise UnreadableImageError(f"{name}: {error}") from error
    except Exception as error:  # a file that Pillow reads only now may be damaged in any way
        raise UnreadableImageError(f"{name}: broken picture ({error}); replace it") from error


def check(data: bytes, name: Name) -> None:
    """Raise what `decode` would raise; a JPEG is read through, but its pixels are not worked out."""
    _decoded(data, name, reduced=True)


def fit(image: Image, size: int = 112) -> Image:
    """Resize RGB uint8 (H, W, 3) to (size, size, 3); returned as it is when it has that size.

    Averages areas when an image shrinks to half or less. Above that bilinear already weighs every pixel, and
    measured against Pillow's filters it is as close to them at a fraction of the time.
    """
    height, width = image.shape[:2]
    if height == size and width == size:
        return image
    shrinks = min(height, width) >= 2 * size
    return cast(
        Image, cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    )


def _decoded(data: bytes, name: Name, *, reduced: bool = False) -> tuple[Image, int]:
    """RGB pixels as stored, and their orientation."""
    form = sniff(data[:HEAD])
    try:
        check_bytes(len(data))
        if form is None:
            raise UnreadableImageError(
                f"not a picture, or not {READ}; replace or convert it"
                if data
                else "the file is empty; replace it"
            )
        stored, header = read_jpeg(data, reduced=reduced) if form == "JPEG" else _read(form, data)
        if header is None:
            return to_srgb(stored, None), 1
        return to_srgb(stored, header.info.get("icc_profile")), _orientation(header)
    except UnreadableImageError as error:
        raise UnreadableImageError(f"{called(name)}: {error}") from error
    except Exception as error:  # damaged bytes make the parsers raise nearly anything
        reason = str(error) or type(error).__name__
        raise UnreadableImageError(
            f"{called(name)}: broken {form} picture ({reason}); replace the file"
        ) from error


def _read(form: str, data: bytes) -> tuple[NDArray[np.uint8], Pillow.Image]:
    """Pixels as stored: grey (H, W), RGB (H, W, 3) or CMYK (H, W, 4); and the picture they are of."""
    picture = _reader(form)(io.BytesIO(data))
    codec = picture.tile[0].codec_name if picture.tile else ""
    if codec == "ppm" and picture.tile[0].args == ("RGB", 65535):
        return _deep_pnm(picture, data), picture
    slow = codec in ("bmp_rle", "ppm", "ppm_plain")
    limit, advice = (MAX_SLOW_PIXELS, "save it as PNG") if slow else (MAX_PIXELS, "make it smaller")
    check_pixels(picture.width, picture.height, limit, advice)
    if codec == "ppm_plain" and not data[-1:].isspace():
        raise UnreadableImageError("the last number of the PNM may be cut; end the file with a new line")
    if form == "TIFF":
        _check_tiff(picture)
    picture.load()
    check_pixels(picture.width, picture.height)
    if form == "HEIC" and b"irot" not in data and b"imir" not in data:
        # The library follows these alone. A file without them may still say in EXIF how it was held.
        picture.getexif()[_ORIENTATION] = picture.info.get("original_orientation") or 1
    return _array(picture, form), picture


@lru_cache
def _reader(form: str) -> Any:
    # Loaded when needed: most photos are JPEG. What Pillow warns of is either harmless or an error too.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    module, name = _READERS[form].rsplit(".", 1)
    try:
        return getattr(import_module(module), name)
    except ImportError as error:
        raise UnreadableImageError(
            "HEIC needs pillow-heif; `pip install pillow-heif`, or convert it to JPEG"
        ) from error


def _check_tiff(picture: Any) -> None:
    packing = picture.info.get("compression")
    if packing not in TIFF_PACKINGS:
        raise UnreadableImageError(f"TIFF of compression {packing} is not read; convert it to PNG")
    if packing == "raw" and picture.tag_v2.get(_PLANES) == 2 and 16 in picture.tag_v2.get(_BITS, ()):
        # Pillow reads the first half of each plane, as if it held bytes.
        raise UnreadableImageError("TIFF of 16 bits in planes is not read; save it compressed or as PNG")
    width, height = (picture.tag_v2.get(tag, 1) for tag in (_TILE_WIDTH, _TILE_HEIGHT))
    check_pixels(width, height, advice="save it in smaller tiles")


def _deep_pnm(picture: Any, data: bytes) -> NDArray[np.uint8]:
    """RGB in 16 bits, for which Pillow takes a second a megapixel."""
    width, height = picture.size
    check_pixels(width, height)
    high = np.frombuffer(data, np.uint8, height * width * 6, picture.tile[0].offset)[::2]
    return high.reshape(height, width, 3).copy()


def _array(picture: Pillow.Image, form: str) -> NDArray[np.uint8]:
    """The pixels in one of the three kinds that `to_srgb` takes."""
    mode = picture.mode
    if mode.startswith("I;16") or (mode == "I" and form == "PNM"):
        high = (np.asarray(picture) >> 8).astype(np.uint8)
        return np.invert(high) if _is_negative(picture) else high
    if mode in ("I", "F", "LAB"):
        raise UnreadableImageError(f"{form} of mode {mode} is not read; convert it to 8 or 16 bits RGB")
    picture.info.pop("transparency", None)  # so that a palette's colours stay as they are
    kind = {"1": "L", "LA": "L", "La": "L"}.get(mode, mode if mode in ("L", "CMYK") else "RGB")
    pixels = np.empty((picture.height, picture.width, *{"RGB": (3,), "CMYK": (4,)}.get(kind, ())), np.uint8)
    rows = max(1, STRIP // picture.width)
    for top in range(0, picture.height, rows):
        strip = picture.crop((0, top, picture.width, min(top + rows, picture.height)))
        pixels[top : top + rows] = strip if mode == kind else strip.convert(kind)
    return pixels


def _is_negative(picture: Any) -> bool:
    """Whether 0 is white in a TIFF, which Pillow heeds in up to 8 bits."""
    return hasattr(picture, "tag_v2") and picture.tag_v2.get(_PHOTOMETRIC) == 0


def _orientation(picture: Pillow.Image) -> int:
    """1 to 8 from EXIF or XMP; 1 where there is none, it is damaged, or Pillow has applied it."""
    try:
        return int(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # of damaged metadata nothing can be known, and the pixels are whole
        return 1


def _upright(image: Image, orientation: int) -> Image:
    """The image (H, W, 3) turned as its EXIF orientation, 1 to 8, says; may be the same memory."""
    if 5 <= orientation <= 8:
        image = cast(Image, cv2.transpose(image))
    flip = _FLIPS.get(orientation)
    return image if flip is None else cast(Image, cv2.flip(image, flip, dst=image))
