"""`face-analysis evaluate`: predictions against labels, or a model on verification sets."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from face_analysis.cli.embedder_options import EmbedderOptions, embedder_of
from face_analysis.cli.parser import parse
from face_analysis.errors import UsageError
from face_analysis.files import FailureLog, write_text
from face_analysis.options import Opt, Range, to_yaml
from face_analysis.outputs import Overwrite, claim_folder

if TYPE_CHECKING:
    from face_analysis.evaluation.verification import VerificationReport


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(EmbedderOptions):
    """The options of `evaluate`."""

    dest: Annotated[Path, Opt("folder for the tables and figures", "-d")]
    predictions: Annotated[
        Path | None, Opt("file written by `predict`: CSV, JSON Lines, Parquet or the original's text", "-p")
    ] = None
    labels: Annotated[Path | None, Opt("image list with the true labels", "-l")] = None
    faces: Annotated[
        Literal["one", "largest"],
        Opt("of a photo with several faces: refuse it, or take the largest"),
    ] = "one"
    attributes: Annotated[
        tuple[Literal["race", "gender", "age"], ...],
        Opt("what the numbers of the original's text are, where it is not clear"),
    ] = ()
    verification: Annotated[
        tuple[str, ...],
        Opt("verification sets: folders (of `pairs build`, IJB-B, IJB-C), .bin files, or names in --source"),
    ] = ()
    source: Annotated[
        Path | None,
        Opt(
            "folder of the verification sets, or what predictions have before the list's paths",
            "-s",
        ),
    ] = None
    card: Annotated[
        Path | None,
        Opt("threshold.json of a match, at whose threshold the rates of verification sets are reported"),
    ] = None
    workers: Annotated[int, Opt("threads that decode and align the images of IJB", "-w"), Range(low=0)] = 2
    no_flip: Annotated[bool, Opt("do not add the embedding of the mirrored chip")] = False
    overwrite: Overwrite = False


def main(arguments: Sequence[str]) -> int:
    """Exit status 0, or 1 when images have no prediction or cannot be read; the tables go to stdout."""
    options = parse("evaluate", EvaluateOptions, arguments)
    if options.verification and options.predictions is None and options.labels is None:
        return _verify(options)
    if options.verification or options.predictions is None or options.labels is None:
        raise UsageError("give --predictions and --labels, or --verification with a --model")
    if options.card is not None:
        raise UsageError("--card is for --verification")
    return _evaluate(options.predictions, options.labels, options)


def _evaluate(predictions: Path, labels: Path, options: EvaluateOptions) -> int:
    from tqdm import tqdm

    from face_analysis.datasets.lists.image_list import read_image_list
    from face_analysis.datasets.predictions.tables import read_predictions
    from face_analysis.evaluation.attributes_by_group import evaluate
    from face_analysis.evaluation.join import join
    from face_analysis.reports.attributes.report import overall_table, write_report

    listed = read_image_list(labels)
    watch = partial(tqdm, desc="evaluate", unit=" lines", unit_scale=True)
    table = read_predictions(predictions, options.faces, options.attributes, watch)
    joined = join(listed, table, options.source)
    report = evaluate(joined.labels, joined.predictions, age_count=joined.age_count, missing=joined.missing)
    with claim_folder(options.dest, (predictions, labels), overwrite=options.overwrite):
        write_report(report, joined.labels, joined.predictions, options.dest)
        write_text(options.dest / "config.yaml", to_yaml(options))
    print(overall_table(report))
    print(f"\nreport: {options.dest / 'report.html'}")
    missing = "listed images have no prediction (no face found, not read, or not given)"
    _tell(missing, joined.missing, joined.first_missing)
    _tell("predictions are of images that are not listed", joined.unlisted, joined.first_unlisted)
    if table.values.keys() - listed.labels.keys():
        unlabelled = ", ".join(sorted(table.values.keys() - listed.labels.keys()))
        logging.warning("not evaluated, as the list has no labels of it: %s", unlabelled)
    if table.left_out:
        logging.warning("%d faces are left out, beside the largest of their photo", table.left_out)
    return 1 if joined.missing else 0


def _tell(what: str, count: int, names: Sequence[str]) -> None:
    if count:
        logging.warning("%d %s: %s%s", count, what, ", ".join(names), " ..." if count > len(names) else "")


def _verify(options: EvaluateOptions) -> int:
    from face_analysis.datasets.pairs.ijb import IjbSet, is_ijb, open_ijb
    from face_analysis.datasets.pairs.sets import PairSet, open_pairs
    from face_analysis.inference.ijb import verify_ijb
    from face_analysis.inference.verify import verify_set
    from face_analysis.matching.thresholds import read_threshold
    from face_analysis.reports.verification import verification_tables, write_verification

    paths = [Path(options.source or "", name) for name in options.verification]
    if len({path.resolve() for path in paths}) < len(paths):
        raise UsageError("a verification set is given twice: give each once")
    sets = [open_ijb(path) if is_ijb(path) else open_pairs(path) for path in paths]
    threshold = None if options.card is None else read_threshold(options.card)
    embedder = embedder_of(options, flip=not options.no_flip)
    options = replace(options, precision=embedder.form.precision, threads=embedder.form.threads)

    def verified(given: PairSet | IjbSet) -> VerificationReport:
        if isinstance(given, IjbSet):
            return verify_ijb(given, embedder, failures, options.batch_size, options.workers)
        failures.add(given.failures)
        return verify_set(given, embedder, failures, options.batch_size)

    with claim_folder(options.dest, (*paths, options.card), overwrite=options.overwrite):
        failures = FailureLog(options.dest / "errors.csv")
        reports = _own_names([verified(given) for given in sets], options.verification)
        write_verification(reports, options.dest, threshold)
        write_text(options.dest / "config.yaml", to_yaml(options))
    print(verification_tables(reports, threshold).strip())
    print(f"\nreport: {options.dest / 'report.html'}")
    return failures.report()


def _own_names(reports: list[VerificationReport], given: Sequence[str]) -> list[VerificationReport]:
    """Sets of one name, in two folders, are called as they were given."""
    names = Counter(report.name for report in reports)
    return [
        replace(report, name=word) if names[report.name] > 1 else report
        for report, word in zip(reports, given, strict=True)
    ]
