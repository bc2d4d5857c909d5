"""What an ONNX network takes and gives, read from its signature and from what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from face_analysis.errors import UsageError
from face_analysis.images.align import CHIP_SIZE

AxisOrder = Literal["NCHW", "NHWC"]
Pixels = NDArray[np.uint8]
MEAN = SCALE = 127.5
TYPES: dict[str, type[np.generic]] = {
    "tensor(uint8)": np.uint8,
    "tensor(float16)": np.float16,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
}


class NoEmbedderError(ValueError):
    """Why a network is no embedder of chips."""


@dataclass(frozen=True)
class ModelInput:
    """What an ONNX file takes, where it does not say: RGB or BGR pixels x as (x - mean) / scale.

    `mean` and `scale` default to 127.5; a network that takes uint8 gets x itself. `output` names the output
    that is the embedding (default: the first one that can be).
    """

    colour: Literal["RGB", "BGR"] = "RGB"
    mean: float | None = None
    scale: float | None = None
    output: str | None = None

    @property
    def subtracted(self) -> float:
        """The mean in use."""
        return MEAN if self.mean is None else self.mean

    @property
    def divisor(self) -> float:
        """The scale in use."""
        return SCALE if self.scale is None else self.scale


@dataclass(frozen=True)
class InputForm:
    """The one input of a network: `batch` images at once, None for any number, of `side` x `side` pixels."""

    name: str
    dtype: type[np.generic]
    layout: AxisOrder
    side: int
    batch: int | None

    def values(self, chips: Pixels, given: ModelInput) -> NDArray[Any]:
        """What goes into the network for RGB chips (N, side, side, 3)."""
        pixels: NDArray[Any] = chips if given.colour == "RGB" else chips[..., ::-1]
        if self.layout == "NCHW":
            pixels = pixels.transpose(0, 3, 1, 2)
        if self.dtype is not np.uint8:
            numbers: NDArray[Any] = pixels.astype(np.float64 if self.dtype is np.float64 else np.float32)
            pixels = ((numbers - given.subtracted) / given.divisor).astype(self.dtype)
        return np.ascontiguousarray(pixels)

    def check(self, given: ModelInput) -> None:
        """Raise UsageError for a scaling that whole numbers cannot be given in."""
        if self.dtype is np.uint8 and (given.mean or given.scale not in (None, 1)):
            raise UsageError("it takes whole numbers of 0 to 255: leave out --mean and --scale")

    def text(self, given: ModelInput) -> str:
        """What the network is taken to want, in words."""
        scaling = "pixels of 0 to 255"
        if self.dtype is not np.uint8:
            scaling = f"(pixel - {given.subtracted:g}) / {given.divisor:g}"
        kind = f"{given.colour} {self.dtype.__name__} {self.layout}"
        side = f"{self.side}x{self.side}"
        if self.side != CHIP_SIZE:
            side += f" (the template of {CHIP_SIZE}x{CHIP_SIZE}, scaled)"
        return f"{kind} of {side}, {scaling}"


def input_forms(inputs: Sequence[Any]) -> list[InputForm]:
    """What the inputs of an onnxruntime session may be; the likelier form first where they do not tell.

    Raises NoEmbedderError for anything but one input of pictures.
    """
    if len(inputs) != 1:
        named = ", ".join(f"`{one.name}` {one.shape}" for one in inputs)
        raise NoEmbedderError(f"it has {len(inputs)} inputs ({named}); an embedder takes pictures alone")
    name, kind, shape = inputs[0].name, inputs[0].type, list(inputs[0].shape or [None] * 4)
    if kind not in TYPES:
        wanted = ", ".join(one.removeprefix("tensor(").removesuffix(")") for one in TYPES)
        raise NoEmbedderError(f"its input `{name}` is {kind}; pictures are one of {wanted}")
    if len(shape) != 4:
        raise NoEmbedderError(f"its input `{name}` has the shape {shape}; pictures are (N, 3, H, W) or NHWC")
    sizes = [size if isinstance(size, int) and size > 0 else None for size in shape]
    return [
        InputForm(name, TYPES[kind], layout, _side(sizes, layout, name), sizes[0])
        for layout in _layouts(sizes, name)
    ]


def _layouts(sizes: list[int | None], name: str) -> list[AxisOrder]:
    if sizes[1] == 3:
        return ["NCHW"]
    if sizes[3] == 3:
        return ["NHWC"]
    found: list[AxisOrder] = []
    if sizes[1] is None:
        found.append("NCHW")
    if sizes[3] is None:
        found.append("NHWC")
    if not found:
        raise NoEmbedderError(f"its input `{name}` has the shape {sizes}, which has no place for 3 colours")
    return found


def _side(sizes: list[int | None], layout: AxisOrder, name: str) -> int:
    height, width = sizes[2:] if layout == "NCHW" else sizes[1:3]
    if height and width and height != width:
        raise NoEmbedderError(f"its input `{name}` takes pictures of {width}x{height}; faces are square")
    return height or width or CHIP_SIZE


def choose_output(answers: Mapping[str, Any], count: int, wanted: str | None) -> tuple[str, int]:
    """The output that is the embedding of `count` images, and how many numbers it has.

    It is the one `wanted`, or the first that has a row of floating-point numbers for each image: (N, D),
    (N, D, 1, 1) or (N, 1, 1, D). Raises NoEmbedderError, and UsageError for a name that is no output.
    """
    shapes = ", ".join(f"`{name}` {list(np.shape(values))}" for name, values in answers.items())
    if wanted is not None and wanted not in answers:
        raise UsageError(f"it has no output `{wanted}`; its outputs are {shapes}")
    sizes = {name: _numbers(values, count) for name, values in answers.items()}
    rows = [name for name, size in sizes.items() if size and (wanted is None or name == wanted)]
    if not rows:
        about = "no output gives" if wanted is None else f"the output `{wanted}` does not give"
        raise NoEmbedderError(f"{about} one row of numbers for each of {count} images; it gives {shapes}")
    first = rows[0]
    if sizes[first] == 1:
        others = [name for name in rows if sizes[name] > 1]
        hint = f"; give --output {others[0]} if that is the embedding" if others else ""
        raise NoEmbedderError(f"its output `{first}` is one number an image, which is no embedding{hint}")
    return first, sizes[first]


def _numbers(values: Any, count: int) -> int:
    """How many numbers an image has in an output, 0 where the output is not one row for each image."""
    shape = np.shape(values)
    if not isinstance(values, np.ndarray) or values.dtype.kind != "f" or not shape:
        return 0
    if count == 1 and len(shape) == 1 and shape[0] > 1:  # the axis of the images was squeezed away
        return int(shape[0])
    flat = len(shape) == 2 or (len(shape) == 4 and 1 in (shape[1] * shape[2], shape[2] * shape[3]))
    return int(values.size // count) if flat and shape[0] == count else 0
