"""`face-analysis compare`: how alike the faces of two photos are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from face_analysis.cli.parser import parse
from face_analysis.errors import UsageError
from face_analysis.machine import MachineOptions, check_machine
from face_analysis.options import Opt, Range


@dataclass(frozen=True)
class CompareOptions(MachineOptions):
    """The options of `compare`."""

    photos: Annotated[tuple[Path, ...], Opt("two photos; the largest face of each is taken", positional=True)]
    model: Annotated[
        str, Opt("model of embeddings: sface, a .safetensors file of recognition, or an .onnx file", "-m")
    ] = "sface"
    fmr: Annotated[
        float,
        Opt("false match rate of the decision: 1e-2, 1e-3, 1e-4 or 1e-5; for sface"),
        Range(over=0, high=1),
    ] = 1e-3
    threshold: Annotated[
        float | None, Opt("in its place: score from which two faces are one person"), Range(-1, 1)
    ] = None
    card: Annotated[Path | None, Opt("in its place: threshold.json of a match")] = None
    aligned: Annotated[bool, Opt("the images are aligned faces: search none")] = False
    format: Annotated[Literal["words", "json"], Opt("of what is printed")] = "words"


def main(arguments: Sequence[str]) -> int:
    """Exit status 0; the score and the decision go to stdout."""
    options = parse("compare", CompareOptions, arguments)
    check_machine(options)
    if len(options.photos) != 2:
        raise UsageError(f"give two photos, not {len(options.photos)}")
    if options.threshold is not None and options.card is not None:
        raise UsageError("give --threshold or --card, not both")
    from face_analysis.api.faces import compare
    from face_analysis.inference.analyzer import FaceAnalyzer
    from face_analysis.json_files import json_text
    from face_analysis.machine import use_threads
    from face_analysis.matching.thresholds import read_threshold

    threshold = options.threshold if options.card is None else read_threshold(options.card)
    if options.threads:
        use_threads(options.threads)
    analyzer = FaceAnalyzer(
        None,
        embeddings=options.model,
        aligned=options.aligned,
        device=options.device,
        precision=options.precision,
    )
    found = compare(*options.photos, fmr=options.fmr, threshold=threshold, analyzer=analyzer)
    print(found if options.format == "words" else json_text(found.to_dict()))
    return 0
