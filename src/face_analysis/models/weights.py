"""Attribute networks on disk: one safetensors file that holds the tensors and their model card."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from face_analysis.datasets.attributes import Attribute
from face_analysis.errors import MissingFileError, ModelMismatchError, UsageError
from face_analysis.files import whole_file
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.state import mismatch
from face_analysis.zoo.card import ModelCard

CARD_KEY = "card"


@dataclass(frozen=True)
class LoadedModel:
    """A network in eval mode on the CPU, and what its card says of it."""

    network: AttributeNetwork
    card: ModelCard


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 (hexadecimal) over name, dtype, shape and bytes of each tensor, sorted by name."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_model(path: Path, network: AttributeNetwork, card: ModelCard) -> ModelCard:
    """Write the network and its card to one `.safetensors` file; returns the card with its hash.

    The file appears whole or not at all. Raises ModelMismatchError for a card of another network, WriteError
    when the file cannot be written.
    """
    if set(card.tasks) != set(network.attributes) or card.backbone != network.config:
        raise ModelMismatchError(f"{path}: the card describes another network: {card.tasks}, {card.backbone}")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    card = replace(card, sha256=tensors_sha256(tensors))
    with whole_file(path) as partial:
        partial.write_bytes(save(tensors, {CARD_KEY: card.to_json()}))
    return card


def load_model(path: Path, tasks: Collection[str] = ()) -> LoadedModel:
    """Read a file written by `save_model`, checked against its card; `tasks` are those the caller needs.

    Raises MissingFileError, or ModelMismatchError for a file that is damaged, has no card, does not fit its
    card, or was not trained for every one of `tasks`.
    """
    if not path.is_file():
        raise MissingFileError(path, "model")
    card, tensors = _read(path, tasks)
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


def _read(path: Path, tasks: Collection[str]) -> tuple[ModelCard, dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(CARD_KEY)
            if text is None:
                raise ModelMismatchError(f"{path}: has no model card, so it was not written by this package")
            card = ModelCard.from_json(text, str(path))
            _check_tasks(path, card, tasks)
            # Copied, because the tensors given are windows into the file, which may change under them.
            return card, {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelMismatchError(
            f"{path}: not a safetensors file, or cut short ({error}): fetch it again; checkpoints of the "
            "original system (.pth) have to be imported first"
        ) from error


def _check_tasks(path: Path, card: ModelCard, tasks: Collection[str]) -> None:
    missing = [task for task in tasks if task not in card.tasks]
    if missing:
        options = " or ".join(f"--{task}_model" for task in card.tasks)
        raise ModelMismatchError(
            f"{path.name} predicts {' and '.join(card.tasks)}, not {' and '.join(missing)}: "
            f"give it with {options}"
        )


def _network_on_meta(path: Path, card: ModelCard) -> AttributeNetwork:
    # On the meta device nothing is allocated or drawn: loading leaves the random state alone.
    try:
        with torch.device("meta"):
            return AttributeNetwork(card.backbone, cast(tuple[Attribute, ...], card.tasks))
    except (UsageError, TypeError) as error:
        raise ModelMismatchError(
            f"{path}: the card describes a network that is not known: {error}"
        ) from error
