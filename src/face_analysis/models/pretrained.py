"""Starting weights: from a model of this package, an original backbone checkpoint, or SFace's ONNX file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from face_analysis.errors import ModelMismatchError
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.layers import Backbone
from face_analysis.models.original import head_beside, read_tensors
from face_analysis.models.sface import read_sface
from face_analysis.models.weights import load_model, mismatch


def load_pretrained(network: AttributeNetwork, path: Path) -> tuple[str, ...]:
    """Fill the backbone as `load_pretrained_backbone` does, and the heads of the file that fit.

    Returns the names of those heads. Raises as it.
    """
    heads = load_pretrained_backbone(network.backbone, path)
    states = {name: head.state_dict() for name, head in heads.items()}
    shared = tuple(
        name
        for name in network.attributes
        if name in states and not mismatch(network.heads[name].state_dict(), states[name])
    )
    for name in shared:
        network.heads[name].load_state_dict(states[name])
    return shared


def load_pretrained_backbone(backbone: Backbone, path: Path) -> Mapping[str, nn.Module]:
    """Copy the backbone of a `.safetensors` file, of attributes or of recognition, or of an original `.pth`.

    Of SFace's `.onnx` file the layers before its embedding are copied; the embedding stays as it was drawn.

    Returns the heads of the file by attribute; of an original `model_x.pth` that of `head_x.pth`. Raises
    MissingFileError, and ModelMismatchError for a file that is damaged or of another backbone.
    """
    if path.suffix == ".onnx":
        _fill_from_sface(backbone, path)
        return {}
    if path.suffix == ".pth":
        _fill(backbone, read_tensors(path, "pretrained model"), path)
        return head_beside(path)
    given = load_model(path).network
    if isinstance(given, AttributeNetwork):
        _fill(backbone, given.backbone.state_dict(), path)
        return dict(given.heads.items())
    _fill(backbone, given.state_dict(), path)
    return {}


def _fill(backbone: Backbone, tensors: dict[str, Tensor], path: Path) -> None:
    problems = mismatch(_without_counts(backbone.state_dict()), _without_counts(tensors))
    if problems:
        raise ModelMismatchError(
            f"{path}: not the backbone of this run: {problems}; give the "
            "--backbone, --depth, --net_mode and --width of the pretrained model"
        )
    backbone.load_state_dict(tensors, strict=False)


def _fill_from_sface(backbone: Backbone, path: Path) -> None:
    tensors = read_sface(path)
    own = backbone.state_dict()
    shared = {name: own[name] for name in own if name.startswith(("stem.", "body.")) or name in tensors}
    problems = mismatch(_without_counts(shared), tensors)
    if problems:
        raise ModelMismatchError(
            f"{path}: SFace is a mobilenet of width 1, this run's backbone is another: {problems}; "
            "give --backbone mobilenet --width 1"
        )
    backbone.load_state_dict(tensors, strict=False)


def _without_counts(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}
