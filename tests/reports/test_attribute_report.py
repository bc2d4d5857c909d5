from __future__ import annotations

import json
import re
import subprocess
import sys

import matplotlib.image
import numpy as np
import pytest

from face_analysis.datasets.attributes import CLASS_NAMES
from face_analysis.errors import WriteError
from face_analysis.evaluation.attributes_by_group import evaluate
from face_analysis.reports.attributes import report as attribute_report
from face_analysis.reports.attributes.figures import (
    FIGURE_NAMES,
    age_figure,
    confusion_figure,
    decade_figure,
    group_figure,
    write_figures,
)
from face_analysis.reports.attributes.report import attribute_markdown


def drawn(count, races, ages):
    """Labels of so many images, some unknown, and predictions that are mostly right or near."""
    rng = np.random.default_rng(0)
    labels = {
        "race": rng.integers(-1, races, count),
        "gender": rng.integers(-1, 2, count),
        "age": rng.integers(-1, ages, count),
    }
    predictions = {
        "race": np.where(rng.random(count) < 0.6, np.maximum(labels["race"], 0), 4),
        "gender": np.where(rng.random(count) < 0.8, np.maximum(labels["gender"], 0), 0),
        "age": np.clip(labels["age"] + rng.normal(0, 8, count), 0, 100),
    }
    return labels, predictions


@pytest.fixture(scope="module")
def measured():
    labels, predictions = drawn(300, races=5, ages=101)
    return evaluate(labels, predictions), labels, predictions


def test_a_report_is_json_markdown_and_figures_that_open(measured, tmp_path):
    report, labels, predictions = measured
    written = attribute_report.write_report(report, labels, predictions, tmp_path / "new" / "report")
    folder = tmp_path / "new" / "report"
    assert {path.name for path in written} == {"metrics.json", "metrics.md", "report.html", *FIGURE_NAMES}
    assert set(written) == set(folder.iterdir())
    assert json.loads((folder / "metrics.json").read_text()) == report.to_dict()
    text = (folder / "metrics.md").read_text()
    assert text.startswith(attribute_markdown(report))
    for name in FIGURE_NAMES:
        assert f"({name})" in text
        pixels = matplotlib.image.imread(folder / name)
        assert np.unique(pixels[..., 2]).size > 10


def test_a_failure_on_the_way_leaves_the_earlier_report_and_nothing_else(measured, tmp_path, monkeypatch):
    (tmp_path / "metrics.json").write_text("before")
    monkeypatch.setattr(attribute_report, "attribute_markdown", _disk_full)
    with pytest.raises(WriteError, match="No space left"):
        attribute_report.write_report(*measured, tmp_path)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("metrics.json", "before")]


def _disk_full(report):
    raise OSError(28, "No space left on device")


def test_figures_of_an_earlier_report_do_not_stay_beside_a_new_one(measured, tmp_path):
    (tmp_path / "age_scatter.png").write_text("stale")
    (tmp_path / "mine.png").write_text("not of the report")
    labels, predictions = {"gender": measured[1]["gender"]}, {"gender": measured[2]["gender"]}
    attribute_report.write_report(evaluate(labels, predictions), labels, predictions, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "metrics.json",
        "metrics.md",
        "report.html",
        "gender_confusion.png",
        "gender_by_group.png",
        "mine.png",
    }


def test_a_folder_that_cannot_be_made_is_a_write_error(measured, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError):
        attribute_report.write_report(*measured, tmp_path / "file" / "report")


def test_an_attribute_without_known_labels_has_no_figure(tmp_path):
    labels, predictions = {"age": np.full(3, -1)}, {"age": np.full(3, 30.0)}
    assert write_figures(evaluate(labels, predictions), labels, predictions, tmp_path) == []


@pytest.mark.parametrize("age", [0, 100])
def test_a_single_image_predicted_exactly_can_be_drawn(tmp_path, age):
    labels = {"race": np.array([1]), "gender": np.array([-1]), "age": np.array([age])}
    predictions = {"race": np.array([2]), "age": np.array([float(age)])}
    written = write_figures(evaluate(labels, predictions), labels, predictions, tmp_path)
    assert len(written) == 5


def test_confusion_figure_writes_the_share_and_the_count_of_every_cell(measured):
    metrics = measured[0].attributes["race"].overall
    axes = confusion_figure(metrics).axes[0]
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    for row, counts in enumerate(metrics.confusion.tolist()):
        for column, count in enumerate(counts):
            assert cells[column, row] == f"{100 * count / sum(counts):.1f}%\n{count}"
    assert axes.get_title().endswith(f"n = {metrics.count}")


def test_group_figure_puts_dots_and_bars_where_the_estimates_are(measured):
    part = measured[0].attributes["age"]
    figure = group_figure(part)
    for axes, groups in zip(figure.axes, part.groups.values(), strict=True):
        dots, _, (bars,) = axes.containers[0]
        estimates = [measures["mae"] for measures in groups.values()]
        assert dots.get_xdata() == pytest.approx([estimate.value for estimate in estimates])
        ends = [[segment[0][0], segment[1][0]] for segment in bars.get_segments()]
        np.testing.assert_allclose(ends, [[estimate.low, estimate.high] for estimate in estimates])
        names = [label.get_text() for label in axes.get_yticklabels()]
        assert names == [f"{name} (n = {measures['mae'].count})" for name, measures in groups.items()]


def test_decade_figure_shows_every_decade_with_its_count(measured):
    metrics = measured[0].attributes["age"].overall
    (axes,) = decade_figure(metrics).axes
    shown = [label.get_text().split("\n") for label in axes.get_xticklabels()]
    assert shown == [[name, "n =", str(found.count)] for name, found in metrics.mae_by_decade.items()]


def test_age_figure_counts_every_known_image_once(measured):
    _, labels, predictions = measured
    figure = age_figure(labels["age"], predictions["age"])
    cells = figure.axes[0].collections[0].get_array()
    assert cells.sum() == (labels["age"] >= 0).sum()
    row = int(np.flatnonzero(labels["age"] == 50)[0])
    told = int(np.floor(predictions["age"][row] + 0.5))
    assert cells[told, 50] >= 1


@pytest.mark.parametrize("name", ["race", "gender", "age"])
def test_no_two_texts_of_a_figure_overlap(measured, name):
    report, labels, predictions = measured
    part = report.attributes[name]
    figures = [group_figure(part)]
    if name == "age":
        figures += [decade_figure(part.overall), age_figure(labels["age"], predictions["age"])]
    else:
        figures.append(confusion_figure(part.overall))
    for figure in figures:
        figure.draw_without_rendering()
        boxes = [
            (text.get_text(), text.get_window_extent())
            for text in figure.findobj(matplotlib.text.Text)
            if text.get_text() and text.get_visible()
        ]
        for index, (first, box) in enumerate(boxes):
            for second, other in boxes[index + 1 :]:
                assert not box.overlaps(other), (first, second)


def test_importing_the_reports_does_not_import_matplotlib():
    code = "import sys, face_analysis.reports.attributes.report; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


FIGURE = re.compile(r"(-?[\d.]+) \[(-?[\d.]+), (-?[\d.]+)\] \(n = (\d+)\)\Z")


@pytest.fixture(scope="module")
def report():
    """Without a label of the last race and of the highest ages."""
    labels, predictions = drawn(500, races=4, ages=80)
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
