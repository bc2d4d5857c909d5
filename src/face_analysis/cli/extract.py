"""`face-analysis extract`: embeddings of the faces of photos, as a feature set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from face_analysis.cli.embedder_options import EmbedderOptions, embedder_of
from face_analysis.cli.parser import parse
from face_analysis.errors import UsageError
from face_analysis.options import Opt, Range, to_yaml
from face_analysis.outputs import Overwrite, Resume

if TYPE_CHECKING:
    from face_analysis.datasets.sources import ImageSource


@dataclass(frozen=True, kw_only=True)
class ExtractOptions(EmbedderOptions):
    """What extraction is told."""

    dest: Annotated[Path, Opt("folder for the feature set", "-d")]
    source: Annotated[Path | None, Opt("a photo, a folder of photos, an LMDB or a .rec file", "-s")] = None
    image_list: Annotated[Path | None, Opt("list of images; without it, all of the source", "-i")] = None
    subject: Annotated[
        Literal["folder"] | None, Opt("folder: the folder that an image lies in is the person it shows")
    ] = None
    labels: Annotated[
        Path | None,
        Opt("image list, or file of `predict`, that gives the images race, gender and age to group by"),
    ] = None
    aligned: Annotated[bool, Opt("the images are aligned faces: search none")] = False
    faces: Annotated[Literal["all", "largest", "centre"], Opt("which faces of a photo")] = "largest"
    whole: Annotated[bool, Opt("take a photo whole where no face is found")] = False
    threshold: Annotated[
        float, Opt("score from which the detector's find is a face"), Range(over=0, below=1)
    ] = 0.7
    flip: Annotated[bool, Opt("add the embedding of the mirrored chip")] = False
    format: Annotated[
        Literal["set", "original"], Opt("original: <parent folder>/<stem>.npy, a file an image")
    ] = "set"
    workers: Annotated[int, Opt("threads that decode, detect and align", "-w"), Range(low=0)] = 2
    resume: Resume = False
    overwrite: Overwrite = False


def main(arguments: Sequence[str]) -> int:
    """Exit status 0, or 1 when photos could not be used; the folder of the set goes to stdout."""
    options = parse("extract", ExtractOptions, arguments)
    _check(options)
    from face_analysis.bulk import Job, Output, run_bulk
    from face_analysis.datasets.sources import names_sha256, open_source
    from face_analysis.images.chips import ChipMaker
    from face_analysis.inference.embedder import EmbeddingModel
    from face_analysis.inference.extract import FeatureSink
    from face_analysis.inference.form import begun_form, form_facts
    from face_analysis.inference.loading import loading
    from face_analysis.inference.pipeline import FaceBlock, inputs
    from face_analysis.matching.features.feature_set import INDEX
    from face_analysis.memory import keep_freed_memory

    keep_freed_memory()
    output = Output(options.dest / INDEX)
    maker = ChipMaker()
    if not options.aligned:
        maker = ChipMaker.with_detector(options.faces, threshold=options.threshold, whole=options.whole)
    form = begun_form(output.begun()) if options.resume else None
    embedder = embedder_of(options, flip=options.flip, background=loading(maker, options.workers), begun=form)
    options = replace(options, precision=embedder.form.precision, threads=embedder.form.threads)
    maker = replace(maker, size=embedder.side)
    source = open_source(options.source, options.image_list)
    job = Job(
        "extract",
        len(source),
        partial(inputs, source),
        FaceBlock(maker, (EmbeddingModel(embedder),), options.batch_size, options.workers),
        FeatureSink(options.dest, source, embedder.size, options.format, _columns(options, source)),
        {"photos": names_sha256(source), **_settings(options), **form_facts(embedder.form, form)},
        to_yaml(options),
    )
    # Files of the original's layout are called .npy, which no photo and no list is.
    read = () if options.format == "original" else (options.source, options.image_list, options.labels)
    with output.claim(read, overwrite=options.overwrite, resume=options.resume):
        summary = run_bulk(job, output, resume=options.resume)
    print(options.dest)
    summary.tell(output.errors)
    return summary.exit_code


def _check(options: ExtractOptions) -> None:
    if options.format == "original" and options.faces == "all" and not options.aligned:
        raise UsageError("--format original holds one face an image: give --faces largest or centre")


def _columns(options: ExtractOptions, source: ImageSource) -> dict[str, list[str]]:
    """The columns of the index that the options add to those of the source, a text for each photo."""
    from face_analysis.datasets.predictions.columns import read_label_file
    from face_analysis.matching.features.feature_set import SUBJECT

    names = [source.name(row) for row in range(len(source))]
    columns: dict[str, list[str]] = {}
    if options.subject == "folder":
        columns[SUBJECT] = [name.partition("/")[0] if "/" in name else "" for name in names]
        if not any(columns[SUBJECT]):
            raise UsageError("--subject folder: no photo lies in a subfolder of the source")
    if options.labels is not None:
        columns |= read_label_file(options.labels).columns_of(names)
    return columns


def _settings(options: ExtractOptions) -> dict[str, Any]:
    """What the features depend on beside the photos."""
    from face_analysis.zoo.catalogue import file_sha256
    from face_analysis.zoo.find import weights_facts

    aside = {"dest", "workers", "resume", "overwrite", "source", "image_list", "device", "model", "labels"}
    settings = {name: str(value) for name, value in vars(options).items() if name not in aside}
    if options.labels is not None:
        settings["labels"] = file_sha256(options.labels)
    return settings | weights_facts({"model": options.model})
