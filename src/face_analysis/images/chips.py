"""From a photo to the chips of its faces."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Literal, NamedTuple

from face_analysis.errors import UsageError
from face_analysis.images.align import BORDERS, CHIP_SIZE, align_chip
from face_analysis.images.boxes import Wanted, wanted
from face_analysis.images.decode import fit
from face_analysis.images.detect import THRESHOLD, FaceDetector, YuNet
from face_analysis.types import Detection, Image, Name, called
from face_analysis.zoo.find import find


class Chip(NamedTuple):
    """RGB uint8 (size, size, 3), and where the face was; None for a chip that is the whole picture."""

    pixels: Image
    detection: Detection | None


@dataclass(frozen=True)
class ChipMaker:
    """Makes the chips of a photo: it finds and aligns faces, or resizes a photo that is one aligned face.

    The second is what it does without a detector.

    `which` faces are wanted and from what size (longer side of the box, in pixels). With `whole` a picture
    in which none is found is taken whole, so that each gives at least one chip. `borders` says what a chip
    shows beyond the photo's edges: "black", or for training "mixed": by a hash of the image's name black, the
    edge repeated, or the photo mirrored, so that a network learns to look at the face.
    """

    detector: FaceDetector | None = None
    which: Wanted = "all"
    min_size: float = 0
    whole: bool = False
    size: int = CHIP_SIZE
    borders: Literal["black", "mixed"] = "black"

    @classmethod
    def with_detector(
        cls,
        which: Wanted = "all",
        min_size: float = 0,
        threshold: float = THRESHOLD,
        *,
        rotations: bool = False,
        whole: bool = False,
    ) -> ChipMaker:
        """One with the detector of the zoo. Raises UsageError for a threshold or size out of range."""
        if not 0 < threshold < 1 or min_size < 0:
            raise UsageError("the threshold must lie between 0 and 1, and the smallest size be at least 0")
        return cls(YuNet(find("yunet"), threshold, rotations=rotations), which, min_size, whole)

    def cut(self, image: Image, name: Name) -> list[Chip]:
        """The chips of RGB uint8 (H, W, 3), from left to right; `name` is the image's."""
        if self.detector is None:
            return [Chip(fit(image, self.size), None)]
        faces = wanted(self.detector.detect(image), self.which, image.shape, self.min_size)
        border = BORDERS[_hash(called(name)) % len(BORDERS)] if self.borders == "mixed" else BORDERS[0]
        chips = [Chip(align_chip(image, face.landmarks, self.size, border), face) for face in faces]
        return chips or ([Chip(fit(image, self.size), None)] if self.whole else [])


def _hash(name: str) -> int:
    return zlib.crc32(name.encode("utf-8", "surrogateescape"))
