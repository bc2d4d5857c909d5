from __future__ import annotations

import gzip
import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from face_analysis.datasets.kinds import what_is
from face_analysis.datasets.pack import pack
from face_analysis.datasets.sources import open_source
from tests.datasets.record_files import labelled, write_records


def encoded(form: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, form)
    return file.getvalue()


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "text")
    return file.getvalue()


def array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a", encoded("JPEG"), "a JPEG picture"),
        ("a.txt", encoded("PNG"), "a PNG picture"),
        ("a.nef", encoded("TIFF"), "a raw file of a camera"),
        ("a.jpg", b"a.jpg 1\n", "a text file"),
        ("a.txt", "a.jpg 1\n".encode("utf-16"), "a text file"),
        ("a.txt", b"caf\xe9.jpg 1\r\n", "a text file"),
        ("a.zip", zipped(), "a ZIP archive"),
        ("a.tgz", gzip.compress(b"x", mtime=0), "a gzip archive"),
        ("a.npy", array(), "a NumPy array"),
        ("a.mov", b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "a video"),
        ("a.pdf", b"%PDF-1.7\n", "a PDF document"),
        ("a.onnx", b"\x08\x07\x12\x07pytorch", "an ONNX network"),
        ("a.safetensors", b"\x10\0\0\0\0\0\0\0{}", "a .safetensors file"),
        ("a.pth", zipped(), "a PyTorch checkpoint"),
        ("lfw.bin", pickle.dumps(([b"x"], [True])), "a verification set or other .bin file"),
        ("a.idx", b"0\t0\n", "the index of a .rec file"),
        ("a", b"", "an empty file"),
        ("a", b"\x01\x02\x03", "a file of an unknown kind"),
    ],
)
def test_a_file_is_named_by_its_content_and_then_its_suffix(
    tmp_path: Path, name: str, content: bytes, kind: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert what_is(tmp_path / name) == kind


def test_packed_files_are_named_whatever_their_suffix(patterns: Path, tmp_path: Path) -> None:
    pack(open_source(patterns.parent, patterns), tmp_path / "faces.jpg", "race")
    write_records(tmp_path / "a.rec", [labelled(b"x", 1)])
    assert what_is(tmp_path / "faces.jpg") == "an LMDB"
    assert what_is((tmp_path / "a.rec").rename(tmp_path / "b.txt")) == "a .rec file"
