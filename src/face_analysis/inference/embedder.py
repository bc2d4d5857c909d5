"""Chips to embeddings, by networks of this package and by ONNX files of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from face_analysis.errors import UsageError
from face_analysis.images.align import CHIP_SIZE
from face_analysis.images.normalise import normalise
from face_analysis.inference.embeddings import Embeddings, faults
from face_analysis.inference.forks import check_fork, prepare_forks
from face_analysis.inference.form import FormChoice, library_choice
from face_analysis.inference.onnx_embedder import OnnxEmbedder
from face_analysis.inference.onnx_form import ModelInput
from face_analysis.machine import Form
from face_analysis.matching.features.feature_set import unit_rows
from face_analysis.models.file_kind import ONNX, SAFETENSORS, kind_of, misplaced
from face_analysis.models.layers import Backbone
from face_analysis.models.original import read_original_backbone
from face_analysis.models.precision import for_inference
from face_analysis.models.sface import load_sface
from face_analysis.models.weights import load_recognition
from face_analysis.types import Image
from face_analysis.zoo.catalogue import CATALOGUE, recognise
from face_analysis.zoo.find import find

WANTED = "a model of embeddings (sface, a .safetensors file of recognition, a model_*.pth or an .onnx file)"


class Embedder(Protocol):
    """Anything that embeds chips."""

    @property
    def form(self) -> Form:
        """How it runs."""
        ...

    @property
    def size(self) -> int:
        """How many numbers an embedding has."""
        ...

    @property
    def side(self) -> int:
        """The height and width of the chips it is made for, in pixels."""
        ...

    def embed(self, chips: NDArray[np.uint8]) -> Embeddings:
        """RGB (N, H, W, 3), at least one -> (N, size), each of length 1.

        A row that the model has no embedding for is all zeros or not finite; `faults` tells these.
        """
        ...


class TorchEmbedder:
    """A backbone in the form that `choice` takes, by default the fastest one; in float32 if it is `exact`."""

    side = CHIP_SIZE

    def __init__(
        self,
        backbone: Backbone,
        choice: FormChoice | None = None,
        *,
        name: str = "the network",
        exact: bool = False,
    ) -> None:
        prepare_forks()
        choice = choice or library_choice()
        self.device = choice.device
        self.form = choice.form([backbone], name, exact=exact)
        self.network = for_inference(backbone, self.device, self.form)
        with torch.inference_mode():
            self.size = int(self.network(torch.zeros(1, 3, 112, 112, device=self.device)).shape[1])

    @torch.inference_mode()
    def embed(self, chips: NDArray[np.uint8]) -> Embeddings:
        """RGB (N, 112, 112, 3) -> (N, size), each of length 1."""
        check_fork(self.device)
        images = normalise(torch.from_numpy(chips).permute(0, 3, 1, 2).to(self.device))
        found: Embeddings = self.network(images).cpu().numpy()
        return found


@dataclass(frozen=True)
class WithMirror:
    """The embeddings of chips and of their mirror images, added."""

    embedder: Embedder

    @property
    def form(self) -> Form:
        """That of the embedder."""
        return self.embedder.form

    @property
    def size(self) -> int:
        """That of the embedder."""
        return self.embedder.size

    @property
    def side(self) -> int:
        """That of the embedder."""
        return self.embedder.side

    def embed(self, chips: NDArray[np.uint8]) -> Embeddings:
        """As the embedder; a row is none where that of the chip or of its mirror image is none."""
        plain = self.embedder.embed(chips)
        turned = self.embedder.embed(np.ascontiguousarray(chips[:, :, ::-1]))
        both = plain + turned
        both[~(plain.any(axis=1) & turned.any(axis=1))] = 0
        return unit_rows(both)


@dataclass(frozen=True)
class EmbeddingModel:
    """An embedder as a model of a block of photos: its answer for a chip is the face's embedding."""

    embedder: Embedder

    def answers(self, chips: Sequence[Image]) -> list[Mapping[str, Any] | str]:
        """The embedding of each RGB uint8 chip, or why there is none."""
        embeddings = self.embedder.embed(np.stack(chips))
        reasons = faults(embeddings)
        return [reasons.get(row) or {"embedding": embedding} for row, embedding in enumerate(embeddings)]


def open_embedder(
    model: str | Path,
    given: ModelInput,
    depth: int = 50,
    mode: str = "ir_se",
    choice: FormChoice | None = None,
) -> Embedder:
    """The embedder of a zoo's name, or of a file: `.safetensors` of recognition, original `.pth`, or ONNX.

    The file's content decides, not its name. An original checkpoint, of this `depth` and `mode`, runs in
    float32: its features are matched with those that the original system wrote. Of an ONNX file that is not
    SFace's, `given` says what it takes. `choice` says on which device and in which form it runs. Raises
    UnknownModelError, UsageError for a file of another kind, MissingPackageError, and ModelMismatchError.
    """
    path, name = find(model), Path(model).stem
    kind = kind_of(path)
    if kind == SAFETENSORS:
        return TorchEmbedder(load_recognition(path).network, choice, name=name)
    if kind.name == "torch":
        return TorchEmbedder(read_original_backbone(path, depth, mode), choice, name=name, exact=True)
    entry = recognise(path)
    if entry == CATALOGUE["sface"]:
        return TorchEmbedder(load_sface(path), choice, name=name)
    if kind == ONNX and entry is None:
        return OnnxEmbedder(path, given, choice)
    raise UsageError(misplaced(path, WANTED))
