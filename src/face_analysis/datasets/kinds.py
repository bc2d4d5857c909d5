"""What kind of file something is, told by its first bytes, or by its suffix where these do not tell."""

from __future__ import annotations

import os
import re
from pathlib import Path

from face_analysis.datasets.lmdb.environment import MAGIC as LMDB_MAGIC
from face_analysis.datasets.record_files import MAGIC as RECORD_MAGIC
from face_analysis.images.formats import IMAGE_SUFFIXES, sniff

LMDB, RECORDS = "an LMDB", "a .rec file"
SAFETENSORS, ONNX = "a .safetensors file", "an ONNX network"
PICKLE, ZIP, PARQUET = "a pickle file", "a ZIP archive", "a Parquet file"
TEXT, UNKNOWN = "a text file", "a file of an unknown kind"
_PNM = re.compile(rb"P[1-6]\s+[0-9#]")
RAW_SUFFIXES = frozenset(
    {".arw", ".cr2", ".cr3", ".crw", ".dng", ".erf", ".kdc", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf"}
    | {".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"}
)
"""Raw files of cameras: most begin like a TIFF, whose first picture is a thumbnail."""
_SUFFIXES = {
    ".onnx": ONNX,
    ".safetensors": SAFETENSORS,
    ".pth": "a PyTorch checkpoint",
    ".pt": "a PyTorch checkpoint",
    ".ckpt": "a checkpoint",
    ".bin": "a verification set or other .bin file",
    ".idx": "the index of a .rec file",
}
HEAD = 512
"""How many of a file's first bytes tell its kind."""
_SIGNATURES = tuple(
    (re.compile(pattern, re.DOTALL), kind)
    for pattern, kind in (
        (b".{16}" + re.escape(LMDB_MAGIC), LMDB),
        (re.escape(RECORD_MAGIC), RECORDS),
        (rb".{6}\x00\x00\{", SAFETENSORS),  # the length of the header, then its JSON
        (rb"\x08[\x00-\x7f][\x12\x1a\x22\x28\x32\x3a\x42]", ONNX),  # the version, then another field's tag
        (rb"\x80[\x02-\x05]", PICKLE),
        (rb"PK\x03\x04", ZIP),
        (rb"PAR1", PARQUET),
        (rb"\x93NUMPY", "a NumPy array"),
        (rb"\x1f\x8b", "a gzip archive"),
        (rb"BZh", "a bzip2 archive"),
        (rb"\xfd7zXZ\x00", "an xz archive"),
        (rb"7z\xbc\xaf", "a 7-Zip archive"),
        (rb"Rar!", "a RAR archive"),
        (rb".{257}ustar", "a tar archive"),
        (rb"\x89HDF", "an HDF5 file"),
        (rb".{4}TFL3", "a TensorFlow Lite network"),
        (rb"%PDF", "a PDF document"),
        (rb"\x1aE\xdf\xa3", "a video"),
        (rb"SQLite format 3", "an SQLite database"),
    )
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


def kind_of_head(head: bytes) -> str | None:
    """What a file is by its first HEAD bytes, in words; None where these do not tell it from text."""
    found = next((kind for pattern, kind in _SIGNATURES if pattern.match(head)), None)
    if found is None and (picture := picture_format(head)):
        return f"{'an' if picture == 'AVIF' else 'a'} {picture} picture"
    return found or ("a video" if head[4:8] == b"ftyp" else None)


def kind_or_text(head: bytes) -> str:
    """As `kind_of_head`, with TEXT and UNKNOWN for the rest."""
    return kind_of_head(head) or (TEXT if _is_text(head) else UNKNOWN)


def what_is(path: Path) -> str:
    """A file in words, such as "a text file" or "a JPEG picture"."""
    head, suffix = _head(path), path.suffix.lower()
    if not head:
        return "an empty file" if path.is_file() else "no regular file"
    kind = kind_or_text(head)
    if kind in (LMDB, RECORDS):
        return kind
    if suffix in RAW_SUFFIXES:
        return "a raw file of a camera"
    return kind if picture_format(head) else _SUFFIXES.get(suffix, kind)


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
