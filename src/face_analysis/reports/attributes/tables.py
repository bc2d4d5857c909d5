"""The evaluation of attributes as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from face_analysis.datasets.attributes import CLASS_NAMES
from face_analysis.evaluation.attributes import DECADES, AttributeMetrics, Measures
from face_analysis.evaluation.groups import AttributeReport, EvaluationReport
from face_analysis.evaluation.intervals import LEVEL, RESAMPLES
from face_analysis.reports.markdown import section
from face_analysis.reports.measure_text import MEASURES, MEASURES_OF, PERCEIVED, RECALL


def attribute_markdown(report: EvaluationReport) -> str:
    """The whole report: overall, confusion of each classification, age by decade, and tables by group.

    Every figure is written `value [low, high] (n = count)`: percent with one decimal, years with two.
    """
    return "\n".join([*_opening(report), *_overall(report), *_details(report), *_groups(report)]) + "\n"


def overall_table(report: EvaluationReport) -> str:
    """The overall measures alone."""
    return "\n".join(_overall(report))


def _opening(report: EvaluationReport) -> Iterator[str]:
    yield "# Evaluation of attributes"
    yield ""
    yield PERCEIVED
    yield ""
    yield (
        f"{report.images} images with labels and predictions; {report.missing} listed images without a "
        "prediction are left out."
    )
    yield (
        f"Brackets hold {LEVEL:.0%} intervals (percentile bootstrap over images, {RESAMPLES} resamples, seed "
        f"{report.seed}), n is the number of images behind a figure. With few images, or where every image "
        "agrees, the true interval is wider than the one shown."
    )


def _overall(report: EvaluationReport) -> Iterator[str]:
    parts = [(str(name), part.overall) for name, part in report.attributes.items()]
    if report.age_count is not None:
        parts.append(("age, count decoding", report.age_count))
    rows = [
        [name, MEASURES[key].heading, MEASURES[key].write(part.measures.get(key)), str(part.unknown)]
        for name, part in parts
        for key in MEASURES_OF[part.attribute]
    ]
    yield from section("Overall", ["attribute", "measure", "figure", "left out: label unknown"], rows)


def _details(report: EvaluationReport) -> Iterator[str]:
    for part in report.attributes.values():
        yield from _decades(part.overall) if part.overall.attribute == "age" else _confusion(part.overall)


def _confusion(metrics: AttributeMetrics) -> Iterator[str]:
    if metrics.confusion is None:
        return
    names = CLASS_NAMES[metrics.attribute]
    rows = [
        [name, *(str(count) for count in counts), RECALL.write(metrics.recall.get(name))]
        for name, counts in zip(names, metrics.confusion.tolist(), strict=True)
    ]
    title = f"Confusion of {metrics.attribute} (images; row true, column predicted)"
    yield from section(title, ["true", *names, f"{RECALL.heading}"], rows)


def _decades(metrics: AttributeMetrics) -> Iterator[str]:
    mae = MEASURES["mae"]
    rows = [[name, mae.write(metrics.mae_by_decade.get(name))] for name in DECADES]
    yield from section("Age by decade of true age", ["true age (years)", mae.heading], rows)


def _groups(report: EvaluationReport) -> Iterator[str]:
    for attribute, part in report.attributes.items():
        for grouping, groups in part.groups.items():
            title = f"{attribute.capitalize()} by {grouping}"
            yield from _group_table(title, f"true {grouping}", part, groups)


def _group_table(title: str, first: str, part: AttributeReport, groups: dict[str, Measures]) -> Iterator[str]:
    keys = MEASURES_OF[part.overall.attribute]
    rows = [
        [name, *(MEASURES[key].write(measures.get(key)) for key in keys)]
        for name, measures in (*groups.items(), ("all", part.overall.measures))
    ]
    yield from section(title, [first, *(MEASURES[key].heading for key in keys)], rows)
