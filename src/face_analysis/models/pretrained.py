"""Starting weights: from a model of this package, an original backbone checkpoint, or SFace's ONNX file."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from face_analysis.errors import ModelMismatchError
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.original import read_tensors
from face_analysis.models.sface import read_sface
from face_analysis.models.state import mismatch
from face_analysis.models.weights import load_model

BACKBONE = "backbone."


def load_pretrained(network: AttributeNetwork, path: Path) -> tuple[str, ...]:
    """Copy the backbone of a `.safetensors` or original `.pth` file, and the heads that both have.

    Of SFace's `.onnx` file the layers before its embedding are copied; the embedding stays as it was drawn.

    Returns the names of those heads. Raises MissingFileError, and ModelMismatchError for a file that is
    damaged or of another backbone.
    """
    if path.suffix == ".onnx":
        return _load_sface(network, path)
    if path.suffix == ".pth":
        tensors = {BACKBONE + name: tensor for name, tensor in read_tensors(path, "pretrained model").items()}
    else:
        tensors = load_model(path).network.state_dict()
    own = network.state_dict()
    problems = mismatch(_backbone(own), _backbone(tensors))
    if problems:
        raise ModelMismatchError(
            f"{path}: not the backbone of this run ({network.config}): {problems}; give the "
            "--backbone, --depth, --net_mode and --width of the pretrained model"
        )
    heads = tuple(name for name in network.attributes if f"heads.{name}.weight" in tensors)
    wanted = (BACKBONE, *(f"heads.{name}." for name in heads))
    network.load_state_dict(
        {**own, **{key: tensors[key] for key in own if key.startswith(wanted) and key in tensors}}
    )
    return heads


def _load_sface(network: AttributeNetwork, path: Path) -> tuple[str, ...]:
    tensors = read_sface(path)
    own = network.backbone.state_dict()
    shared = {name: own[name] for name in own if name.startswith(("stem.", "body.")) or name in tensors}
    problems = mismatch(_without_counts(shared), tensors)
    if problems:
        raise ModelMismatchError(
            f"{path}: SFace is a mobilenet of width 1, this run's backbone is {network.config}: {problems}; "
            "give --backbone mobilenet --width 1"
        )
    network.backbone.load_state_dict(tensors, strict=False)
    return ()


def _backbone(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return _without_counts({name: tensor for name, tensor in tensors.items() if name.startswith(BACKBONE)})


def _without_counts(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}
