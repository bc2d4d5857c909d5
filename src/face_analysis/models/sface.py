"""SFace (Zhong et al. 2021, arXiv 2205.12010) from its ONNX file, whole or its MobileNet body alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from face_analysis.errors import MissingFileError, ModelMismatchError
from face_analysis.models.layers import Backbone
from face_analysis.models.mobilenets import BLOCKS, FINAL_SIDE, LAST_EPSILON, MobileNet
from face_analysis.models.weights import mismatch

Arrays = dict[str, NDArray[Any]]
CHANNELS, EMBEDDING = BLOCKS[-1][0], 128


def read_sface(path: Path, *, embedding: bool = False) -> dict[str, Tensor]:
    """Tensors for `stem` and `body` of MobileNet at width 1 and the batch norm after them.

    With `embedding` those of the layers that follow too, as `SFace` has them.

    The file may be float32 or quantised in blocks of 8 bits. SFace maps RGB pixels x to (x - 127.5) / 128,
    `normalise` to (x - 127.5) / 127.5: behind it the network sees 0.4 % more contrast than it was trained on.
    Raises MissingFileError and ModelMismatchError.
    """
    if not path.is_file():
        raise MissingFileError(path, "pretrained model")
    tensors: Arrays = {}
    try:
        arrays = _arrays(path)
        tensors |= _layer(arrays, "conv_1", "stem", 0)
        for block in range(len(BLOCKS)):
            tensors |= _layer(arrays, f"conv_{block + 2}_dw", f"body.{block}", 0)
            tensors |= _layer(arrays, f"conv_{block + 2}", f"body.{block}", 3)
        tensors |= _batch_norm(arrays, "bn1", "output.0")
        if embedding:
            tensors |= {f"output.2.{part}": arrays[f"pre_fc1_{part}"] for part in ("weight", "bias")}
            tensors |= _batch_norm(arrays, "fc1", "output.3")
    except KeyError as error:
        raise ModelMismatchError(f"{path}: not the SFace network: it has no tensor {error}") from error
    except ValueError as error:
        raise ModelMismatchError(f"{path}: damaged: its arrays do not fit together ({error})") from error
    return {name: torch.from_numpy(np.array(array, np.float32)) for name, array in tensors.items()}


class SFace(Backbone):
    """SFace as it was published, an embedding of 128 numbers.

    It was trained on (x - 127.5) / 128 of RGB pixels x; its first layer is scaled to take x / 127.5 - 1.
    """

    def __init__(self) -> None:
        super().__init__()
        body = MobileNet()
        self.stem, self.body = body.stem, body.body
        self.output = nn.Sequential(
            nn.BatchNorm2d(CHANNELS, eps=LAST_EPSILON),
            nn.Flatten(),
            nn.Linear(CHANNELS * FINAL_SIDE**2, EMBEDDING),
            nn.BatchNorm1d(EMBEDDING, eps=LAST_EPSILON),
        )

    def raw(self, images: Tensor) -> Tensor:
        """(N, 3, 112, 112) -> (N, 128)."""
        embeddings: Tensor = self.output(self.body(self.stem(images)))
        return embeddings


def load_sface(path: Path) -> SFace:
    """The network of SFace's ONNX file, in eval mode. Raises as `read_sface`."""
    tensors = read_sface(path, embedding=True)
    tensors["stem.0.weight"] = tensors["stem.0.weight"] * (127.5 / 128)
    with torch.device("meta"):
        network = SFace()
    counts = {name: torch.tensor(0) for name in network.state_dict() if name.endswith("num_batches_tracked")}
    problems = mismatch(network.state_dict(), tensors | counts)
    if problems:
        raise ModelMismatchError(f"{path}: not the SFace network: {problems}")
    network.load_state_dict(tensors | counts, assign=True)
    return network.eval()


def _layer(arrays: Arrays, name: str, place: str, index: int) -> Arrays:
    """Convolution, batch norm and PReLU, at three indices of a Sequential."""
    return {
        f"{place}.{index}.weight": arrays[f"{name}_conv2d_weight"],
        **_batch_norm(arrays, f"{name}_batchnorm", f"{place}.{index + 1}"),
        f"{place}.{index + 2}.weight": arrays[f"{name}_relu_gamma"].reshape(-1),
    }


def _batch_norm(arrays: Arrays, name: str, place: str) -> Arrays:
    parts = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_var"}
    return {f"{place}.{ours}": arrays[f"{name}_{theirs}"] for ours, theirs in parts.items()}


def _arrays(path: Path) -> Arrays:
    """Every constant of the file by name; quantised ones as the floats they stand for, in their shape."""
    import onnx  # by far the slowest import here, and for this file alone
    from onnx import numpy_helper

    try:
        graph = onnx.load(path).graph
        arrays = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    except Exception as error:  # a damaged protobuf may raise anything
        raise ModelMismatchError(f"{path}: not an ONNX file, or damaged ({error})") from error
    for node in graph.node:
        block = next((int(part.i) for part in node.attribute if part.name == "block_size"), 0)
        if node.op_type == "DequantizeLinear" and block and all(name in arrays for name in node.input):
            name = node.input[0].removesuffix("_quantized")
            floats = _dequantised(block, *(arrays[part] for part in node.input))
            arrays[name] = floats.reshape(arrays.get(f"{name}_shape", floats.shape))
    return arrays


def _dequantised(
    block: int, values: NDArray[Any], scales: NDArray[Any], zeros: NDArray[Any] | None = None
) -> NDArray[np.float32]:
    """(values - zeros) * scales, where a scale and a zero stand for `block` numbers of the last axis."""
    zeros = np.zeros_like(scales) if zeros is None else zeros
    scales, zeros = (np.repeat(part, block, axis=-1)[..., : values.shape[-1]] for part in (scales, zeros))
    floats: NDArray[np.float32] = (values.astype(np.float32) - zeros) * scales
    return floats
