"""`face-analysis align`: the faces of photos as aligned chips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from face_analysis.cli.parser import parse
from face_analysis.machine import ThreadOptions, use_threads
from face_analysis.options import Opt, Range, to_yaml
from face_analysis.outputs import Overwrite, Resume


@dataclass(frozen=True)
class AlignOptions(ThreadOptions):
    """What aligning is told."""

    source: Annotated[Path, Opt("a photo, a folder of photos, or an LMDB", positional=True)]
    dest: Annotated[Path, Opt("folder for the chips, which keep the tree of the source", positional=True)]
    image_list: Annotated[Path | None, Opt("list of the photos; without it, all of the source", "-i")] = None
    faces: Annotated[Literal["all", "largest", "centre"], Opt("which faces of a photo")] = "largest"
    min_size: Annotated[float, Opt("leave out faces smaller than this, in pixels"), Range(low=0)] = 0
    rotations: Annotated[bool, Opt("search the photo turned by 90, 180 and 270 degrees too")] = False
    whole: Annotated[bool, Opt("take a photo whole where no face is found")] = False
    threshold: Annotated[
        float, Opt("score from which the detector's find is a face"), Range(over=0, below=1)
    ] = 0.7
    quality: Annotated[int, Opt("of JPEG and WebP chips"), Range(1, 100)] = 95
    workers: Annotated[int, Opt("threads that decode, detect and align", "-w"), Range(low=0)] = 2
    resume: Resume = False
    overwrite: Overwrite = False


def main(arguments: Sequence[str]) -> int:
    """Exit status 0, or 1 when photos could not be read; the list of chips goes to stdout."""
    options = parse("align", AlignOptions, arguments)
    from face_analysis.bulk import Job, Output, run_bulk
    from face_analysis.datasets.sources import names_sha256, open_source
    from face_analysis.images.chips import ChipMaker
    from face_analysis.inference.align import INDEX, ChipSink
    from face_analysis.inference.loading import loading, loading_threads
    from face_analysis.inference.pipeline import FaceBlock, inputs

    source = open_source(options.source, options.image_list)
    maker = ChipMaker.with_detector(
        options.faces, options.min_size, options.threshold, rotations=options.rotations, whole=options.whole
    )
    output, read = Output(options.dest / INDEX), (options.source, options.image_list)
    job = Job(
        "align",
        len(source),
        partial(inputs, source),
        FaceBlock(maker, workers=options.workers, keep_chips=True),
        ChipSink(options.dest, source, options.quality, numbered=options.faces == "all"),
        {"photos": names_sha256(source), **_settings(options)},
        to_yaml(options),
    )
    with output.claim(read, overwrite=options.overwrite, resume=options.resume, pictures=True):
        use_threads(loading_threads(options, loading(maker, options.workers)))
        summary = run_bulk(job, output, resume=options.resume)
    print(output.main)
    summary.tell(output.errors)
    return summary.exit_code


def _settings(options: AlignOptions) -> dict[str, str]:
    """What the chips depend on beside the photos."""
    names = ("faces", "min_size", "rotations", "whole", "threshold", "quality")
    return {name: str(getattr(options, name)) for name in names}
