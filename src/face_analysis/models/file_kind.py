"""What a file is, by its first bytes, so that one of another kind can be named as what it is."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from face_analysis.errors import MissingFileError
from face_analysis.images.formats import sniff
from face_analysis.inputs import check_input
from face_analysis.zoo.catalogue import recognise

HEAD = 512
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89HDF", "an HDF5 file (of Keras)"),
    (4, b"TFL3", "a TensorFlow Lite network"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"7z\xbc\xaf", "a 7z archive"),
    (0, b"Rar!", "a RAR archive"),
    (257, b"ustar", "a tar archive"),
    (16, b"\xde\xc0\xef\xbe", "an LMDB file"),
    (0, b"%PDF", "a PDF document"),
)
_TAKERS = {
    "safetensors": "",
    "onnx": ": `extract` and `evaluate --verification` take networks of embeddings",
    "torch": ": --race_model, --gender_model and --age_model take model_*.pth of the original system, "
    "`extract` takes those of recognition, and `models import` makes a .safetensors file of them",
    "other": "",
}
_AFTER_VERSION = frozenset(b"\x12\x1a\x22\x28\x32\x3a\x42")
"""What may follow the version at the start of an ONNX file: the tags of its other fields."""


@dataclass(frozen=True)
class FileKind:
    """The kind of a file: one that holds weights, or "other", and what it is in words."""

    name: Literal["safetensors", "onnx", "torch", "other"]
    words: str


SAFETENSORS = FileKind("safetensors", "a .safetensors file")
ONNX = FileKind("onnx", "an ONNX network")
TORCH = FileKind("torch", "a checkpoint of torch (.pth)")


def kind_of(path: Path) -> FileKind:
    """The kind of a file by its content, whatever its name. Nothing of it is run.

    Raises MissingFileError.
    """
    if not path.exists():
        raise MissingFileError(path, "model")
    if path.is_dir():
        return _other("a folder")
    check_input(path)
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head:
        return _other("an empty file")
    if head[:4] == b"PK\x03\x04":
        return _zip(path)
    if head[8:9] == b"{" and head[6:8] == b"\0\0":  # the length of the header, then its JSON
        return SAFETENSORS
    if head[:1] == b"\x08" and len(head) > 2 and head[1] < 128 and head[2] in _AFTER_VERSION:
        return ONNX
    if head[:1] == b"\x80":
        return FileKind("torch", "a pickle file, as old checkpoints of torch are")
    form = sniff(head)
    if form is not None:
        return _other(f"{'an' if form == 'AVIF' else 'a'} {form} picture")
    words = next((words for at, start, words in _SIGNATURES if head.startswith(start, at)), None)
    return _other(words or ("a text file" if _is_text(head) else "a file of an unknown kind, or cut short"))


def misplaced(path: Path, wanted: str) -> str:
    """What a file is in place of what was `wanted`, and which command takes it, as the text of an error.

    Raises MissingFileError.
    """
    kind = kind_of(path)
    entry = None if path.is_dir() else recognise(path)
    what = f"{entry.name} ({entry.use})" if entry else kind.words
    detector = entry is not None and entry.name == "yunet"
    return f"{path}: is {what}, not {wanted}{'' if detector else _TAKERS[kind.name]}"


def _other(words: str) -> FileKind:
    return FileKind("other", words)


def _zip(path: Path) -> FileKind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return _other("a damaged zip archive")
    return TORCH if any(name.endswith("data.pkl") for name in names) else _other("a zip archive")


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8", "ignore" if len(head) == HEAD else "strict")
    except UnicodeDecodeError:
        return False
    return all(sign.isprintable() or sign.isspace() for sign in text)
