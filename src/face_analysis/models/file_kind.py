"""What a file is, by its first bytes, so that one of another kind can be named as what it is."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from face_analysis.datasets import kinds
from face_analysis.errors import MissingFileError
from face_analysis.inputs import check_input
from face_analysis.zoo.catalogue import recognise

_TAKERS = {
    "safetensors": "",
    "onnx": ": `extract` and `evaluate --verification` take networks of embeddings",
    "torch": ": --race_model, --gender_model and --age_model take model_*.pth of the original system, "
    "`extract` takes those of recognition, and `models import` makes a .safetensors file of them",
    "other": "",
}


@dataclass(frozen=True)
class FileKind:
    """The kind of a file: one that holds weights, or "other", and what it is in words."""

    name: Literal["safetensors", "onnx", "torch", "other"]
    words: str


SAFETENSORS = FileKind("safetensors", kinds.SAFETENSORS)
ONNX = FileKind("onnx", kinds.ONNX)
TORCH = FileKind("torch", "a checkpoint of torch (.pth)")
OLD_TORCH = FileKind("torch", f"{kinds.PICKLE}, as old checkpoints of torch are")


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
        head = file.read(kinds.HEAD)
    if not head:
        return _other("an empty file")
    kind = kinds.kind_or_text(head)
    if kind == kinds.ZIP:
        return _zip(path)
    known = {kinds.SAFETENSORS: SAFETENSORS, kinds.ONNX: ONNX, kinds.PICKLE: OLD_TORCH}
    return known.get(kind) or _other(f"{kind}, or cut short" if kind == kinds.UNKNOWN else kind)


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
        return _other("a damaged ZIP archive")
    return TORCH if any(name.endswith("data.pkl") for name in names) else _other(kinds.ZIP)
