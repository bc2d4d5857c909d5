from __future__ import annotations

import pickle
import tarfile
import zipfile
from pathlib import Path

import lmdb
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image
from safetensors.numpy import save_file

from face_analysis.errors import MissingFileError, ModelMismatchError
from face_analysis.models.file_kind import kind_of, misplaced
from face_analysis.models.original import import_original, read_original_backbone, read_tensors
from face_analysis.zoo.find import find


def picture(form: str) -> object:
    return lambda path: Image.new("RGB", (9, 9)).save(path, form)


def tar(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        archive.add(__file__, "a")


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "a")


def network(path: Path) -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [value], [value])
    onnx.save(helper.make_model(graph), path)


def packed(path: Path) -> None:
    with lmdb.open(str(path), subdir=False, lock=False):
        pass


WRITERS = [
    (lambda path: save_file({"a": np.zeros(3)}, path), "safetensors", "safetensors"),
    (lambda path: torch.save({"a": torch.zeros(3)}, path), "torch", "checkpoint of torch"),
    (
        lambda path: torch.save({"a": torch.zeros(3)}, path, _use_new_zipfile_serialization=False),
        "torch",
        "pickle",
    ),
    (lambda path: path.write_bytes(pickle.dumps([1])), "torch", "pickle"),
    (network, "onnx", "an ONNX network"),
    *(
        (picture(form), "other", f"a {form} picture")
        for form in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WebP")
    ),
    (tar, "other", "a tar archive"),
    (zipped, "other", "a ZIP archive"),
    (packed, "other", "an LMDB"),
    (lambda path: np.save(path.open("wb"), np.zeros(3)), "other", "a NumPy array"),
    (lambda path: path.write_text("weights: none\n" * 99), "other", "a text file"),
    (lambda path: path.write_text("Gewöhnlich" * 99), "other", "a text file"),
    (lambda path: path.touch(), "other", "an empty file"),
    (lambda path: path.mkdir(), "other", "a folder"),
    (lambda path: path.write_bytes(b"\x01\x02\xff" * 9), "other", "an unknown kind"),
    (lambda path: path.write_bytes(b"\x08"), "other", "an unknown kind"),
]


@pytest.mark.parametrize(("write", "name", "words"), WRITERS)
def test_a_file_is_known_by_its_content(tmp_path: Path, write: object, name: str, words: str) -> None:
    path = tmp_path / "model.onnx"
    write(path)  # type: ignore[operator]
    kind = kind_of(path)
    assert (kind.name, words in kind.words) == (name, True), kind


def test_models_of_the_catalogue_are_told_by_name_and_use() -> None:
    assert "is sface (embeddings of aligned faces), not a cake: `extract`" in misplaced(
        find("sface"), "a cake"
    )
    assert misplaced(find("yunet"), "a cake").endswith(
        "is yunet (finds faces and their five landmarks), not a cake"
    )


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="nowhere"):
        kind_of(tmp_path / "nowhere")


@pytest.mark.parametrize(("write", "name", "words"), WRITERS)
def test_a_checkpoint_of_another_kind_is_named_as_what_it_is(
    tmp_path: Path, write: object, name: str, words: str
) -> None:
    path = tmp_path / "model_a.pth"
    write(path)  # type: ignore[operator]
    if name == "torch":
        return
    for read in (lambda: read_tensors(path, "model"), lambda: import_original(path)):
        with pytest.raises(ModelMismatchError, match=words):
            read()


def test_the_files_beside_a_model_are_named(tmp_path: Path) -> None:
    path = tmp_path / "head_a.pth"
    for head in ({"W": torch.zeros(9, 512)}, {"fc1.weight": torch.zeros(2, 512), "fc1.bias": torch.zeros(2)}):
        torch.save(head, path)
        with pytest.raises(ModelMismatchError, match="is the head of a model: give the model_"):
            read_original_backbone(path)
    torch.save(torch.optim.SGD([torch.zeros(1)]).state_dict(), path)
    with pytest.raises(ModelMismatchError, match="state of an optimiser: give the model_"):
        read_original_backbone(path)
