"""The kinds of photos in Python: a path, URL, bytes, file object, Pillow image, array or tensor."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, TypeAlias
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow

from face_analysis.errors import MissingFileError, UnreadableImageError, UsageError
from face_analysis.images.decode import decode, from_pillow
from face_analysis.images.limits import MAX_BYTES, check_bytes, read_picture_file
from face_analysis.types import Image, Input

PhotoLike: TypeAlias = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | BinaryIO
    | Pillow.Image
    | NDArray[Any]
    | torch.Tensor
)
"""A photo in any form; `PhotoReader` describes how each is read."""
TAKEN = (
    "give a path, a URL, bytes, a file object, a Pillow image, a uint8 array (H, W), (H, W, 3) or (H, W, 4), "
    "or a uint8 tensor (C, H, W)"
)
URL_STARTS = ("http://", "https://")
TIMEOUT = 30.0
"""Seconds to wait for a server, and for each piece that it sends."""


@dataclass(frozen=True)
class PhotoReader:
    """Reads photos in any form to RGB.

    An array is grey (H, W) or (H, W, 1), RGB (H, W, 3) or RGBA (H, W, 4). With `bgr` it is BGR or BGRA, as
    OpenCV reads files. A tensor has the channels first, as torchvision reads files, and is never BGR. Both
    are uint8, 0 to 255. Alpha is dropped, as in files. With `allow_urls`, a text that begins with
    `http://` or `https://` is downloaded. The input of the program then decides which addresses are opened.
    """

    bgr: bool = False
    allow_urls: bool = False

    def input(self, photo: object, position: int = 0) -> Input:
        """The photo by its name, which is its path or URL, or says its `position`; nothing is read yet.

        To load it raises MissingFileError and UnreadableImageError, and UsageError for what cannot be a photo
        and for a URL without leave.
        """
        if isinstance(photo, str) and photo.lower().startswith(URL_STARTS):
            return Input(photo, partial(_fetch, photo) if self.allow_urls else partial(_refuse_url, photo))
        if isinstance(photo, str | os.PathLike):
            return Input(os.fsdecode(photo), partial(_read_path, Path(os.fsdecode(photo))))
        name, load = self._held(photo, position)
        return Input(name, load)

    def _held(self, photo: object, position: int) -> tuple[str, Callable[[], Image]]:
        """Name and reader of a photo that the program holds in memory."""
        if isinstance(photo, np.ndarray):
            name = f"array {position}"
            return name, partial(_from_array, photo, name, bgr=self.bgr)
        if isinstance(photo, torch.Tensor):
            name = f"tensor {position}"
            return name, partial(_from_tensor, photo, name)
        if isinstance(photo, Pillow.Image):
            name = str(getattr(photo, "filename", "") or f"image {position}")
            return name, partial(from_pillow, photo, name)
        name = f"photo {position}"
        if isinstance(photo, bytes | bytearray | memoryview):
            return name, partial(_from_bytes, photo, name)
        if hasattr(photo, "read"):
            name = str(getattr(photo, "name", name))
            return name, partial(_from_file, photo, name)
        if photo is None:
            reason = "None in place of a photo; OpenCV gives it for a file that it cannot read"
            return name, partial(_refuse, name, reason)
        return name, partial(_refuse_kind, name, type(photo).__name__)


def _read_path(path: Path) -> Image:
    try:
        return decode(read_picture_file(path), str(path))
    except IsADirectoryError:
        raise UnreadableImageError(f"{path}: is a folder; give a picture file") from None
    except FileNotFoundError:
        raise MissingFileError(path, "photo") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UnreadableImageError(f"{path}: {reason}") from error


def _fetch(url: str) -> Image:
    try:
        with urlopen(Request(url, headers={"User-Agent": "face-analysis"}), timeout=TIMEOUT) as answer:
            data = answer.read(MAX_BYTES + 1)
    except (OSError, HTTPException, ValueError) as error:
        reason = f"{error.code} {error.reason}" if isinstance(error, HTTPError) else error
        raise UnreadableImageError(f"{url}: could not be fetched ({reason})") from error
    return decode(data, url)


def _from_bytes(data: bytes | bytearray | memoryview, name: str) -> Image:
    return decode(bytes(data), name)


def _from_file(file: Any, name: str) -> Image:
    try:
        data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UnreadableImageError(f"{name}: {error}") from error
    if not isinstance(data, bytes):
        raise UnreadableImageError(f"{name}: the file gives text; open it with mode 'rb'")
    try:
        check_bytes(len(data))
    except UnreadableImageError as error:
        raise UnreadableImageError(f"{name}: {error}") from error
    return decode(data, name)


def _from_tensor(tensor: torch.Tensor, name: str) -> Image:
    if tensor.ndim != 3 or tensor.shape[0] not in (1, 3, 4):
        shape = tuple(tensor.shape)
        _refuse(
            name, f"expected a uint8 tensor (C, H, W) of 1, 3 or 4 channels, found {tensor.dtype} {shape}"
        )
    return _from_array(tensor.detach().permute(1, 2, 0).cpu().numpy(), name, bgr=False)


def _from_array(array: NDArray[Any], name: str, *, bgr: bool) -> Image:
    if array.ndim == 2:
        array = array[:, :, None]
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        advice = "; multiply values of 0 to 1 by 255 and round them" if array.dtype.kind == "f" else ""
        _refuse(
            name, f"expected uint8 (H, W), (H, W, 3) or (H, W, 4), found {array.dtype} {array.shape}{advice}"
        )
    if array.shape[2] == 1:
        return np.repeat(array, 3, axis=2)
    colours = array[:, :, 2::-1] if bgr else array[:, :, :3]
    return np.ascontiguousarray(colours)


def _refuse(name: str, reason: str) -> NoReturn:
    raise UnreadableImageError(f"{name}: {reason}")


def _refuse_kind(name: str, kind: str) -> NoReturn:
    raise UsageError(f"{name} is of the type {kind}: {TAKEN}")


def _refuse_url(url: str) -> NoReturn:
    raise UsageError(f"{url}: photos are fetched from the network only with allow_urls=True")
