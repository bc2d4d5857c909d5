from __future__ import annotations

import json
from collections import defaultdict

import numpy as np
import pytest

from face_analysis.datasets.attributes import AGE_BANDS, GENDERS, RACES
from face_analysis.errors import EmptyDataError, UsageError
from face_analysis.evaluation.attributes_by_group import evaluate


def people(count=600, seed=0):
    rng = np.random.default_rng(seed)
    labels = {
        "race": rng.integers(-1, 5, count),
        "gender": rng.integers(-1, 2, count),
        "age": rng.integers(-1, 101, count),
    }
    predictions = {
        "race": np.where(rng.random(count) < 0.6, np.maximum(labels["race"], 0), rng.integers(0, 5, count)),
        "gender": np.where(rng.random(count) < 0.8, np.maximum(labels["gender"], 0), 0),
        "age": np.clip(labels["age"] + rng.normal(0, 8, count), 0, 100),
    }
    return labels, predictions


def group_of(grouping, label):
    if grouping == "age":
        if not 0 <= label <= 100:
            return "unknown"
        return "70+" if label >= 70 else f"{label // 10}0-{label // 10}9".replace("00-09", "0-9")
    names = {"race": RACES, "gender": GENDERS}[grouping]
    return names[label] if 0 <= label < len(names) else "unknown"


def score(attribute, pairs):
    if attribute == "age":
        errors = [abs(true - told) for true, told in pairs]
        return {"mae": np.mean(errors), "within_5": np.mean([error <= 5 for error in errors])}
    hits = defaultdict(list)
    for true, told in pairs:
        hits[true].append(true == told)
    return {
        "accuracy": np.mean([true == told for true, told in pairs]),
        "balanced_accuracy": np.mean([np.mean(row) for row in hits.values()]),
    }


@pytest.mark.parametrize("attribute", ["race", "gender", "age"])
@pytest.mark.parametrize("grouping", ["race", "gender", "age"])
def test_every_group_agrees_with_a_plain_loop(attribute, grouping):
    labels, predictions = people()
    top = {"race": 4, "gender": 1, "age": 100}[attribute]
    pairs = defaultdict(list)
    for true, told, group in zip(
        labels[attribute].tolist(), predictions[attribute].tolist(), labels[grouping].tolist(), strict=True
    ):
        if 0 <= true <= top:
            pairs[group_of(grouping, group)].append((true, told))
    groups = evaluate(labels, predictions).attributes[attribute].groups[grouping]
    assert set(groups) == set(pairs)
    for name, members in pairs.items():
        expected = score(attribute, members)
        assert {key: found.value for key, found in groups[name].items()} == pytest.approx(expected)
        assert {found.count for found in groups[name].values()} == {len(members)}
        assert all(found.low <= found.value <= found.high for found in groups[name].values())


def test_group_counts_add_up_to_the_overall_count():
    labels, predictions = people()
    for part in evaluate(labels, predictions).attributes.values():
        key = next(iter(part.overall.measures))
        for groups in part.groups.values():
            assert sum(measures[key].count for measures in groups.values()) == part.overall.count


def test_groups_come_in_the_order_of_codes_with_unknown_last_and_empty_ones_absent():
    labels = {"gender": np.array([1, 0, 1, 0, 1]), "race": np.array([3, -1, 0, 3, 9])}
    report = evaluate(labels, {"gender": np.array([1, 0, 0, 0, 1])})
    groups = report.attributes["gender"].groups
    assert list(groups["race"]) == ["caucasian", "indian", "unknown"]
    assert groups["race"]["unknown"]["accuracy"].count == 2
    assert "age" not in groups


@pytest.mark.parametrize(
    ("age", "band"), [(0, "0-9"), (9, "0-9"), (10, "10-19"), (69, "60-69"), (70, "70+"), (100, "70+")]
)
def test_age_bands_hold_their_ends(age, band):
    report = evaluate({"age": np.array([age])}, {"age": np.array([50.0])})
    assert list(report.attributes["age"].groups["age"]) == [band]
    assert band in AGE_BANDS


def test_all_labels_unknown_gives_a_report_without_figures():
    labels = {"race": np.full(3, -1), "gender": np.array([0, 1, 1])}
    report = evaluate(labels, {"race": np.array([0, 1, 2])})
    part = report.attributes["race"]
    assert (part.overall.count, part.overall.unknown) == (0, 3)
    assert part.groups == {"race": {}, "gender": {}}


def test_the_count_decoding_of_age_is_measured_beside_the_expected_age():
    labels = {"age": np.array([20, 30, 40])}
    report = evaluate(labels, {"age": np.array([20.5, 30.5, 40.5])}, age_count=np.array([22, 32, 42]))
    assert report.attributes["age"].overall.measures["mae"].value == 0.5
    assert report.age_count.measures["mae"].value == 2


def test_only_attributes_with_labels_and_predictions_are_measured():
    labels, predictions = people()
    del labels["age"], predictions["race"]
    assert set(evaluate(labels, predictions).attributes) == {"gender"}
    with pytest.raises(EmptyDataError, match="nothing to evaluate"):
        evaluate({"race": labels["race"]}, {"age": predictions["age"]})


def test_arrays_of_different_lengths_are_refused():
    with pytest.raises(UsageError, match=r"\[2, 3\]"):
        evaluate({"race": np.array([0, 1, 2]), "age": np.array([3, 4])}, {"race": np.array([0, 1, 2])})


def test_json_holds_every_figure_and_no_nan():
    labels, predictions = people(80)
    report = evaluate(labels, predictions, age_count=predictions["age"].astype(np.int64), missing=4)
    data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert (data["images"], data["missing"]) == (80, 4)
    found = report.attributes["race"].groups["gender"]["male"]["accuracy"]
    assert data["attributes"]["race"]["groups"]["gender"]["male"]["accuracy"] == {
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "count": found.count,
    }
    assert data["attributes"]["race"]["overall"]["confusion"] == (
        report.attributes["race"].overall.confusion.tolist()
    )


def test_what_no_image_tells_is_null_with_a_reason_in_json():
    labels = {"race": np.array([1, 1, -1]), "gender": np.array([-1, 7, -1]), "age": np.array([31, 35, 200])}
    predictions = {"race": np.array([1, 1, 1]), "gender": np.array([0, 1, 1]), "age": np.full(3, 30.0)}
    found = json.loads(json.dumps(evaluate(labels, predictions).to_dict(), allow_nan=False))["attributes"]
    race, gender, age = (found[name]["overall"] for name in ("race", "gender", "age"))
    assert (race["recall"]["asian"], race["recall"]["asian_reason"]) == (None, "no image of it")
    assert race["recall"]["african-american"]["value"] == race["measures"]["accuracy"]["value"] == 1
    assert (gender["count"], gender["unknown"]) == (0, 3)
    assert gender["measures"]["accuracy"] is None
    assert gender["measures"]["accuracy_reason"] == "no image has a known label"
    assert (age["unknown"], age["mae_by_decade"]["30-39"]["value"]) == (1, 3)
    assert age["mae_by_decade"]["40-49"] is None
