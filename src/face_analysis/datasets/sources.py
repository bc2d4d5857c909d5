"""Where images come from: a list with a folder, a folder alone, or a packed file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.lists.image_list import ImageList, read_image_list
from face_analysis.datasets.lmdb.format import column_of
from face_analysis.datasets.lmdb.reader import LmdbReader
from face_analysis.datasets.records.source import RecordSource
from face_analysis.errors import EmptyDataError, MissingFileError, UnreadableImageError, UsageError

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm"}
)


class ImageSource(Protocol):
    """Encoded images by row, with the labels known of them; may be sent to worker processes."""

    def __len__(self) -> int: ...

    @property
    def labels(self) -> dict[str, NDArray[np.int64]]:
        """Label columns (race, gender, age, class), int64 (N,) each, -1 unknown.

        A packed file of the original gives its one column as `label`.
        """
        ...

    @property
    def strings(self) -> dict[str, list[str]]:
        """Text columns (subject), N strings each; packed files have none."""
        ...

    @property
    def origin(self) -> Path:
        """The list, folder or file, to name in errors."""
        ...

    def name(self, index: int) -> str:
        """The image's name as its list gives it."""
        ...

    def read(self, index: int) -> bytes:
        """The encoded image; raises UnreadableImageError where its file is missing."""
        ...

    def read_mask(self, index: int) -> bytes | None:
        """The encoded mask, or None where there is none."""
        ...


class FolderSource:
    """The images of a list, under `root`; without it the list's paths are taken as they are."""

    def __init__(self, image_list: ImageList, root: Path | None = None) -> None:
        self.image_list = image_list
        self.root = root

    def __len__(self) -> int:
        return len(self.image_list)

    @property
    def labels(self) -> dict[str, NDArray[np.int64]]:
        """The list's label columns."""
        return self.image_list.labels

    @property
    def strings(self) -> dict[str, list[str]]:
        """The list's text columns."""
        return self.image_list.strings

    @property
    def origin(self) -> Path:
        """The list's path."""
        return self.image_list.path

    def name(self, index: int) -> str:
        """The path as the list gives it."""
        return self.image_list.images[index]

    def read(self, index: int) -> bytes:
        """The file's bytes; raises UnreadableImageError where it is missing or may not be read."""
        # Packing reads some ten thousand small files a second, of which pathlib would take a tenth.
        path = os.path.join(self.root or "", self.name(index))  # noqa: PTH118
        try:
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123
                return file.read()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise UnreadableImageError(f"{path}: {reason}; correct the list or its folder") from error

    def read_mask(self, index: int) -> bytes | None:
        """None: folders hold no masks."""
        return None


class LmdbSource:
    """The images of a packed file.

    `attribute` (race, gender, age or recognition) names the records' integer in a file of the original
    system, which does not say what it is; a file that says is not overruled.
    """

    def __init__(self, path: Path, attribute: str | None = None) -> None:
        self.reader = LmdbReader(path)
        self._attribute = attribute

    def __len__(self) -> int:
        return len(self.reader)

    @property
    def labels(self) -> dict[str, NDArray[np.int64]]:
        """The file's label columns."""
        labels = self.reader.labels
        if self.reader.attribute is None and self._attribute is not None and len(labels) == 1:
            return {column_of(self._attribute): next(iter(labels.values()))}
        return labels

    @property
    def strings(self) -> dict[str, list[str]]:
        """None: packed files keep no text but names."""
        return {}

    @property
    def origin(self) -> Path:
        """The file's path."""
        return self.reader.path

    def name(self, index: int) -> str:
        """The image's name in the list it was packed from."""
        return self.reader.name(index)

    def read(self, index: int) -> bytes:
        """The encoded image; raises PackedFileError where the file is damaged."""
        return self.reader.record(index)[0]

    def read_mask(self, index: int) -> bytes | None:
        """The encoded mask of a record that has one."""
        return self.reader.record(index)[2]


def open_source(source: Path | None, image_list: Path | None, attribute: str | None = None) -> ImageSource:
    """Open a packed file (LMDB or .rec), a list with its folder, or all of a folder (sorted, without labels).

    A packed file brings its own labels; a list given beside it is not read. Without a folder the paths of
    the list must be absolute or relative to the working directory. Raises MissingFileError, EmptyDataError,
    ListFormatError, PackedFileError, and UsageError when neither is given.
    """
    if source is not None and not source.exists():
        raise MissingFileError(source, "image source")
    if source is not None and source.is_file():
        packed = RecordSource if source.suffix == ".rec" else LmdbSource
        return packed(source, attribute)
    if image_list is not None:
        return FolderSource(read_image_list(image_list), source)
    if source is None:
        raise UsageError("give a folder or packed file of images (source), an image list, or both")
    return FolderSource(list_folder(source), source)


def open_photos(paths: Sequence[Path]) -> ImageSource:
    """Open photos and folders of photos, a packed file too where it stands alone. Raises as `open_source`."""
    if len(paths) == 1 and (paths[0].is_dir() or paths[0].suffix.lower() not in IMAGE_SUFFIXES):
        return open_source(paths[0], None)
    images: list[str] = []
    for path in paths:
        if not path.exists():
            raise MissingFileError(path, "photo")
        images += [str(path / name) for name in list_folder(path).images] if path.is_dir() else [str(path)]
    return FolderSource(ImageList(Path("photos"), images))


def list_folder(folder: Path) -> ImageList:
    """All images under a folder, sorted by relative path, without labels. Raises EmptyDataError."""
    files = (path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    images = sorted(path.relative_to(folder).as_posix() for path in files)
    if not images:
        raise EmptyDataError(f"{folder}: no images in this folder or under it; choose another")
    return ImageList(folder, images)


def path_of(source: ImageSource, index: int) -> str:
    """The image's path as the original system gives it: joined with the folder; its name in a packed file."""
    root = source.root if isinstance(source, FolderSource) else None
    return os.path.join(root or "", source.name(index))  # noqa: PTH118  # keeps `./`


def names_sha256(source: ImageSource) -> str:
    """SHA-256 (hexadecimal) over the names of a source's images, in order: which images these are."""
    digest = hashlib.sha256()
    for row in range(len(source)):
        digest.update(source.name(row).encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()
