"""The backbone of an original checkpoint, `model_*.pth`, and its files of tensors in general."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from face_analysis.errors import MissingFileError, ModelMismatchError
from face_analysis.models.backbone import build_backbone
from face_analysis.models.file_kind import kind_of, misplaced
from face_analysis.models.iresnet import UNITS
from face_analysis.models.layers import Backbone
from face_analysis.models.state import mismatch
from face_analysis.zoo.card import BackboneConfig

DISTRIBUTED_PREFIX = "module."
HEADS = ({"W"}, {"fc1.weight", "fc1.bias"})
"""Keys of the heads of recognition, and of race, gender or age."""
BATCH_COUNT = "num_batches_tracked"


def read_original_backbone(path: Path, depth: int = 50, mode: str = "ir_se") -> Backbone:
    """The backbone of an original `model_*.pth`, in eval mode. No code of the file is run.

    Raises MissingFileError, and ModelMismatchError for a file that does not fit, with the depth and mode that
    its keys show.
    """
    config = BackboneConfig("iresnet", depth, mode)
    with torch.device("meta"):
        backbone = build_backbone(config)
    given = read_tensors(path, "model")
    if set(given) in HEADS:
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
