"""Images as a packed file stores them: as they are, or written anew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import cv2
import numpy as np
import simplejpeg

from face_analysis.errors import UnreadableImageError
from face_analysis.images.chips import ChipMaker
from face_analysis.images.decode import decode
from face_analysis.images.detect import YuNet
from face_analysis.images.face_masks import decode_mask, fade_outside
from face_analysis.images.limits import read_picture_file
from face_analysis.types import NO_FACE
from face_analysis.zoo.catalogue import file_sha256


@dataclass(frozen=True)
class Encoding:
    """How images are written anew: the chip that `maker` makes of each, as JPEG of `quality`, 1 to 100.

    An image in which the maker finds no face is left out, and listed. Without a maker an image keeps its
    size, and one that was no JPEG becomes a PNG.
    """

    maker: ChipMaker | None = None
    quality: int = 95

    def encode(self, image: bytes, name: str, mask: bytes | None = None) -> bytes:
        """The encoded image written anew, with a mask blurred outside the face.

        Raises UnreadableImageError, also where no face is found.
        """
        pixels = decode(image, name)
        if mask is not None:
            pixels = fade_outside(pixels, decode_mask(mask, f"mask of {name}", pixels.shape))
        if self.maker is not None:
            chips = self.maker.cut(pixels, name)
            if not chips:
                raise UnreadableImageError(f"{name}: {NO_FACE}")
            pixels = chips[0].pixels
        elif not image.startswith(b"\xff\xd8"):
            return cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()
        encoded: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), self.quality)
        return encoded

    def facts(self) -> dict[str, Any]:
        """What the encoded images depend on, by name; a detector counts by the content of its file."""
        facts: dict[str, Any] = {"quality": self.quality}
        if self.maker is not None:
            detector = self.maker.detector
            facts |= {"size": self.maker.size, "whole": self.maker.whole, "faces": self.maker.which}
            facts["align"] = detector is not None
            if isinstance(detector, YuNet):
                facts["detector"] = file_sha256(detector.model)
                facts["threshold"], facts["rotations"] = detector.threshold, len(detector.turns) > 1
        return facts


def read_mask_of(image: str, masks: Path) -> bytes:
    """The encoded mask of an image in a folder of masks: that of `a/b.jpg` is `a/b_mask.png`.

    Raises UnreadableImageError where its file cannot be read.
    """
    name = PurePath(image)
    path = masks / name.parent / f"{name.stem}_mask.png"
    try:
        return read_picture_file(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UnreadableImageError(f"mask of {image}: {path}: {reason}") from error
