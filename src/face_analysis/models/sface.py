"""The weights of SFace (Zhong et al. 2021, arXiv 2205.12010) from its ONNX file, for a MobileNet body."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from face_analysis.errors import MissingFileError, ModelMismatchError, UsageError
from face_analysis.models.mobilenet import BLOCKS

Arrays = dict[str, NDArray[Any]]


def read_sface(path: Path) -> dict[str, Tensor]:
    """Tensors for `stem` and `body` of MobileNet at width 1 and the batch norm after them.

    The file may be float32 or quantised in blocks of 8 bits. SFace takes pixels 0 to 255 and maps them to
    about -1 to 1 itself, as `normalise` does, so nothing has to be converted.
    Raises MissingFileError, UsageError where the package `onnx` is missing, and ModelMismatchError.
    """
    if not path.is_file():
        raise MissingFileError(path, "pretrained model")
    arrays = _arrays(path)
    tensors: Arrays = {}
    try:
        tensors |= _layer(arrays, "conv_1", "stem", 0)
        for block in range(len(BLOCKS)):
            tensors |= _layer(arrays, f"conv_{block + 2}_dw", f"body.{block}", 0)
            tensors |= _layer(arrays, f"conv_{block + 2}", f"body.{block}", 3)
        tensors |= _batch_norm(arrays, "bn1", "output.0")
    except KeyError as error:
        raise ModelMismatchError(f"{path}: not the SFace network: it has no tensor {error}") from error
    return {name: torch.from_numpy(np.array(array, np.float32)) for name, array in tensors.items()}


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
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError:
        raise UsageError(f"{path}: reading ONNX needs `pip install face-analysis[onnx]`") from None
    try:
        graph = onnx.load(path).graph
    except Exception as error:  # a damaged protobuf may raise anything
        raise ModelMismatchError(f"{path}: not an ONNX file, or damaged ({error})") from error
    arrays = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    for name in [key.removesuffix("_quantized") for key in arrays if key.endswith("_quantized")]:
        values = arrays[f"{name}_quantized"].astype(np.float32)
        scales, zeros = arrays[f"{name}_scales"], arrays[f"{name}_zero_point"]
        block = -(-values.shape[-1] // scales.shape[-1])
        count = values.shape[-1]
        zeros, scales = (np.repeat(part, block, axis=-1)[..., :count] for part in (zeros, scales))
        arrays[name] = ((values - zeros) * scales).reshape(arrays[f"{name}_shape"])
    return arrays
