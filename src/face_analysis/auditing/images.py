"""The images of several lists as one row of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.attributes import ATTRIBUTES, UNKNOWN, known
from face_analysis.datasets.sources import ImageSource, open_listed
from face_analysis.errors import UsageError

SUBJECT = "subject"
CLASS = "class"


def audited_images(paths: Sequence[Path], folder: Path | None) -> AuditedImages:
    """The images of lists, folders or packed files; `folder` holds those of the lists.

    Raises UsageError for two of one name, and as `open_listed`.
    """
    names = tuple(path.resolve().name if path.is_dir() else path.stem for path in paths)
    if len(set(names)) < len(names):
        raise UsageError(f"the lists need different names, not {', '.join(names)}")
    return AuditedImages(names, tuple(open_listed(path, folder) for path in paths))


@dataclass(frozen=True)
class AuditedImages:
    """N images, those of each list after those of the list before.

    `names` are the lists'; `part` (N,) is the number of each image's list, and `starts` where each begins.
    """

    names: tuple[str, ...]
    sources: tuple[ImageSource, ...]
    part: NDArray[np.int64] = field(init=False)
    starts: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        sizes = [len(source) for source in self.sources]
        object.__setattr__(self, "part", np.repeat(np.arange(len(sizes)), sizes))
        object.__setattr__(self, "starts", np.concatenate([[0], np.cumsum(sizes)]))

    def __len__(self) -> int:
        return len(self.part)

    def list_name(self, row: int) -> str:
        """The list of an image."""
        return self.names[self._list(row)]

    def path(self, row: int) -> str:
        """An image's name in its list."""
        return self.sources[self._list(row)].name(self.place(row))

    def read(self, row: int) -> bytes:
        """The encoded image. Raises UnreadableImageError."""
        return self.sources[self._list(row)].read(self.place(row))

    def place(self, row: int) -> int:
        """The row of an image in its own list."""
        return int(row - self.starts[self._list(row)])

    def _list(self, row: int) -> int:
        return int(self.part[row])

    def labels(self) -> dict[str, NDArray[np.int64]]:
        """Race, gender, age and class, as far as any list has them: int64 (N,), -1 where it is not known."""
        wanted: Sequence[str] = (*ATTRIBUTES, CLASS)
        found = {}
        for name in wanted:
            if any(name in source.labels for source in self.sources):
                parts = [source.labels.get(name, np.full(len(source), UNKNOWN)) for source in self.sources]
                values = np.concatenate(parts)
                valid = values >= 0 if name == CLASS else known(name, values)  # type: ignore[arg-type]
                found[name] = np.where(valid, values, UNKNOWN)
        return found

    def subjects(self) -> list[str]:
        """Who each image shows, where its list says; empty strings where not."""
        return [
            subject for source in self.sources for subject in source.strings.get(SUBJECT, [""] * len(source))
        ]
