from __future__ import annotations

import csv
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from face_analysis.models.weights import load_recognition
from tests.cli.conftest import Run, chips_of
from tests.datasets.ijb_files import write_people


@pytest.mark.faces
def test_a_model_is_verified_on_sets_by_their_names(run: Run, faces_data: Path, tmp_path: Path) -> None:
    lines = (faces_data / "lfw" / "pairs.txt").read_text().splitlines()
    some = [
        line for fold in range(10) for line in (*lines[1 + 600 * fold :][:6], *lines[301 + 600 * fold :][:6])
    ]
    (tmp_path / "pairs.txt").write_text("\n".join(["10\t6", *some]) + "\n")
    photos = f"-s {faces_data}/lfw/images --protocol lfw --pairs {tmp_path}/pairs.txt"
    assert run(f"pairs build {photos} -d {tmp_path}/sets")[0] == 0
    status, out, _ = run(f"evaluate --verification lfw -s {tmp_path}/sets -d {tmp_path}/out")
    assert status == 0
    assert "| lfw | " in out
    found = json.loads((tmp_path / "out" / "verification.json").read_text())["lfw"]
    assert found["pairs"] == {"mated": 60, "non_mated": 60}
    assert found["accuracy"] >= 0.97
    assert found["accuracy"] == pytest.approx(np.mean(found["fold_accuracies"]))
    assert [name for name, rates in found["tar_at_far"].items() if rates] == []
    with (tmp_path / "out" / "curves.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["set"] for row in rows} == {"lfw"}
    for name in ("verification.md", "roc.png", "det.png", "config.yaml"):
        assert (tmp_path / "out" / name).stat().st_size > 100


def test_a_model_of_recognition_gives_the_cosines_of_its_network(
    run: Run, patterns: Path, recognition_model: Path, tmp_path: Path
) -> None:
    files = [path.read_bytes() for path in sorted((patterns.parent / "patterns").iterdir())][:40]
    same = [bool(row % 3) for row in range(22)]
    files += [files[0], b"no image", b"no image", files[1]]
    (tmp_path / "some.bin").write_bytes(pickle.dumps((files, same), 2))
    words = f"evaluate --verification some -s {tmp_path} -d {tmp_path}/out -m {recognition_model}"
    status, out, err = run(words)
    assert (status, "some: 100%" in err) == (1, True)
    assert "| 13 + 7 (2 left out) | " in out
    network, images = load_recognition(recognition_model).network, chips_of(patterns, 40)
    with torch.inference_mode():
        sums = network(images) + network(images.flip(3))
    expected = torch.nn.functional.cosine_similarity(sums[0::2], sums[1::2]).sort().values
    with (tmp_path / "out" / "curves.csv").open(newline="") as file:
        found = [float(row["threshold"]) for row in csv.DictReader(file)][:-1]
    np.testing.assert_allclose(found, expected.numpy(), atol=0.01)  # bfloat16 where that is fast


def test_the_rates_of_a_set_are_told_at_the_threshold_of_a_card(
    run: Run, patterns: Path, recognition_model: Path, tmp_path: Path
) -> None:
    files = [path.read_bytes() for path in sorted((patterns.parent / "patterns").iterdir())][:60]
    same = [bool(row % 2) for row in range(30)]
    (tmp_path / "some.bin").write_bytes(pickle.dumps((files, same), 2))
    words = f"evaluate --verification some -s {tmp_path} -m {recognition_model} -d {tmp_path}/out"
    assert run(words)[0] == 0
    with (tmp_path / "out" / "curves.csv").open(newline="") as file:
        thresholds = [float(row["threshold"]) for row in csv.DictReader(file)]
    threshold = (thresholds[9] + thresholds[10]) / 2  # of 30 different scores 10 are below
    card = tmp_path / "threshold.json"
    card.write_text(json.dumps({"threshold": threshold}))
    status, out, _ = run(f"{words} --card {card} --overwrite")
    assert (status, f"## At the threshold {threshold:.4f}" in out) == (0, True)
    told = json.loads((tmp_path / "out" / "verification.json").read_text())["some"]["at_threshold"]
    assert len(thresholds) == 31
    assert 15 * (told["fmr"]["value"] + 1 - told["fnmr"]["value"]) == pytest.approx(20)
    assert (told["fmr"]["count"], told["fnmr"]["count"], told["threshold"]) == (15, 15, threshold)
    assert run(f"evaluate -d {tmp_path}/out -p a.csv -l b.txt --card {card}")[0] == 2


def test_a_folder_of_ijb_is_known_by_its_layout_and_reported_without_folds(
    run: Run, patterns: Path, recognition_model: Path, tmp_path: Path
) -> None:
    folder = write_people(tmp_path / "IJBC", patterns)
    (folder / "loose_crop" / "000007.jpg").write_bytes(b"no image")
    words = f"evaluate --verification IJBC -s {tmp_path} -d {tmp_path}/out -m {recognition_model} -b 16"
    status, out, err = run(words)
    assert status == 1
    assert "1 images could not be used" in err
    assert "| ijbc | - (no folds) | " in out
    assert "1e-01" in out
    assert out.count("too few pairs") == 5
    found = json.loads((tmp_path / "out" / "verification.json").read_text())["ijbc"]
    assert found["pairs"] == {"mated": 36, "non_mated": 240}
    assert (found["images"], found["pairs_left_out"]) == (60, 0)
    assert (found["accuracy"], found["accuracy_reason"]) == (None, "no folds")
    assert found["tar_at_far"]["1e-01"]["far"] <= 0.1
    with (tmp_path / "out" / "errors.csv").open(newline="") as file:
        assert [row["path"] for row in csv.DictReader(file)] == [f"{folder}/loose_crop/000007.jpg"]
    for name in ("verification.md", "roc.png", "det.png", "config.yaml"):
        assert (tmp_path / "out" / name).stat().st_size > 100


def test_wrong_combinations_and_sets_are_named(run: Run, tmp_path: Path) -> None:
    for words, named in (
        ("", "--predictions"),
        ("-p a.csv", "--labels"),
        ("-p a.csv -l b.txt --verification lfw", "--verification"),
        (f"--verification lfw -s {tmp_path}", "lfw"),
    ):
        status, _, err = run(f"evaluate -d {tmp_path}/out {words}")
        assert (status, named in err) == (2, True), err
    assert not (tmp_path / "out").exists()


def test_sets_of_one_name_in_two_folders_are_both_told_and_one_set_is_not_told_twice(
    run: Run, patterns: Path, recognition_model: Path, tmp_path: Path
) -> None:
    files = [path.read_bytes() for path in sorted((patterns.parent / "patterns").iterdir())][:40]
    for folder, pairs in (("a", 20), ("b", 12)):
        (tmp_path / folder).mkdir()
        same = [bool(row % 2) for row in range(pairs)]
        (tmp_path / folder / "some.bin").write_bytes(pickle.dumps((files[: 2 * pairs], same), 2))
    words = f"evaluate -s {tmp_path} -m {recognition_model} --verification"
    status, out, _ = run(f"{words} a/some b/some -d {tmp_path}/out")
    assert (status, "| a/some | " in out, "| b/some | " in out) == (0, True, True)
    found = json.loads((tmp_path / "out" / "verification.json").read_text())
    assert {name: sum(part["pairs"].values()) for name, part in found.items()} == {"a/some": 20, "b/some": 12}
    status, _, err = run(f"{words} a/some ./a/some -d {tmp_path}/twice")
    assert (status, "given twice" in err) == (2, True)
