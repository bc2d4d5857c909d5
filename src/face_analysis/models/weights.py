"""Networks on disk, of attributes and of recognition: one safetensors file with tensors and model card."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from face_analysis.datasets.attributes import Attribute
from face_analysis.errors import ModelMismatchError, UsageError
from face_analysis.files import whole_file
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.backbone import build_backbone
from face_analysis.models.file_kind import SAFETENSORS, kind_of, misplaced
from face_analysis.models.layers import Backbone
from face_analysis.zoo.card import RECOGNITION, ModelCard

CARD_KEY = "card"


Network = TypeVar("Network", bound=AttributeNetwork | Backbone)
SHOWN = 3


@dataclass(frozen=True)
class LoadedModel(Generic[Network]):
    """A network in eval mode on the CPU, and what its card says of it."""

    network: Network
    card: ModelCard


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 (hexadecimal) over name, dtype, shape and bytes of each tensor, sorted by name."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_model(path: Path, network: AttributeNetwork | Backbone, card: ModelCard) -> ModelCard:
    """Write the network and its card to one `.safetensors` file; returns the card with its hash.

    A bare backbone has a card of recognition. The file appears whole or not at all. Raises ModelMismatchError
    for a card of another network, WriteError when the file cannot be written.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    problems = mismatch(_network_on_meta(path, card).state_dict(), tensors)
    if problems:
        raise ModelMismatchError(f"{path}: the card describes another network: {problems}")
    card = replace(card, sha256=tensors_sha256(tensors))
    with whole_file(path) as partial:
        partial.write_bytes(save(tensors, {CARD_KEY: card.to_json()}))
    return card


def load_model(path: Path) -> LoadedModel[AttributeNetwork | Backbone]:
    """Read a file written by `save_model`, of attributes or of recognition, checked against its card.

    Raises MissingFileError, or ModelMismatchError for a file that is damaged, has no card, or does not fit
    its card.
    """
    card, tensors = _read(path)
    network = _network_on_meta(path, card)
    problems = mismatch(network.state_dict(), tensors)
    if problems:
        raise ModelMismatchError(f"{path}: the weights do not fit the network of their card: {problems}")
    if tensors_sha256(tensors) != card.sha256:
        raise ModelMismatchError(
            f"{path}: the weights are not those of the card (SHA-256): fetch the file again"
        )
    network.load_state_dict(tensors, assign=True)
    return LoadedModel(network.eval(), card)


def load_attributes(path: Path, tasks: Collection[str] = ()) -> LoadedModel[AttributeNetwork]:
    """Read a model of attributes; `tasks` are those the caller needs.

    Raises as `load_model`, and ModelMismatchError for a model that lacks one of them, or is of recognition.
    """
    model = load_model(path)
    network, card = model.network, model.card
    if not isinstance(network, AttributeNetwork):
        raise ModelMismatchError(
            f"{path.name} is a model of recognition and predicts no attribute: "
            "give it to `extract`, or to `evaluate --verification`"
        )
    missing = [task for task in tasks if task not in card.tasks]
    if missing:
        options = " or ".join(f"--{task}_model" for task in card.tasks)
        raise ModelMismatchError(
            f"{path.name} predicts {' and '.join(card.tasks)}, not {' and '.join(missing)}: "
            f"give it with {options}"
        )
    return LoadedModel(network, card)


def load_recognition(path: Path) -> LoadedModel[Backbone]:
    """Read a model of recognition. Raises as `load_model`, and ModelMismatchError for one of attributes."""
    model = load_model(path)
    network, card = model.network, model.card
    if isinstance(network, AttributeNetwork):
        raise ModelMismatchError(
            f"{path.name} predicts {' and '.join(card.tasks)} and is no model of recognition: "
            "give it to `predict`"
        )
    return LoadedModel(network, card)


def _read(path: Path) -> tuple[ModelCard, dict[str, Tensor]]:
    if kind_of(path) != SAFETENSORS:
        raise ModelMismatchError(misplaced(path, "a .safetensors model of this package"))
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(CARD_KEY)
            if text is None:
                raise ModelMismatchError(f"{path}: has no model card, so it was not written by this package")
            # Copied, because the tensors given are windows into the file, which may change under them.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            return ModelCard.from_json(text, str(path)), tensors
    except (SafetensorError, OSError) as error:
        raise ModelMismatchError(
            f"{path}: not a whole .safetensors file, cut short or damaged ({error}): fetch it again"
        ) from error


def _network_on_meta(path: Path, card: ModelCard) -> AttributeNetwork | Backbone:
    # On the meta device nothing is allocated or drawn: loading leaves the random state alone.
    try:
        with torch.device("meta"):
            if card.tasks == (RECOGNITION,):
                return build_backbone(card.backbone)
            tasks = cast(tuple[Attribute, ...], card.tasks)
            return AttributeNetwork(card.backbone, tasks, card.age_loss)
    except (UsageError, TypeError) as error:
        raise ModelMismatchError(
            f"{path}: the card describes a network that is not known: {error}"
        ) from error


def mismatch(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """What does not fit, in one line for an error message; empty when every key and shape does."""
    reshaped = [
        f"{name} is {tuple(given[name].shape)}, not {tuple(expected[name].shape)}"
        for name in sorted(expected.keys() & given.keys())
        if given[name].shape != expected[name].shape
    ]
    parts = (
        ("missing", sorted(expected.keys() - given.keys())),
        ("not known", sorted(given.keys() - expected.keys())),
        ("of another shape", reshaped),
    )
    return "; ".join(f"{len(names)} {what} ({_some(names)})" for what, names in parts if names)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
