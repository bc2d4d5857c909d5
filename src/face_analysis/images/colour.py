"""Colours as a picture stores them become sRGB, by the ICC profile that it carries."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageCms

from face_analysis.types import Image

TOLERANCE = 2
"""Levels, of 256, by which a profile may differ from sRGB and still be left as it is."""
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""What Pillow calls the colour spaces of profiles."""
STRIP = 2**17
"""Pixels converted at a time, so that a large picture needs little memory beside its own."""


def to_srgb(stored: NDArray[np.uint8], profile: bytes | None) -> Image:
    """Grey (H, W), RGB (H, W, 3) or CMYK (H, W, 4) as RGB (H, W, 3); RGB may be changed in place.

    The profile counts for pixels of its own kind, and an RGB one for grey pixels too. Without one grey and
    RGB are taken for sRGB, and CMYK is converted by the rule of thumb (1 - ink) * (1 - black).
    """
    mode = {2: "L", 3: "RGB", 4: "CMYK"}[stored.ndim if stored.ndim == 2 else stored.shape[2]]
    converter = _converter(profile) if profile else None
    if mode == "RGB" and (converter is None or converter.input_mode != "RGB"):
        return stored
    height, width = stored.shape[:2]
    pixels = stored if mode == "RGB" else np.empty((height, width, 3), np.uint8)
    rows = max(1, STRIP // width)
    for top in range(0, height, rows):
        strip = Pillow.fromarray(stored[top : top + rows], mode)
        pixels[top : top + rows] = _converted(strip, converter)
    return pixels


def _converted(strip: Pillow.Image, converter: ImageCms.ImageCmsTransform | None) -> Image:
    if strip.mode == "L" and converter is not None and converter.input_mode == "RGB":
        strip = strip.convert("RGB")
    fits = converter is not None and converter.input_mode == strip.mode
    return np.asarray(converter.apply(strip) if converter and fits else strip.convert("RGB"))


@lru_cache(maxsize=32)
def _converter(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    """From the profile's colours to sRGB; None for one that is sRGB, broken, or of another colour space."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODES[source.profile.xcolor_space.strip()]
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        converter = ImageCms.ImageCmsTransform(source, srgb, mode, "RGB")
    except Exception:  # a broken profile is ignored, as viewers do: the pixels are whole
        return None
    levels = np.linspace(0, 255, 18).astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(18, -1, 3)
    known = Pillow.fromarray(colours[:, :, 0] if mode == "L" else colours)
    if mode == "CMYK":
        return converter
    change = np.asarray(converter.apply(known)).astype(int) - np.asarray(known.convert("RGB"))
    return converter if np.abs(change).max() > TOLERANCE else None
