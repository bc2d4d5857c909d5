"""Checkpoints of the original system: a `model_*.pth` backbone and the `head_*.pth` beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from face_analysis.datasets.attributes import CLASS_NAMES, OUTPUTS, Attribute
from face_analysis.errors import MissingFileError, ModelMismatchError, UsageError
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.backbone import build_backbone
from face_analysis.models.file_kind import kind_of, misplaced
from face_analysis.models.iresnet import UNITS
from face_analysis.models.layers import Backbone
from face_analysis.models.weights import mismatch
from face_analysis.zoo.card import RECOGNITION, BackboneConfig, ModelCard, recognition_card

ATTRIBUTE_HEAD = {"fc1.weight", "fc1.bias"}
RECOGNITION_HEAD = {"W"}
DISTRIBUTED_PREFIX = "module."
BATCH_COUNT = "num_batches_tracked"


def import_original(
    model_path: Path,
    head_path: Path | None = None,
    task: Attribute | Literal["recognition"] | None = None,
    depth: int = 50,
    mode: str = "ir_se",
) -> tuple[AttributeNetwork | Backbone, ModelCard]:
    """The network of an original checkpoint and a card for it, of attributes or of recognition.

    It is of recognition where `task` says so, which takes no head, or where the head is one for recognition:
    that one holds the classes of the training, and is left out. Raises as `read_original`.
    """
    if task != RECOGNITION:
        head_path = head_path or _head_beside(model_path)
        if not head_path.is_file():
            raise MissingFileError(
                head_path, "head (without one only --attribute recognition can be imported)"
            )
        if task is not None or set(read_tensors(head_path, "head")) != RECOGNITION_HEAD:
            return read_original(model_path, head_path, task, depth, mode)
    backbone = read_original_backbone(model_path, depth, mode)
    config = BackboneConfig("iresnet", depth, mode)
    return backbone, recognition_card(model_path.stem, config, **_origin(model_path))


def read_original(
    model_path: Path,
    head_path: Path | None = None,
    attribute: Attribute | None = None,
    depth: int = 50,
    mode: str = "ir_se",
) -> tuple[AttributeNetwork, ModelCard]:
    """The network of an original checkpoint, in eval mode, and a card for it.

    The head file defaults to the name with `head_` for `model_`; the attribute follows from its outputs.
    No code of the files is run. Raises MissingFileError, UsageError for a head that cannot be guessed, and
    ModelMismatchError for files that do not fit, with the depth and mode that their keys show.
    """
    head_path = head_path or _head_beside(model_path)
    weight, bias = _head(head_path)
    attribute = _attribute(head_path, len(bias), attribute)
    config = BackboneConfig("iresnet", depth, mode)
    with torch.device("meta"):
        network = AttributeNetwork(config, (attribute,))
    network.backbone = read_original_backbone(model_path, depth, mode)
    head = network.heads[attribute]
    problems = mismatch(head.state_dict(), {"weight": weight, "bias": bias})
    if problems:
        raise ModelMismatchError(f"{head_path}: does not fit a backbone of 512 numbers: {problems}")

    head.load_state_dict({"weight": weight, "bias": bias}, assign=True)
    return network.eval(), _card(model_path, attribute, config)


def head_beside(model_path: Path) -> dict[str, nn.Module]:
    """The head of race, gender or age beside an original backbone, by attribute; {} where none lies there.

    Raises ModelMismatchError for a damaged file.
    """
    path = _head_beside(model_path) if model_path.name.startswith("model_") else None
    if path is None or not path.is_file():
        return {}
    tensors = read_tensors(path, "head")
    if set(tensors) != ATTRIBUTE_HEAD:
        return {}
    weight, bias = tensors["fc1.weight"], tensors["fc1.bias"]
    with torch.device("meta"):
        head = nn.Linear(weight.shape[1], len(bias))
    head.load_state_dict({"weight": weight, "bias": bias}, assign=True)
    return {name: head for name, outputs in OUTPUTS.items() if outputs == len(bias)}


def _head_beside(model_path: Path) -> Path:
    if model_path.exists() and kind_of(model_path).name != "torch":
        raise ModelMismatchError(misplaced(model_path, "a model of the original system (.pth)"))
    if model_path.name.startswith(("head_", "optimizer_")):
        raise UsageError(f"{model_path}: is not the model: give the model_*.pth that lies beside it")
    if not model_path.name.startswith("model_"):
        raise UsageError(f"{model_path}: the name does not start with model_: say which file is its head")
    return model_path.with_name(model_path.name.replace("model_", "head_", 1))


def _head(path: Path) -> tuple[Tensor, Tensor]:
    tensors = read_tensors(path, "head")
    if set(tensors) == RECOGNITION_HEAD:
        raise ModelMismatchError(
            f"{path}: is a head for recognition, not for race, gender or age; its model gives embeddings"
        )
    if set(tensors) != ATTRIBUTE_HEAD:
        raise ModelMismatchError(
            f"{path}: not a head: it holds {sorted(tensors)[:4]}, not fc1.weight, fc1.bias"
        )
    return tensors["fc1.weight"], tensors["fc1.bias"]


def _attribute(path: Path, outputs: int, given: Attribute | None) -> Attribute:
    found = next((name for name, count in OUTPUTS.items() if count == outputs), None)
    if found is None:
        raise ModelMismatchError(f"{path}: has {outputs} outputs: race has 5, gender 2, age 100")
    if given is not None and given != found:
        raise ModelMismatchError(f"{path}: has {outputs} outputs, so it predicts {found}, not {given}")
    return found


def _card(model_path: Path, attribute: Attribute, config: BackboneConfig) -> ModelCard:
    classes = CLASS_NAMES.get(attribute)
    return ModelCard(
        name=model_path.stem,
        tasks=(attribute,),
        backbone=config,
        labels={attribute: list(classes)} if classes else {},
        **_origin(model_path),
    )


def _origin(model_path: Path) -> dict[str, Any]:
    return {
        "training_data": f"unknown (imported from {model_path.name})",
        "licence": "unknown: as the owner of the weights states",
    }


def read_original_backbone(path: Path, depth: int = 50, mode: str = "ir_se") -> Backbone:
    """The backbone of an original `model_*.pth`, in eval mode. No code of the file is run.

    Raises MissingFileError, and ModelMismatchError for a file that does not fit, with the depth and mode that
    its keys show.
    """
    config = BackboneConfig("iresnet", depth, mode)
    with torch.device("meta"):
        backbone = build_backbone(config)
    given = read_tensors(path, "model")
    if set(given) in (RECOGNITION_HEAD, ATTRIBUTE_HEAD):
        raise ModelMismatchError(f"{path}: is the head of a model: give the model_*.pth that lies beside it")
    expected = backbone.state_dict()
    tensors = {name: torch.tensor(0) for name in expected if name.endswith(BATCH_COUNT)} | given
    problems = mismatch(expected, tensors)
    if problems:
        raise ModelMismatchError(
            f"{path}: does not fit depth {depth} and net_mode {mode}: {problems}" + _hint(given, config)
        )
    backbone.load_state_dict(tensors, assign=True)
    return backbone.eval()


def read_tensors(path: Path, what: str) -> dict[str, Tensor]:
    """Tensors by name without the prefix of distributed training, floating ones as float32."""
    if not path.exists():
        raise MissingFileError(path, what)
    if kind_of(path).name != "torch":
        raise ModelMismatchError(misplaced(path, f"a {what} of the original system (.pth)"))
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile pickle may raise anything
        reason = str(error).strip().split("\n")[0]
        raise ModelMismatchError(
            f"{path}: not a file of weights alone, or damaged; nothing in it was run ({reason})"
        ) from error
    if isinstance(values, dict) and "param_groups" in values:
        raise ModelMismatchError(f"{path}: is the state of an optimiser: give the model_*.pth beside it")
    if not isinstance(values, dict) or not all(isinstance(value, Tensor) for value in values.values()):
        raise ModelMismatchError(f"{path}: holds something else than tensors by name: give a state dict")
    named = cast(dict[str, Tensor], values)
    return {
        name.removeprefix(DISTRIBUTED_PREFIX): tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in named.items()
    }


def _hint(tensors: dict[str, Tensor], config: BackboneConfig) -> str:
    units = len({name.split(".")[1] for name in tensors if name.startswith("body.")})
    depth = next((depth for depth, stages in UNITS.items() if sum(stages) == units), None)
    mode = "ir_se" if any(".fc1." in name for name in tensors) else "ir"
    if depth is None or (depth, mode) == (config.depth, config.mode):
        return ""
    return f". Its keys are those of depth {depth} and net_mode {mode}: give these"
