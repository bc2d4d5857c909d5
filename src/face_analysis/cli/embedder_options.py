"""The options that name a model of embeddings, for every command that takes one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from face_analysis.errors import UsageError
from face_analysis.machine import Form, MachineOptions, check_machine
from face_analysis.options import Opt, Range

if TYPE_CHECKING:
    from face_analysis.inference.embedder import Embedder
    from face_analysis.inference.loading import BackgroundLoading


@dataclass(frozen=True, kw_only=True)
class EmbedderOptions(MachineOptions):
    """Which model, and what it takes where its file does not say."""

    model: Annotated[
        str, Opt("sface, a .safetensors file of recognition, an original model_*.pth, or an .onnx file", "-m")
    ] = "sface"
    batch_size: Annotated[int, Opt("faces a forward pass", "-b"), Range(low=1)] = 96
    net_mode: Annotated[Literal["ir", "ir_se"], Opt("of original .pth models", "-n")] = "ir_se"
    depth: Annotated[int, Opt("of original .pth models: 50, 100, 152", "-dp")] = 50
    colour: Annotated[Literal["RGB", "BGR"], Opt("order of the channels an .onnx file takes")] = "RGB"
    mean: Annotated[
        float | None, Opt("an .onnx file takes (pixel - mean) / scale (default: 127.5, of uint8 the pixel)")
    ] = None
    scale: Annotated[float | None, Opt("see --mean (default: 127.5)")] = None
    output: Annotated[
        str | None, Opt("output of an .onnx file that is the embedding (default: the first that can be)")
    ] = None


def embedder_of(
    options: EmbedderOptions,
    *,
    flip: bool,
    background: BackgroundLoading | None = None,
    begun: Form | None = None,
) -> Embedder:
    """The embedder; with `flip` the mirrored chip's embedding is added. Raises UsageError and more.

    Its form is chosen with what works `beside` it in mind, or is the one a resumed run was `begun` in.
    """
    check_machine(options)
    if options.scale == 0:
        raise UsageError("--scale 0: pixels are divided by it; give another number")
    from face_analysis.inference.embedder import WithMirror, open_embedder
    from face_analysis.inference.form import FormChoice
    from face_analysis.inference.onnx_form import ModelInput
    from face_analysis.machine import use_threads

    given = ModelInput(options.colour, options.mean, options.scale, options.output)
    choice = FormChoice(options, options.batch_size, background, begun)
    embedder = open_embedder(options.model, given, options.depth, options.net_mode, choice)
    use_threads(embedder.form.threads)
    return WithMirror(embedder) if flip else embedder
