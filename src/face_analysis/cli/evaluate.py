"""`face-analysis evaluate`: predictions against labels, overall and by group."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from face_analysis.cli.parser import parse
from face_analysis.files import write_text
from face_analysis.options import Opt, to_yaml


@dataclass(frozen=True)
class EvaluateOptions:
    """What an evaluation is told."""

    predictions: Annotated[Path, Opt("CSV written by `predict`", "-p")]
    labels: Annotated[Path, Opt("image list with the true labels", "-l")]
    dest: Annotated[Path, Opt("folder for metrics.json, metrics.md and the figures", "-d")]


def main(arguments: Sequence[str]) -> int:
    """Exit status 0, or 1 when listed images have no prediction; the overall table goes to stdout."""
    options = parse("evaluate", EvaluateOptions, arguments)
    from face_analysis.datasets.lists import read_image_list
    from face_analysis.datasets.prediction_tables import read_predictions
    from face_analysis.evaluation.groups import evaluate
    from face_analysis.evaluation.join import join
    from face_analysis.reports.attribute_tables import overall_table
    from face_analysis.reports.files import write_report

    joined = join(read_image_list(options.labels), read_predictions(options.predictions))
    report = evaluate(joined.labels, joined.predictions, age_count=joined.age_count, missing=joined.missing)
    write_report(report, joined.labels, joined.predictions, options.dest)
    write_text(options.dest / "config.yaml", to_yaml(options))
    print(overall_table(report))
    print(f"\nreport: {options.dest / 'metrics.md'}")
    if joined.missing:
        names = ", ".join(joined.first_missing)
        logging.warning("%d listed images have no prediction: %s ...", joined.missing, names)
    return 1 if joined.missing else 0
