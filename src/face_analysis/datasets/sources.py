"""Where images come from: a list with a folder, a folder alone, a packed file, or a picture."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.folders import list_folder, search_and_tell, shown
from face_analysis.datasets.kinds import is_picture, what_is
from face_analysis.datasets.lists.image_list import ImageList, read_image_list
from face_analysis.datasets.packed import PACKED_SUFFIXES, is_packed, open_packed, packed_in
from face_analysis.errors import EmptyDataError, MissingFileError, UnreadableImageError, UsageError
from face_analysis.images.limits import read_picture_file
from face_analysis.zoo.card import RECOGNITION

log = logging.getLogger(__name__)


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
    def strings(self) -> Mapping[str, Sequence[str]]:
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
    def strings(self) -> Mapping[str, Sequence[str]]:
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
            return read_picture_file(path)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise UnreadableImageError(f"{path}: {reason}; correct the list or its folder") from error

    def read_mask(self, index: int) -> bytes | None:
        """None: folders hold no masks."""
        return None


def open_source(source: Path | None, image_list: Path | None, attribute: str | None = None) -> ImageSource:
    """Open a packed file (LMDB or .rec), a list with its folder, all of a folder (sorted), or one picture.

    A packed file brings its own labels; a list given beside it is not read, which is logged. A folder without
    a list may hold a packed file that stands for it, see `packed_in`; of other folders it is logged what is
    left out. Without a folder the paths of the list must be absolute or relative to the working directory.
    Raises MissingFileError, EmptyDataError, ListFormatError, PackedFileError, and UsageError for a file of
    another kind or where neither is given.
    """
    if source is None and image_list is None:
        raise UsageError("give a folder or packed file of images (source), an image list, or both")
    if source is not None and not source.exists():
        raise MissingFileError(source, "image source")
    if source is not None and not source.is_dir():
        return _open_file(source, image_list, attribute)
    if image_list is not None:
        return FolderSource(read_image_list(image_list), source)
    assert source is not None
    packed = packed_in(source)
    return open_packed(packed, attribute) if packed else FolderSource(list_folder(source), source)


def open_people(source: Path | None, image_list: Path | None = None) -> ImageSource:
    """As `open_source`, with who is in each image: a folder without a list is one of classes.

    Raises as `open_source` and `folder_of_classes`.
    """
    if source is None or image_list is not None or not source.is_dir():
        return open_source(source, image_list, RECOGNITION)
    packed = packed_in(source)
    if packed is not None:
        return open_packed(packed, RECOGNITION)
    return folder_of_classes(source)


def folder_of_classes(folder: Path) -> FolderSource:
    """The images of a folder, each subfolder a class, counted from 0 in their sorted order.

    Images directly in the folder have no class. Raises as `list_folder`, and EmptyDataError for a folder
    without images in subfolders. Subfolders without images are logged.
    """
    found = search_and_tell(folder)
    images = found.images
    names = sorted({image.split("/", 1)[0] for image in images if "/" in image})
    empty = sorted(set(found.folders).difference(names))
    if empty:
        log.warning("%s: folders without images, which are no classes: %s", folder, shown(empty))
    if not names:
        raise EmptyDataError(
            f"{folder}: all images lie directly in it; give a list, or put each class into a subfolder"
        )
    code = {name: number for number, name in enumerate(names)}
    classes = [code[image.split("/", 1)[0]] if "/" in image else -1 for image in images]
    return FolderSource(ImageList(folder, images, {"class": np.array(classes, np.int64)}), folder)


def open_listed(path: Path, folder: Path | None) -> ImageSource:
    """Open an image list with the folder of its images, or what may stand in place of a list.

    That is a folder, a packed file or a picture, as `open_source` opens it without a list. Raises as that.
    """
    if (
        path.is_dir()
        or path.suffix in PACKED_SUFFIXES
        or is_packed(path)
        or (path.exists() and is_picture(path))
    ):
        return open_source(path, None)
    return open_source(folder, path)


def open_photos(paths: Sequence[Path]) -> ImageSource:
    """Open photos and folders of photos, a packed file too where it stands alone. Raises as `open_source`.

    A photo's name is its path as it is given, or that of its folder joined with its own. What is named more
    than once is taken once, which is logged.
    """
    if len(paths) == 1 and (paths[0].is_dir() or not is_picture(paths[0])):
        return open_source(paths[0], None)
    images: list[str] = []
    for path in paths:
        if path.is_dir():
            images += [str(path / name) for name in list_folder(path).images]
        elif not path.exists():
            raise MissingFileError(path, "photo")
        elif is_picture(path):
            images.append(str(path))
        else:
            raise _unfit(path, "a photo; a packed file must stand alone")
    once = list(dict.fromkeys(images))
    if len(once) < len(images):
        log.warning("named more than once, taken once: %d photos", len(images) - len(once))
    return FolderSource(ImageList(Path("photos"), once))


def _open_file(path: Path, image_list: Path | None, attribute: str | None) -> ImageSource:
    if path.suffix in PACKED_SUFFIXES or is_packed(path):
        if image_list is not None:
            log.warning("%s: not read, since %s brings its own labels", image_list, path)
        return open_packed(path, attribute)
    if not is_picture(path):
        raise _unfit(path, "a picture, a folder or a packed file (LMDB, .rec)")
    if image_list is not None:
        raise UsageError(f"{path} is a picture: beside a list give the folder of the list's images")
    return FolderSource(ImageList(path, [path.name]), path.parent)


def _unfit(path: Path, wanted: str) -> UsageError:
    kind = what_is(path)
    hint = "; an image list goes with --image_list (pack: --list, train: --train_list)"
    return UsageError(f"{path} is {kind}, not {wanted}{hint if kind == 'a text file' else ''}")


def path_of(source: ImageSource, index: int) -> str:
    """The image's path as the original system gives it: joined with the folder; its name in a packed file."""
    root = source.root if isinstance(source, FolderSource) else None
    return os.path.join(root or "", source.name(index))  # noqa: PTH118  # keeps `./`


def place_of(source: ImageSource) -> Path:
    """What the names of a source's images are relative to: a folder, or the packed file itself."""
    return source.root or Path() if isinstance(source, FolderSource) else source.origin


def names_sha256(source: ImageSource) -> str:
    """SHA-256 (hexadecimal) over the names of a source's images, in order: which images these are."""
    digest = hashlib.sha256()
    for row in range(len(source)):
        digest.update(source.name(row).encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()
