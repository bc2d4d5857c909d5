"""`face-analysis train`: train, keep the best model with its card, measure it on the validation images."""

from __future__ import annotations

from collections.abc import Sequence

from face_analysis.cli.parser import parse
from face_analysis.training.options import TrainOptions


def main(arguments: Sequence[str]) -> int:
    """Exit status 0, or 1 when images could not be read."""
    options = parse("train", TrainOptions, arguments)
    from face_analysis.memory import keep_freed_memory
    from face_analysis.reports.attribute_tables import overall_table
    from face_analysis.reports.files import write_report
    from face_analysis.training.finish import finish
    from face_analysis.training.run import train

    keep_freed_memory()
    run = train(options)
    done = finish(run)
    write_report(done.report, done.labels, done.predictions, run.folder.path / "validation")
    print(overall_table(done.report))
    print(f"model: {done.weights}")
    return run.failures.report()
