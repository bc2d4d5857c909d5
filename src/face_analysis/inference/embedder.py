"""Chips to embeddings, by networks of this package and by ONNX files of others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from face_analysis.errors import ModelMismatchError, UsageError
from face_analysis.images.normalise import normalise
from face_analysis.models.layers import Backbone
from face_analysis.models.original_backbone import read_original_backbone
from face_analysis.models.precision import for_inference
from face_analysis.models.sface import load_sface
from face_analysis.models.weights import load_recognition
from face_analysis.zoo.catalogue import CATALOGUE
from face_analysis.zoo.find import find

Embeddings = NDArray[np.float32]


@dataclass(frozen=True)
class ModelInput:
    """What an ONNX file takes: RGB or BGR pixels x as (x - mean) / scale, (N, 3, size, size)."""

    colour: Literal["RGB", "BGR"] = "RGB"
    mean: float = 127.5
    scale: float = 127.5


class Embedder(Protocol):
    """Anything that embeds chips."""

    @property
    def size(self) -> int:
        """How many numbers an embedding has."""
        ...

    def embed(self, chips: NDArray[np.uint8]) -> Embeddings:
        """RGB (N, H, W, 3), at least one -> (N, size), each of length 1."""
        ...


class TorchEmbedder:
    """A backbone in its fastest form, or the fastest `exact` one, on a GPU where there is one."""

    def __init__(self, backbone: Backbone, *, exact: bool = False) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = for_inference(backbone, self.device, exact=exact)
        with torch.inference_mode():
            self.size = int(self.network(torch.zeros(1, 3, 112, 112, device=self.device)).shape[1])

    @torch.inference_mode()
    def embed(self, chips: NDArray[np.uint8]) -> Embeddings:
        """RGB (N, 112, 112, 3) -> (N, size), each of length 1."""
        images = normalise(torch.from_numpy(chips).permute(0, 3, 1, 2).to(self.device))
        found: Embeddings = self.network(images).cpu().numpy()
        return found


class OnnxEmbedder:
    """An ONNX file with one image input and an embedding as its first output, run by onnxruntime.

    Raises UsageError where onnxruntime is missing, ModelMismatchError for a file that is no such network.
    """

    def __init__(self, path: Path, given: ModelInput) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise UsageError(f"{path}: running ONNX needs `pip install face-analysis[onnx]`") from None
        self.given = given
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(path), providers=onnxruntime.get_available_providers()
            )
            self._input = self._session.get_inputs()[0]
            self.size = int(self._run(np.zeros((1, 112, 112, 3), np.uint8)).shape[1])
        except (
            Exception
        ) as error:  # onnxruntime raises kinds of its own, one for each way a file can be wrong
            raise ModelMismatchError(
                f"{path}: not an ONNX network from chips to embeddings ({error})"
            ) from error

    def embed(self, chips: NDArray[np.uint8]) -> Embeddings:
        """RGB (N, 112, 112, 3) -> (N, size), each of length 1."""
        one_by_one = self._input.shape[0] == 1
        parts = [chips[row : row + 1] for row in range(len(chips))] if one_by_one else [chips]
        return unit_rows(np.concatenate([self._run(part) for part in parts]))

    def _run(self, chips: NDArray[np.uint8]) -> Embeddings:
        pixels = chips if self.given.colour == "RGB" else chips[..., ::-1]
        images = (pixels.transpose(0, 3, 1, 2).astype(np.float32) - self.given.mean) / self.given.scale
        found: Embeddings = self._session.run(None, {self._input.name: images})[0].astype(np.float32)
        return found.reshape(len(chips), -1)


@dataclass(frozen=True)
class WithMirror:
    """The embeddings of chips and of their mirror images, added."""

    embedder: Embedder

    @property
    def size(self) -> int:
        """That of the embedder."""
        return self.embedder.size

    def embed(self, chips: NDArray[np.uint8]) -> Embeddings:
        """RGB (N, H, W, 3) -> (N, size), each of length 1."""
        mirrored = np.ascontiguousarray(chips[:, :, ::-1])
        return unit_rows(self.embedder.embed(chips) + self.embedder.embed(mirrored))


def unit_rows(embeddings: Embeddings) -> Embeddings:
    """(N, D), each row brought to length 1; a row of zeros stays so."""
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    unit: Embeddings = (embeddings / np.maximum(lengths, 1e-12)).astype(np.float32)
    return unit


def open_embedder(model: str | Path, given: ModelInput, depth: int = 50, mode: str = "ir_se") -> Embedder:
    """The embedder of a zoo's name, or of a file: `.safetensors` of recognition, original `.pth`, or ONNX.

    An original checkpoint, of this `depth` and `mode`, runs in float32: its features are matched with those
    that the original system wrote. Of an ONNX file that is not SFace's, `given` says what it takes. Raises
    UnknownModelError, MissingFileError, UsageError for a file of another kind, and ModelMismatchError.
    """
    path = find(model)
    if path.suffix == ".safetensors":
        return TorchEmbedder(load_recognition(path).network)
    if path.suffix == ".pth":
        return TorchEmbedder(read_original_backbone(path, depth, mode), exact=True)
    if not CATALOGUE["sface"].fault(path):
        return TorchEmbedder(load_sface(path))
    if path.suffix == ".onnx":
        return OnnxEmbedder(path, given)
    raise UsageError(
        f"{path}: no model of embeddings; give sface, a .safetensors, a model_*.pth or an .onnx file"
    )
