"""`face-analysis calibrate`: how sure a model may be, stored in its card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from face_analysis.cli.parser import parse
from face_analysis.files import write_text
from face_analysis.machine import MachineOptions, check_machine, use_threads
from face_analysis.options import Opt, Range, to_yaml
from face_analysis.outputs import Overwrite, claim_folder


@dataclass(frozen=True)
class CalibrateOptions(MachineOptions):
    """What calibrating is told."""

    model: Annotated[Path, Opt("the .safetensors file to calibrate", "-m")]
    dest: Annotated[Path, Opt("folder for model.safetensors with the new card, tables and figures", "-d")]
    source: Annotated[Path | None, Opt("folder of labelled images, or an LMDB", "-s")] = None
    image_list: Annotated[Path | None, Opt("list with the labels", "-i")] = None
    align: Annotated[
        bool, Opt("the images are photos: find the face nearest the middle of each, and align it")
    ] = False
    mirror: Annotated[
        bool, Opt("let the model average over each chip and its mirror image, which takes twice the time")
    ] = False
    name: Annotated[str | None, Opt("of the model, in the new card (default: as in the old)")] = None
    training_data: Annotated[str | None, Opt("what the card says of it (default: as in the old)")] = None
    batch_size: Annotated[int, Opt("images a forward pass", "-b"), Range(low=1)] = 96
    workers: Annotated[int, Opt("threads that decode, detect and align", "-w"), Range(low=0)] = 2
    overwrite: Overwrite = False


def main(arguments: Sequence[str]) -> int:
    """Exit status 0, or 1 when images could not be read; the tables and the model's path go to stdout."""
    options = parse("calibrate", CalibrateOptions, arguments)
    check_machine(options)
    from face_analysis.datasets.sources import open_source
    from face_analysis.files import FailureLog
    from face_analysis.images.chips import ChipMaker
    from face_analysis.inference.calibrate import calibrate
    from face_analysis.inference.form import FormChoice
    from face_analysis.inference.loading import loading
    from face_analysis.memory import keep_freed_memory
    from face_analysis.models.weights import load_attributes, save_model
    from face_analysis.reports.attributes.calibration import calibration_table, write_calibration
    from face_analysis.reports.attributes.report import overall_table, write_report

    keep_freed_memory()
    model = load_attributes(options.model)
    model = replace(model, card=replace(model.card, mirrored=model.card.mirrored or options.mirror))
    source = open_source(options.source, options.image_list)
    maker = ChipMaker.with_detector("centre", whole=True) if options.align else ChipMaker()
    read = (options.model, options.source, options.image_list)
    choice = FormChoice(options, options.batch_size, loading(maker, options.workers))
    form = choice.form([model.network], model.card.name)
    use_threads(form.threads)
    options = replace(options, precision=form.precision, threads=form.threads)
    choice = replace(choice, begun=form)
    with claim_folder(options.dest, read, overwrite=options.overwrite):
        done = calibrate(model, source, maker, options.batch_size, options.workers, choice)
        failures = FailureLog(options.dest / "errors.csv")
        failures.add(done.failures)
        write_report(done.report, done.labels, done.predictions, options.dest)
        write_calibration(done.fit, options.dest)
        write_text(options.dest / "config.yaml", to_yaml(options))
        card = replace(
            done.card,
            name=options.name or done.card.name,
            training_data=options.training_data or done.card.training_data,
        )
        save_model(options.dest / "model.safetensors", model.network, card)
    print(f"{overall_table(done.report)}\n\n{calibration_table(done.fit)}")
    print(f"model: {options.dest / 'model.safetensors'}")
    return failures.report()
