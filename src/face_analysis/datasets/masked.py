"""Images with a folder of face masks beside them."""

from __future__ import annotations

from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.sources import ImageSource
from face_analysis.errors import MissingFileError, UnreadableImageError


class MaskedSource:
    """A source whose masks lie in a folder: that of the image `a/b.jpg` is `masks/a/b_mask.png`.

    Raises MissingFileError where there is no such folder.
    """

    def __init__(self, source: ImageSource, masks: Path) -> None:
        if not masks.is_dir():
            raise MissingFileError(masks, "folder of masks")
        self.source = source
        self.masks = masks

    def __len__(self) -> int:
        return len(self.source)

    @property
    def labels(self) -> dict[str, NDArray[np.int64]]:
        """The source's."""
        return self.source.labels

    @property
    def strings(self) -> dict[str, list[str]]:
        """The source's."""
        return self.source.strings

    @property
    def origin(self) -> Path:
        """The source's."""
        return self.source.origin

    def name(self, index: int) -> str:
        """The source's name of the image."""
        return self.source.name(index)

    def read(self, index: int) -> bytes:
        """The encoded image, as the source reads it."""
        return self.source.read(index)

    def read_mask(self, index: int) -> bytes:
        """The encoded mask; raises UnreadableImageError where its file cannot be read."""
        image = PurePath(self.name(index))
        path = self.masks / image.parent / f"{image.stem}_mask.png"
        try:
            return path.read_bytes()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise UnreadableImageError(f"mask of {image}: {path}: {reason}") from error
