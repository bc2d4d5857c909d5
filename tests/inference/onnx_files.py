"""Small ONNX networks of the forms that files of others have, and what onnxruntime gives for one image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

SIZE = 16
OPSET, IR_VERSION = 17, 9
TYPES = {
    "uint8": TensorProto.UINT8,
    "float16": TensorProto.FLOAT16,
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "int64": TensorProto.INT64,
}
Dimension = int | str | None
Output = tuple[str, Sequence[Dimension] | None]


def body(side: int, layout: str = "NCHW", given: str = "x") -> list[NodeProto]:
    """Nodes from pictures `x` to `e` (N, SIZE): means of 4x4 fields, and the product with `weight`."""
    cast = [helper.make_node("Cast", [given], ["floats"], to=TensorProto.FLOAT)]
    turn = [helper.make_node("Transpose", ["floats"], ["turned"], perm=[0, 3, 1, 2])]
    pixels = "turned" if layout == "NHWC" else "floats"
    pool = helper.make_node(
        "AveragePool", [pixels], ["p"], kernel_shape=[side // 4] * 2, strides=[side // 4] * 2
    )
    flat = helper.make_node("Flatten", ["p"], ["f"])
    return [
        *cast,
        *(turn if layout == "NHWC" else []),
        pool,
        flat,
        helper.make_node("MatMul", ["f", "weight"], ["e"]),
    ]


def model(
    shape: Sequence[Dimension],
    dtype: str = "float32",
    *,
    nodes: Sequence[NodeProto] = (),
    outputs: Sequence[Output] = (("e", ["N", SIZE]),),
    constants: dict[str, NDArray[np.generic]] | None = None,
    layout: str | None = None,
    side: int | None = None,
    opset: int = OPSET,
    others: Sequence[str] = (),
) -> ModelProto:
    """A network of an input `x` of this shape; `nodes` follow those of `body`, `others` are inputs too."""
    layout = layout or ("NHWC" if shape[-1] == 3 and shape[1] != 3 else "NCHW")
    side = side or next((size for size in shape[1:] if isinstance(size, int) and size > 3), 112)
    weight = np.random.default_rng(3).normal(size=(48, SIZE)).astype(np.float32)
    arrays = {"weight": weight, **(constants or {})}
    graph = helper.make_graph(
        [*body(side, layout), *nodes],
        "network",
        [helper.make_tensor_value_info("x", TYPES[dtype], shape)]
        + [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2]) for name in others],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in outputs],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSION)


def saved(network: ModelProto, path: Path) -> Path:
    onnx.save(network, path)
    return path


def one_by_one(
    path: Path,
    chips: NDArray[np.uint8],
    *,
    batch: int = 1,
    output: str = "e",
    colour: str = "RGB",
    mean: float = 127.5,
    scale: float = 127.5,
) -> NDArray[np.float64]:
    """The unit embeddings of chips by a plain loop; each one fills a batch of its own."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    rows = []
    for chip in chips:
        pixels = chip if colour == "RGB" else chip[:, :, ::-1]
        if given.type != "tensor(uint8)":
            kind = {"tensor(float16)": np.float16, "tensor(double)": np.float64}.get(given.type, np.float32)
            pixels = ((pixels.astype(np.float64) - mean) / scale).astype(kind)
        if given.shape[3] != 3:
            pixels = np.moveaxis(pixels, 2, 0)
        row = session.run([output], {given.name: np.stack([pixels] * batch)})[0]
        rows.append(np.asarray(row, np.float64).reshape(batch, -1)[0])
    found = np.stack(rows)
    return found / np.linalg.norm(found, axis=1, keepdims=True)
