from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from face_analysis.images.decode import decode
from face_analysis.images.detect import YuNet
from face_analysis.inference import pipeline
from face_analysis.models.weights import load_attributes, load_recognition, save_model
from face_analysis.types import Image as Pixels
from face_analysis.zoo.find import find
from tests.cli.conftest import Run
from tests.cli.killed_runs import STOPS, many_photos, stopped_when, tree
from tests.conftest import FACES_OF
from tests.csv_files import rows_of

FOUND = {name: count for name, count in FACES_OF.items() if count}


def test_every_face_of_a_folder_is_found_and_what_is_not_a_row_is_in_the_errors(
    run: Run, models: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    status, _, err = run(f"predict -s {photos} -m {models['joint']} -d {tmp_path}")
    rows = rows_of(tmp_path / f"{photos.name}_predictions.csv")
    assert Counter(row["path"] for row in rows) == FOUND
    assert [int(row["face"]) for row in rows if row["path"] == "both.jpg"] == [0, 1]
    errors = {row["path"]: row["reason"] for row in rows_of(tmp_path / f"{photos.name}_errors.csv")}
    assert errors.keys() == {"empty.png", "sub/broken.jpg"}
    assert errors["empty.png"] == "no face found"
    assert "broken JPEG" in errors["sub/broken.jpg"]
    assert status == 1
    assert f"{photos.name}_errors.csv" in err


def test_boxes_and_landmarks_are_those_of_the_detector_on_the_upright_photo(
    run: Run, models: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    run(f"predict -s {photos} -m {models['joint']} -d {tmp_path}")
    detector = YuNet(find("yunet"))
    for row in rows_of(tmp_path / f"{photos.name}_predictions.csv"):
        faces = detector.detect(decode((photos / row["path"]).read_bytes(), ""))
        face = sorted(faces, key=lambda found: found.box[0])[int(row["face"])]
        box = [float(row[name]) for name in ("x", "y", "width", "height")]
        assert box == pytest.approx(face.box, abs=0.006)
        nose = [float(row["nose_x"]), float(row["nose_y"])]
        assert nose == pytest.approx(face.landmarks[2].tolist(), abs=0.006)


def test_photos_given_as_words_are_described_a_line_a_face(
    run: Run, models: dict[str, Path], photos: Path
) -> None:
    words = f"{photos / 'both.jpg'} {photos / 'sub'} {photos / 'empty.png'}"
    status, out, err = run(f"predict {words} -m {models['joint']}")
    lines = out.splitlines()
    assert status == 1
    assert "broken.jpg" in err
    named = Counter(Path(line.partition(": ")[0]).name for line in lines)
    assert named == {"both.jpg": 2, "astronaut.jpg": 1, "turned.jpg": 1, "empty.png": 1}
    assert next(line for line in lines if "empty.png" in line).endswith("no face found")
    assert all("face at" in line and " years" in line for line in lines if "empty.png" not in line)


def test_a_photo_that_is_not_there_is_named(run: Run, models: dict[str, Path], tmp_path: Path) -> None:
    status, _, err = run(f"predict {tmp_path}/absent.jpg -m {models['joint']}")
    assert (status, "absent.jpg" in err) == (2, True)


@pytest.mark.parametrize("layout", ["jsonl", "parquet"])
def test_other_formats_hold_the_numbers_of_the_csv(
    run: Run, models: dict[str, Path], photos: Path, tmp_path: Path, layout: str
) -> None:
    words = f"predict -s {photos} -m {models['joint']} -d {tmp_path}"
    run(words)
    run(f"{words} --format {layout} --overwrite")
    path = tmp_path / f"{photos.name}_predictions.{layout}"
    if layout == "jsonl":
        found = [json.loads(line) for line in path.read_text().splitlines()]
    else:
        found = pq.read_table(path).to_pylist()
    rows = rows_of(tmp_path / f"{photos.name}_predictions.csv")
    assert [row.keys() for row in found] == [row.keys() for row in rows]
    for ours, row in zip(found, rows, strict=True):
        for name, value in ours.items():
            assert row[name] == value if isinstance(value, str) else float(row[name]) == value


def test_largest_centre_min_size_and_whole_choose_the_faces(
    run: Run, models: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    def counted(options: str) -> Counter[str]:
        run(f"predict -s {photos} -m {models['joint']} -d {tmp_path} --overwrite {options}")
        return Counter(row["path"] for row in rows_of(tmp_path / f"{photos.name}_predictions.csv"))

    assert counted("--faces largest") == dict.fromkeys(FOUND, 1)
    assert counted("--faces centre --whole") == dict.fromkeys(FACES_OF, 1)
    assert counted("--min_size 5000") == {}
    assert counted("--min_size 5000 --whole") == dict.fromkeys(FACES_OF, 1)


def test_turned_pixels_are_found_with_rotations(
    run: Run, models: dict[str, Path], tmp_path: Path, photos: Path
) -> None:
    with Image.open(photos / "hopper.jpg") as photo:
        photo.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.jpg")
    words = f"predict {tmp_path / 'turned.jpg'} -m {models['joint']}"
    assert run(words)[1].strip().endswith("no face found")
    assert "face at" in run(f"{words} --rotations")[1]


def test_annotate_leaves_a_copy_of_each_photo_with_faces(
    run: Run, models: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    run(f"predict -s {photos} -m {models['joint']} -d {tmp_path} --annotate {tmp_path / 'drawn'}")
    drawn = tmp_path / "drawn"
    assert {str(path.relative_to(drawn)) for path in drawn.rglob("*.jpg")} == set(FOUND)
    before = np.asarray(Image.open(photos / "both.jpg"), np.int16)
    after = np.asarray(Image.open(drawn / "both.jpg"), np.int16)
    changed = (np.abs(before - after).max(axis=2) > 60).any(axis=0)
    assert changed[:512].any()
    assert changed[512:].any()


def test_a_photo_is_decoded_once_also_for_its_annotated_copy(
    run: Run, models: dict[str, Path], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: Counter[str] = Counter()

    def counted(data: bytes, name: str) -> Pixels:
        decoded[name] += 1
        return decode(data, name)

    monkeypatch.setattr(pipeline, "decode", counted)
    run(f"predict -s {photos} -m {models['joint']} -d {tmp_path / 'a'} --annotate {tmp_path / 'drawn'}")
    assert decoded == dict.fromkeys([*FACES_OF, "sub/broken.jpg"], 1)
    run(f"predict -s {photos} -m {models['joint']} -d {tmp_path / 'b'}")
    name = f"{photos.name}_predictions.csv"
    assert (tmp_path / "a" / name).read_text() == (tmp_path / "b" / name).read_text()


@pytest.mark.parametrize("command", ["predict", "extract"])
def test_a_run_is_not_resumed_with_other_weights_in_the_file_of_the_model(
    run: Run,
    models: dict[str, Path],
    recognition_model: Path,
    photos: Path,
    tmp_path: Path,
    command: str,
) -> None:
    model = tmp_path / "model.safetensors"
    given = models["joint"] if command == "predict" else recognition_model
    model.write_bytes(given.read_bytes())
    words = f"{command} -s {photos} -m {model} -d {tmp_path / 'out'}"
    status, out, _ = run(words)
    assert run(f"{words} --resume")[:2] == (status, out)
    moved = model.rename(tmp_path / "moved.safetensors")
    assert run(f"{words.replace(str(model), str(moved))} --resume")[:2] == (status, out)
    loaded = load_attributes(given) if command == "predict" else load_recognition(given)
    with torch.no_grad():
        next(loaded.network.parameters()).add_(1)
    save_model(model, loaded.network, loaded.card)
    before = tree(tmp_path / "out")
    status, _, err = run(f"{words} --resume")
    assert (status, "begun with other model" in err) == (2, True)
    assert tree(tmp_path / "out") == before


@pytest.mark.slow
@STOPS
def test_a_predict_that_was_killed_ends_as_one_that_was_not(
    run: Run, models: dict[str, Path], photos: Path, tmp_path: Path, stop: int
) -> None:
    many = many_photos(photos, tmp_path / "many")
    words = f"predict -s {many} -m {models['joint']} -b 20 -d"
    assert run(f"{words} {tmp_path / 'whole'}")[0] == 1
    journal = tmp_path / "killed" / ".many_predictions.csv.journal"
    stopped_when(f"{words} {tmp_path / 'killed'}", journal, 1000, stop)
    assert not (tmp_path / "killed" / "many_predictions.csv").exists()
    assert run(f"{words} {tmp_path / 'killed'} --resume")[0] == 1
    whole, killed = tree(tmp_path / "whole"), tree(tmp_path / "killed")
    assert killed.keys() == whole.keys()
    for name in ("many_predictions.csv", "many_errors.csv"):
        assert killed[name] == whole[name]


@pytest.mark.slow
@STOPS
def test_an_align_that_was_killed_ends_as_one_that_was_not(
    run: Run, photos: Path, tmp_path: Path, stop: int
) -> None:
    many = many_photos(photos, tmp_path / "many")
    assert run(f"align {many} {tmp_path / 'whole'}")[0] == 1
    stopped_when(
        f"align {many} {tmp_path / 'killed'}", tmp_path / "killed" / ".chips.csv.journal", 1000, stop
    )
    assert not (tmp_path / "killed" / "chips.csv").exists()
    assert run(f"align {many} {tmp_path / 'killed'} --resume")[0] == 1
    whole, killed = tree(tmp_path / "whole"), tree(tmp_path / "killed")
    whole.pop("config.yaml")
    killed.pop("config.yaml")
    assert killed == whole


def test_a_run_is_not_resumed_with_other_options(
    run: Run, models: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    words = f"predict -s {photos} -m {models['joint']} -d {tmp_path} --resume"
    (tmp_path / f".{photos.name}_predictions.csv.journal").write_text('{"photos": "of another folder"}\n')
    status, _, err = run(words)
    assert status == 2
    assert "begun with other photos" in err
