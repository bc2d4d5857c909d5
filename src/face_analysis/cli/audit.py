"""`face-analysis audit`: what is wrong in labelled face data, and lists without it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from face_analysis.cli.parser import parse
from face_analysis.errors import UsageError
from face_analysis.files import first_reasons, write_text
from face_analysis.machine import MachineOptions, check_machine, use_threads
from face_analysis.options import Opt, Range, to_yaml
from face_analysis.outputs import Overwrite, claim_folder

if TYPE_CHECKING:
    from face_analysis.auditing.images import AuditedImages
    from face_analysis.auditing.report import AuditReport
    from face_analysis.auditing.scan import ScanSettings


@dataclass(frozen=True)
class AuditOptions(MachineOptions):
    """The options of `audit`."""

    lists: Annotated[
        tuple[Path, ...],
        Opt("image lists, folders or packed files; those to test on last", positional=True),
    ]
    dest: Annotated[Path, Opt("folder for the tables and the page", "-d")]
    source: Annotated[Path | None, Opt("folder of the lists' images", "-s")] = None
    fix: Annotated[
        Literal["first", "drop", "majority"] | None,
        Opt(
            "write lists with one image of each group of copies; where labels contradict, with the first "
            "labels, none of them, or the most frequent labels"
        ),
    ] = None
    people: Annotated[
        bool, Opt("count the faces of each image, and look for one person's in several lists")
    ] = False
    faces: Annotated[bool, Opt("count the faces of each image")] = False
    similarity: Annotated[float, Opt("from which two pictures are copies"), Range(over=0, high=1)] = 0.88
    workers: Annotated[int, Opt("threads that read images", "-w"), Range(low=0)] = 2
    overwrite: Overwrite = False


def main(arguments: Sequence[str]) -> int:
    """Exit status 0, or 1 when images could not be read; a table of what was found goes to stdout."""
    options = parse("audit", AuditOptions, arguments)
    check_machine(options)
    from tqdm import tqdm

    from face_analysis.auditing.report import audit
    from face_analysis.auditing.scan import scan
    from face_analysis.reports.audit import audit_page, summary_text, write_tables

    images = _images(options)
    with claim_folder(options.dest, (*options.lists, options.source), overwrite=options.overwrite):
        write_text(options.dest / "config.yaml", to_yaml(options))
        for found in tqdm(
            scan(images, _scan_settings(options), options.workers), "audit", len(images), unit=" images"
        ):
            complete = found
        report = audit(images, complete, options.similarity)
        write_tables(report, options.dest)
        write_text(options.dest / "audit.html", audit_page(report))
        print(summary_text(report))
        if options.fix is not None:
            _fix(report, options)
    print(f"\nreport: {options.dest / 'audit.html'}")
    if complete.reasons:
        unreadable = (
            f"{len(complete.reasons)} images could not be read: see {options.dest / 'unreadable.csv'}"
        )
        print(unreadable + first_reasons(complete.reasons.values()), file=sys.stderr)
    return 1 if complete.reasons else 0


def _images(options: AuditOptions) -> AuditedImages:
    from face_analysis.auditing.images import audited_images
    from face_analysis.datasets.sources import FolderSource

    images = audited_images(options.lists, options.source)
    if options.fix is not None and not all(isinstance(source, FolderSource) for source in images.sources):
        raise UsageError("--fix writes image lists, and packed files have none: audit the list")
    return images


def _scan_settings(options: AuditOptions) -> ScanSettings:
    from face_analysis.auditing.scan import AHEAD, ScanSettings

    if not options.faces and not options.people:
        return ScanSettings()
    from face_analysis.images.chips import ChipMaker
    from face_analysis.inference.embedder import open_embedder
    from face_analysis.inference.form import FormChoice
    from face_analysis.inference.loading import loading, loading_threads
    from face_analysis.inference.onnx_form import ModelInput

    maker = ChipMaker.with_detector("centre")
    background = loading(maker, options.workers)
    if not options.people:
        use_threads(loading_threads(options, background))
        return ScanSettings(maker.detector)
    embedder = open_embedder("sface", ModelInput(), choice=FormChoice(options, AHEAD, background))
    use_threads(embedder.form.threads)
    return ScanSettings(maker.detector, embedder)


def _fix(report: AuditReport, options: AuditOptions) -> None:
    from face_analysis.auditing.labels import clean
    from face_analysis.reports.audit import write_cleaned

    assert options.fix is not None
    about = (report.groups, report.labels, report.subjects, report.images.part)
    cleaning = clean(*about, options.fix, report.scan.reasons)
    for path, count in write_cleaned(report, cleaning, options.dest / "cleaned"):
        print(f"{path}: {count} images")
