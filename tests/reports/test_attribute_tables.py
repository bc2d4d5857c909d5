from __future__ import annotations

import re

import numpy as np
import pytest

from face_analysis.datasets.attributes import CLASS_NAMES
from face_analysis.evaluation.groups import evaluate
from face_analysis.reports.attributes.tables import attribute_markdown

FIGURE = re.compile(r"(-?[\d.]+) \[(-?[\d.]+), (-?[\d.]+)\] \(n = (\d+)\)\Z")


@pytest.fixture(scope="module")
def report():
    rng = np.random.default_rng(0)
    labels = {
        "race": rng.integers(-1, 4, 500),
        "gender": rng.integers(-1, 2, 500),
        "age": rng.integers(-1, 80, 500),
    }
    predictions = {
        "race": np.where(rng.random(500) < 0.6, np.maximum(labels["race"], 0), 4),
        "gender": np.where(rng.random(500) < 0.8, np.maximum(labels["gender"], 0), 0),
        "age": labels["age"] + rng.normal(0, 8, 500),
    }
    return evaluate(labels, predictions, age_count=np.round(predictions["age"]).astype(int), missing=7)


def tables(text):
    """Title of each section to its rows, each row a dict by column heading."""
    found = {}
    for section in text.split("\n## ")[1:]:
        title, _, *lines = section.strip().split("\n")
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        assert {len(row) for row in cells} == {len(cells[0])}
        found[title] = [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]
    return found


def check(text, estimate, scale, decimals):
    value, low, high, count = FIGURE.match(text).groups()
    expected = [estimate.value * scale, estimate.low * scale, estimate.high * scale]
    assert [float(value), float(low), float(high)] == pytest.approx(expected, abs=0.5001 * 10**-decimals)
    assert int(count) == estimate.count
    assert len(value.split(".")[1]) == decimals


def test_first_lines_say_that_labels_are_perceived_and_how_many_images_are_missing(report):
    lines = attribute_markdown(report).split("\n")
    assert "as perceived by the annotators of the data set" in lines[2]
    assert lines[4].startswith("500 images")
    assert "7 listed images without a prediction" in lines[4]


def test_overall_table_holds_the_figures_of_the_report(report):
    rows = {(row["attribute"], row["measure"]): row for row in tables(attribute_markdown(report))["Overall"]}
    race, age = report.attributes["race"].overall, report.attributes["age"].overall
    check(rows["race", "Accuracy (%)"]["figure"], race.measures["accuracy"], 100, 1)
    check(rows["race", "Balanced accuracy (%)"]["figure"], race.measures["balanced_accuracy"], 100, 1)
    check(rows["age", "Mean absolute error (years)"]["figure"], age.measures["mae"], 1, 2)
    check(rows["age", "Within 5 years (%)"]["figure"], age.measures["within_5"], 100, 1)
    counted = rows["age, count decoding", "Mean absolute error (years)"]["figure"]
    check(counted, report.age_count.measures["mae"], 1, 2)
    assert rows["race", "Accuracy (%)"]["left out: label unknown"] == str(race.unknown)
    assert len(rows) == 8


@pytest.mark.parametrize("attribute", ["race", "gender"])
def test_confusion_table_holds_the_counts_and_the_recall_of_each_class(report, attribute):
    found = tables(attribute_markdown(report))
    rows = found[f"Confusion of {attribute} (images; row true, column predicted)"]
    metrics = report.attributes[attribute].overall
    names = CLASS_NAMES[attribute]
    assert [[int(row[name]) for name in names] for row in rows] == metrics.confusion.tolist()
    for row in rows:
        if row["true"] in metrics.recall:
            check(row["Recall (%)"], metrics.recall[row["true"]], 100, 1)
        else:
            assert (row["true"], row["Recall (%)"]) == ("other", "-")


def test_every_group_of_every_grouping_is_in_its_table(report):
    found = tables(attribute_markdown(report))
    for attribute, part in report.attributes.items():
        first, second = part.overall.measures
        heads = {
            "accuracy": "Accuracy (%)",
            "balanced_accuracy": "Balanced accuracy (%)",
            "mae": "Mean absolute error (years)",
            "within_5": "Within 5 years (%)",
        }
        for grouping, groups in part.groups.items():
            rows = {row[f"true {grouping}"]: row for row in found[f"{attribute.capitalize()} by {grouping}"]}
            assert list(rows) == [*groups, "all"]
            for name, measures in (*groups.items(), ("all", part.overall.measures)):
                for key in (first, second):
                    scale, decimals = (1, 2) if key == "mae" else (100, 1)
                    check(rows[name][heads[key]], measures[key], scale, decimals)


def test_age_table_has_a_row_a_decade_and_a_dash_without_images(report):
    rows = tables(attribute_markdown(report))["Age by decade of true age"]
    by_decade = report.attributes["age"].overall.mae_by_decade
    for row in rows:
        text = row["Mean absolute error (years)"]
        if row["true age (years)"] in by_decade:
            check(text, by_decade[row["true age (years)"]], 1, 2)
        else:
            assert text == "-"
    assert [row["true age (years)"] for row in rows][-2:] == ["80-89", "90-100"]
    assert rows[-1]["Mean absolute error (years)"] == "-"


def test_a_report_without_known_labels_has_dashes():
    report = evaluate({"gender": np.array([-1, -1])}, {"gender": np.array([0, 1])})
    text = attribute_markdown(report)
    assert {row["figure"] for row in tables(text)["Overall"]} == {"-"}
    assert "nan" not in text
