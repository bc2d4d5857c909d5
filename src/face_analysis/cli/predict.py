"""`face-analysis predict`: the faces of photos, with race, gender and age."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from face_analysis.cli.parser import parse
from face_analysis.errors import UsageError
from face_analysis.machine import MachineOptions, check_machine
from face_analysis.options import Opt, Range, to_yaml
from face_analysis.outputs import Overwrite, Resume, claim_folder, own_names

if TYPE_CHECKING:
    from face_analysis.datasets.attributes import Attribute
    from face_analysis.datasets.predictions.files import PredictionColumns, PredictionLayout
    from face_analysis.datasets.sources import ImageSource
    from face_analysis.images.chips import ChipMaker
    from face_analysis.inference.attributes import AttributePredictor, PredictionModel
    from face_analysis.inference.pipeline import FaceBlock
    from face_analysis.machine import Form
    from face_analysis.types import Photo


@dataclass(frozen=True)
class PredictOptions(MachineOptions):
    """What a prediction is told."""

    photos: Annotated[tuple[Path, ...], Opt("photos, or folders of photos", positional=True)] = ()
    source: Annotated[Path | None, Opt("in their place: a folder, or an LMDB", "-s")] = None
    dest: Annotated[Path | None, Opt("folder for the predictions; without it they are printed", "-d")] = None
    image_list: Annotated[Path | None, Opt("list of images; without it, all of the source", "-i")] = None
    model: Annotated[
        str | None, Opt("file or zoo name of one model for all its attributes (default: attributes)", "-m")
    ] = None
    race_model: Annotated[Path | None, Opt("model for race", "-rm")] = None
    gender_model: Annotated[Path | None, Opt("model for gender", "-gm")] = None
    age_model: Annotated[Path | None, Opt("model for age", "-am")] = None
    aligned: Annotated[bool, Opt("the images are aligned faces: search none")] = False
    faces: Annotated[Literal["all", "largest", "centre"], Opt("which faces of a photo")] = "all"
    min_size: Annotated[float, Opt("leave out faces smaller than this, in pixels"), Range(low=0)] = 0
    rotations: Annotated[bool, Opt("search the photo turned by 90, 180 and 270 degrees too")] = False
    whole: Annotated[bool, Opt("take a photo whole where no face is found")] = False
    threshold: Annotated[
        float, Opt("score from which the detector's find is a face"), Range(over=0, below=1)
    ] = 0.7
    annotate: Annotated[Path | None, Opt("folder for copies of the photos with boxes and labels")] = None
    batch_size: Annotated[int, Opt("faces a forward pass", "-b"), Range(low=1)] = 96
    net_mode: Annotated[Literal["ir", "ir_se"], Opt("of original .pth models", "-n")] = "ir_se"
    depth: Annotated[int, Opt("of original .pth models: 50, 100, 152", "-dp")] = 50
    workers: Annotated[int, Opt("threads that decode, detect and align", "-w"), Range(low=0)] = 2
    format: Annotated[
        Literal["csv", "jsonl", "parquet", "original"] | None,
        Opt("of the file, or of what is printed; original: path and codes as text (default: csv, or words)"),
    ] = None
    resume: Resume = False
    overwrite: Overwrite = False

    @property
    def layout(self) -> PredictionLayout:
        """The format of the file."""
        return self.format or "csv"


def main(arguments: Sequence[str]) -> int:
    """Exit status 0, or 1 when photos could not be read; the file's path, or the faces, go to stdout."""
    options = parse("predict", PredictOptions, arguments)
    _check(options)
    from face_analysis.inference.attributes import open_models
    from face_analysis.memory import keep_freed_memory

    keep_freed_memory()
    separate: dict[Attribute, Path | None] = {
        "race": options.race_model,
        "gender": options.gender_model,
        "age": options.age_model,
    }
    models = open_models(_joint_model(options), separate, options.depth, options.net_mode)
    source, maker = _source(options), _chip_maker(options)
    if options.dest is None:
        return _print(options, source, maker, _predictor(options, models, maker, None))
    return _write(options, options.dest, source, maker, models)


def _joint_model(options: PredictOptions) -> str | None:
    """The model of all attributes that have none of their own."""
    separate = (options.race_model, options.gender_model, options.age_model)
    return options.model or (None if any(separate) else "attributes")


def _check(options: PredictOptions) -> None:
    check_machine(options)
    if options.photos and (options.source is not None or options.image_list is not None):
        raise UsageError("give the photos once: as words, or by --source and --image_list")
    if options.dest is None and (options.resume or options.format == "parquet"):
        raise UsageError("--resume and --format parquet need a folder to write to: give --dest")
    if options.format == "parquet":
        from face_analysis.datasets.parquet import pyarrow_for

        pyarrow_for("--format parquet")


def _source(options: PredictOptions) -> ImageSource:
    from face_analysis.datasets.sources import open_photos, open_source

    return open_photos(options.photos) if options.photos else open_source(options.source, options.image_list)


def _chip_maker(options: PredictOptions) -> ChipMaker:
    from face_analysis.images.chips import ChipMaker

    if options.aligned:
        return ChipMaker()
    return ChipMaker.with_detector(
        options.faces, options.min_size, options.threshold, rotations=options.rotations, whole=options.whole
    )


def _write(
    options: PredictOptions,
    dest: Path,
    source: ImageSource,
    maker: ChipMaker,
    models: dict[Attribute, PredictionModel],
) -> int:
    from face_analysis.bulk import Job, Output, run_bulk
    from face_analysis.datasets.predictions.files import SUFFIXES
    from face_analysis.datasets.sources import names_sha256
    from face_analysis.inference.form import begun_form, form_facts
    from face_analysis.inference.pipeline import inputs
    from face_analysis.inference.predict import PredictionSink

    origin = options.image_list or source.origin
    name = origin.name if origin.is_dir() else origin.stem
    output = Output(dest / f"{name}_predictions{SUFFIXES[options.layout]}", f"{name}_")
    form = begun_form(output.begun()) if options.resume else None
    predictor = _predictor(options, models, maker, form)
    options = replace(options, precision=predictor.form.precision, threads=predictor.form.threads)
    claim = output.claim(_read(options, source), overwrite=options.overwrite, resume=options.resume)
    with claim, _copies(options, source) as annotate:
        job = Job(
            "predict",
            len(source),
            partial(inputs, source),
            _block(options, maker, predictor),
            PredictionSink(output.main, options.layout, _columns(maker, predictor), source, annotate),
            {"photos": names_sha256(source), **_settings(options), **form_facts(predictor.form, form)},
            to_yaml(options),
        )
        summary = run_bulk(job, output, resume=options.resume)
    print(output.main)
    summary.tell(output.errors)
    return summary.exit_code


def _block(options: PredictOptions, maker: ChipMaker, predictor: AttributePredictor) -> FaceBlock:
    from face_analysis.inference.pipeline import FaceBlock

    return FaceBlock(
        maker,
        (predictor,),
        options.batch_size,
        options.workers,
        keep_pixels=options.annotate is not None,
    )


def _columns(maker: ChipMaker, predictor: AttributePredictor) -> PredictionColumns:
    from face_analysis.datasets.predictions.files import PredictionColumns

    return PredictionColumns(
        predictor.attributes, located=maker.detector is not None, intervals=predictor.gives_intervals
    )


def _predictor(
    options: PredictOptions, models: dict[Attribute, PredictionModel], maker: ChipMaker, form: Form | None
) -> AttributePredictor:
    from face_analysis.inference.attributes import AttributePredictor
    from face_analysis.inference.form import FormChoice
    from face_analysis.inference.loading import loading
    from face_analysis.machine import use_threads

    background = loading(maker, options.workers)
    predictor = AttributePredictor(models, FormChoice(options, options.batch_size, background, form))
    use_threads(predictor.form.threads)
    return predictor


def _print(
    options: PredictOptions, source: ImageSource, maker: ChipMaker, predictor: AttributePredictor
) -> int:
    from face_analysis.bulk import Summary
    from face_analysis.cli.printed import print_photos
    from face_analysis.inference.pipeline import inputs

    summary = Summary()
    with _copies(options, source) as annotate:

        def photos() -> Iterator[Photo]:
            for row, photo in enumerate(_block(options, maker, predictor)(inputs(source))):
                summary.add(photo)
                yield _joined(photo, source, row) if options.format == "original" else photo
                annotate(row, photo)

        print_photos(photos(), options.format, _columns(maker, predictor))
    summary.check_answers()
    return summary.exit_code


def _joined(photo: Photo, source: ImageSource, row: int) -> Photo:
    """The photo with the path that the original's text has: joined with that of the source."""
    from face_analysis.datasets.sources import path_of

    path = path_of(source, row)
    return replace(photo, faces=tuple(replace(face, path=path) for face in photo.faces))


@contextmanager
def _copies(options: PredictOptions, source: ImageSource) -> Iterator[Callable[[int, Photo], None]]:
    """What writes the annotated copy of a photo with faces, given its row; nothing without --annotate."""
    folder = options.annotate
    if folder is None:
        yield lambda row, photo: None
        return
    from face_analysis.reports.annotate import COPY_SUFFIXES, write_annotated

    names = own_names(map(source.name, range(len(source))), COPY_SUFFIXES, COPY_SUFFIXES[0])

    def annotate(row: int, photo: Photo) -> None:
        if photo.faces:
            assert photo.pixels is not None
            write_annotated(photo.pixels, photo.faces, folder / names[row])

    resume = None if options.dest is None else options.resume
    claim = claim_folder(
        folder, _read(options, source), overwrite=options.overwrite, resume=resume, pictures=True
    )
    with claim:
        yield annotate


def _read(options: PredictOptions, source: ImageSource) -> list[Path | None]:
    """What the run reads: the photos themselves where no folder holds them."""
    named: list[Path | None] = [*options.photos, options.source, options.image_list]
    if options.photos or options.source is not None:
        return named
    return [*named, *(Path(source.name(row)) for row in range(len(source)))]


def _settings(options: PredictOptions) -> dict[str, Any]:
    """What the predictions depend on: all but where they go, and how many threads make them."""
    from face_analysis.zoo.find import weights_facts

    aside = {"dest", "workers", "resume", "overwrite", "photos", "source", "image_list", "device"}
    models = {name: getattr(options, name) for name in ("race_model", "gender_model", "age_model")}
    values = vars(options) | {"format": options.layout, "annotate": options.annotate is not None}
    settings = {name: str(value) for name, value in values.items() if name not in {*aside, "model", *models}}
    return settings | weights_facts({"model": _joint_model(options), **models})
