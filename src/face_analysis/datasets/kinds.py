"""What kind of file something is, told by its first bytes, or by its suffix where these do not tell."""

from __future__ import annotations

import os
import re
from pathlib import Path

from face_analysis.datasets.lmdb.environment import is_lmdb
from face_analysis.datasets.record_files import is_records
from face_analysis.images.formats import HEAD, IMAGE_SUFFIXES, sniff

_PNM = re.compile(rb"P[1-6]\s+[0-9#]")
RAW_SUFFIXES = frozenset(
    {".arw", ".cr2", ".cr3", ".crw", ".dng", ".erf", ".kdc", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf"}
    | {".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"}
)
"""Raw files of cameras: most begin like a TIFF, whose first picture is a thumbnail."""
_SUFFIXES = {
    ".onnx": "an ONNX model",
    ".safetensors": "a model file",
    ".pth": "a PyTorch checkpoint",
    ".pt": "a PyTorch checkpoint",
    ".ckpt": "a checkpoint",
    ".bin": "a verification set or other .bin file",
    ".idx": "the index of a .rec file",
}
_STARTS = (
    (b"\x93NUMPY", "a NumPy array"),
    (b"PK\3\4", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"%PDF", "a PDF document"),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"\x89HDF", "an HDF5 file"),
    (b"PAR1", "a Parquet file"),
    (b"SQLite format 3", "an SQLite database"),
)


def is_picture(path: Path | str) -> bool:
    """Whether a file is a picture by its suffix, or where that is no picture's by its first bytes."""
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122  # of each file of a folder
    if suffix in IMAGE_SUFFIXES:
        return True
    return suffix not in RAW_SUFFIXES and picture_format(_head(path)) is not None


def picture_format(head: bytes) -> str | None:
    """The format of a picture by its first bytes, as `sniff`, which takes some texts for BMP or PNM."""
    found = sniff(head)
    text = (found == "BMP" and head[6:10] != bytes(4)) or (found == "PNM" and not _PNM.match(head))
    return None if text else found


def what_is(path: Path) -> str:
    """A file in words, such as "a text file" or "a JPEG picture"."""
    head = _head(path)
    picture = picture_format(head)
    suffix = path.suffix.lower()
    if not head:
        return "an empty file" if path.is_file() else "no regular file"
    if is_lmdb(path):
        return "an LMDB"
    if is_records(path):
        return "a .rec file"
    if suffix in RAW_SUFFIXES:
        return "a raw file of a camera"
    if picture is not None:
        return f"a {picture} picture"
    if head[4:8] == b"ftyp":
        return "a video"
    for start, name in _STARTS:
        if head.startswith(start) and suffix not in _SUFFIXES:
            return name
    return _SUFFIXES.get(suffix) or ("a text file" if _is_text(head) else "a file of an unknown kind")


def _is_text(head: bytes) -> bool:
    """Also text in UTF-16, and in an encoding of single bytes."""
    return head.startswith((b"\xff\xfe", b"\xfe\xff")) or not any(
        byte < 32 and byte not in b"\t\n\r\f" for byte in head
    )


def _head(path: Path | str) -> bytes:
    try:
        with open(path, "rb", buffering=0, opener=_without_waiting) as file:
            return file.read(HEAD) or b""
    except OSError:
        return b""


def _without_waiting(path: str, flags: int) -> int:
    """Open a pipe whether or not anything writes into it."""
    return os.open(path, flags | os.O_NONBLOCK)
