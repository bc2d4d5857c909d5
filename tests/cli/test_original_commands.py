"""The commands of the original's README, as written there but for the paths, on generated pictures.

Training lines end in `-e 1`, since the original's 30 epochs of IR-SE-50 would take a test too long.
"""

from __future__ import annotations

import pickle
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from sklearn.metrics.pairwise import cosine_similarity

from face_analysis.cli.original import main
from face_analysis.datasets.attributes import OUTPUTS
from face_analysis.datasets.lists.image_list import read_image_list
from face_analysis.datasets.lmdb.reader import LmdbReader
from face_analysis.models.iresnet import IResNet
from tests.cli.conftest import chips_of, fit_batch_norms
from tests.images.mask_loops import codes_of, loop_by_weight, picture, png

ROOT = Path(__file__).parents[2]
SMALL = "--depth 18 --width 0.125 -b 6 -w 0"
"""A network that learns in a second, where the command is not about the network."""
RECOGNITION = (
    "python3 train.py --train_source ./ms1m_v2.lmdb --val_source ./path_to_val_datasets/ "
    "--val_list ['lfw', 'cpf_fp', 'agedb_30'] -a recognition --prefix arcface --multi_gpu --head arcface"
)


def shell(words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A command as a shell runs it, which takes quotes and brackets in its own way."""
    words = words.replace("python3 ", f"{shlex.quote(sys.executable)} {shlex.quote(str(ROOT))}/", 1)
    return subprocess.run(
        words, shell=True, cwd=folder, capture_output=True, text=True, check=False, timeout=600
    )


def call(script: str, words: str) -> int:
    """The exit status of a script, run in this process."""
    return main(script, words.split())


@pytest.fixture
def folder(tmp_path: Path, patterns: Path) -> Path:
    """`faces` with 12 pictures, and in `datasets` the lists `age_train.txt` of 8 and `age_val.tx` of 4."""
    (tmp_path / "datasets").mkdir()
    (tmp_path / "faces").symlink_to(patterns.parent / "patterns")
    lines = [line.removeprefix("patterns/") for line in patterns.read_text().splitlines()[:12]]
    (tmp_path / "datasets" / "age_train.txt").write_text("\n".join(lines[:8]) + "\n")
    (tmp_path / "datasets" / "age_val.tx").write_text("\n".join(lines[8:]) + "\n")
    return tmp_path


@pytest.mark.slow
def test_attributes_are_trained_from_a_folder_with_lists(folder: Path) -> None:
    done = shell(
        "python3 train.py --train_source ./faces/ --train_list ./datasets/age_train.txt "
        "--val_source ./faces/ --val_list ./datasets/age_val.tx -a age --prefix age --multi_gpu -e 1",
        folder,
    )
    assert done.returncode == 0, done.stderr
    (run,) = (folder / "runs").iterdir()
    assert run.name.startswith("age_")
    assert (run / "model.safetensors").exists()


@pytest.mark.slow
def test_attributes_are_trained_from_lmdbs_with_a_slash_behind_one_and_a_list_beside_it(folder: Path) -> None:
    for name, target in (("age_train.txt", "train_dataset"), ("age_val.tx", "val_dataset")):
        words = f"-l {folder}/datasets/{name} -s {folder}/faces -a age -d {folder}/{target}.lmdb"
        assert call("imagelist2lmdb.py", words) == 0
    done = shell(
        "python3 train.py --train_source ./train_dataset.lmdb --val_source ./val_dataset.lmdb/ "
        "--val_list ./datasets/age_val.tx -a age --prefix age --multi_gpu -e 1",
        folder,
    )
    assert done.returncode == 0, done.stderr
    assert "not read" in done.stderr
    assert len(list((folder / "runs").iterdir())) == 1


def write_sets(folder: Path, patterns: Path, names: list[str]) -> None:
    folder.mkdir()
    images = [(patterns.parent / name).read_bytes() for name in read_image_list(patterns).images[:24]]
    for name in names:
        (folder / f"{name}.bin").write_bytes(
            pickle.dumps((images, [number % 2 == 0 for number in range(12)]))
        )
    assert call("prepare_test_sets.py", f"-r {folder}") == 0


def test_recognition_is_trained_where_one_of_the_three_sets_is_missing(folder: Path, patterns: Path) -> None:
    people = [f"{name} {row // 4}\n" for row, name in enumerate(read_image_list(patterns).images[:12])]
    (folder / "people.txt").write_text("".join(people))
    words = f"-l {folder}/people.txt -s {patterns.parent} -a recognition -d {folder}/ms1m_v2.lmdb"
    assert call("imagelist2lmdb.py", words) == 0
    write_sets(folder / "path_to_val_datasets", patterns, ["lfw", "cfp_fp"])
    done = shell(f"{RECOGNITION} -e 1 {SMALL}", folder)
    assert done.returncode == 0, done.stderr
    assert "agedb_30" in done.stderr
    assert [name for name in ("lfw", "cfp_fp", "agedb_30") if f"| {name} |" in done.stdout] == [
        "lfw",
        "cfp_fp",
    ]


def test_recognition_without_any_of_its_sets_is_refused_before_the_first_step(
    folder: Path, patterns: Path
) -> None:
    (folder / "people.txt").write_text("000000.jpg 0\n000001.jpg 1\n")
    (folder / "empty").mkdir()
    words = f"-a recognition -ts {folder}/faces -t {folder}/people.txt -vs {folder}/empty -o {folder}/run"
    assert call("train.py", f"{words} {SMALL}") == 2
    assert not (folder / "run" / "metrics.csv").exists()


@pytest.mark.slow
def test_attributes_are_predicted_with_three_original_checkpoints(folder: Path) -> None:
    backbone = IResNet(50, "ir_se").state_dict()
    stem = "2020-05-06-07-08_accuracy:0.9_step:1200"
    for attribute, outputs in OUTPUTS.items():
        (folder / attribute).mkdir()
        torch.save(backbone, folder / attribute / f"model_{stem}.pth")
        head = torch.nn.Linear(512, outputs).state_dict()
        named = {f"module.fc1.{name}": tensor for name, tensor in head.items()}
        torch.save(named, folder / attribute / f"head_{stem}.pth")
    done = shell(
        "python3 predict.py -s ./faces/ -i datasets/age_train.txt -d ./predictions/ "
        f"-rm ./race/model_{stem}.pth -gm ./gender/model_{stem}.pth -am ./age/model_{stem}.pth",
        folder,
    )
    assert done.returncode == 0, done.stderr
    lines = (folder / "predictions" / "age_train_predictions.txt").read_text().splitlines()
    listed = read_image_list(folder / "datasets" / "age_train.txt").images
    for line, name in zip(lines, listed, strict=True):
        path, race, gender, age = line.split(" ")
        assert Path(path) == Path("faces", name)
        assert 0 <= int(race) < 5
        assert 0 <= int(gender) < 2
        assert age.endswith(".0")
        assert 0 <= float(age) <= 100


@pytest.mark.slow
def test_features_are_extracted_and_matched(folder: Path, patterns: Path) -> None:
    network = IResNet(50, "ir_se", dropout=0)
    images = chips_of(patterns, 12)
    fit_batch_norms(network, images)
    torch.save({f"module.{name}": one for name, one in network.state_dict().items()}, folder / "model_x.pth")
    names = read_image_list(patterns).images[:12]
    (folder / "image_list.txt").write_text("".join(f"{Path(name).name}\n" for name in names))
    done = shell(
        "python3 feature_extraction.py -s ./faces -i image_list.txt -d ./features/ -m ./model_x.pth", folder
    )
    assert done.returncode == 0, done.stderr
    files = [folder / "features" / "faces" / f"{Path(name).stem}.npy" for name in names]
    vectors = np.stack([np.load(file) for file in files])
    with torch.inference_mode():
        np.testing.assert_allclose(vectors, network(images).numpy(), atol=1e-3)
    for name, part in (("probe_file.txt", files[:8]), ("optional_gallery_file.txt", files[4:])):
        (folder / name).write_text("".join(f"{file}\n" for file in part))
    done = shell(
        "python3 feature_match.py -p ./probe_file.txt -g ./optional_gallery_file.txt -o ./output "
        "-d MORPH -gr AA",
        folder,
    )
    assert done.returncode == 0, done.stderr
    impostor = np.load(folder / "output" / "AA_impostor.npy")  # every name is a subject of its own
    scores = cosine_similarity(vectors[:8], vectors[4:])
    assert len(impostor) == 8 * 8 - 4
    for probe, gallery, score in impostor:
        assert score == pytest.approx(scores[int(probe), int(gallery)], abs=1.1e-6)


def test_features_lie_under_the_parent_of_the_joined_path_and_never_two_in_one_file(
    tmp_path: Path, patterns: Path, recognition_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("faces/x.jpg", "faces/one/y.jpg", "faces/a/one/y.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((patterns.parent / "patterns" / "000000.jpg").read_bytes())
    monkeypatch.chdir(tmp_path)
    Path("list.txt").write_text("x.jpg\none/y.jpg\n")
    words = f"-i list.txt -m {recognition_model}"
    for source, place in (("faces", "faces/x.npy"), (f"{tmp_path}/faces/one/..", "faces/x.npy")):
        assert call("feature_extraction.py", f"-s {source} -d {tmp_path}/out {words}") == 0
        found = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.npy")}
        assert found == {place, "one/y.npy"}
    Path("list.txt").write_text("one/y.jpg\na/one/y.jpg\n")
    assert call("feature_extraction.py", f"-s faces -d {tmp_path}/both {words}") == 0
    assert len(list(tmp_path.glob("both/one/*.npy"))) == 2


@pytest.mark.parametrize(("source", "joined"), [("./faces/", "./faces/"), ("faces", "faces/"), (None, "")])
def test_prediction_lines_carry_the_path_joined_with_the_source(
    source: str | None, joined: str, folder: Path, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    names = read_image_list(folder / "datasets" / "age_train.txt").images
    listed = [name if source else f"{folder}/faces/{name}" for name in names]
    Path("list.txt").write_text("".join(f"{name} 0 1 2\n" for name in listed))
    words = f"-i list.txt -d out -am {models['age']}"
    assert call("predict.py", words + (f" -s {source}" if source else "")) == 0
    lines = Path("out/list_predictions.txt").read_text().splitlines()
    assert [Path(line.split(" ")[0]) for line in lines] == [Path(f"{joined}{name}") for name in listed]
    assert all(len(line.split(" ")) == 2 for line in lines)


def test_masks_blur_the_pictures_that_are_packed(tmp_path: Path) -> None:
    for name in ("images/a/b.png", "masks/a/b_mask.png"):
        (tmp_path / name).parent.mkdir(parents=True)
    image, codes = picture(112, 112), codes_of(112, 112)
    Pillow.fromarray(image).save(tmp_path / "images/a/b.png")
    (tmp_path / "masks/a/b_mask.png").write_bytes(png(codes))
    (tmp_path / "list.txt").write_text("a/b.png 0 1 30\n")
    words = f"--image_list {tmp_path}/list.txt -s {tmp_path}/images -ms {tmp_path}/masks -a age -d {tmp_path}"
    assert call("imagelist2lmdb.py", words) == 0
    (tmp_path / "b.png").write_bytes(LmdbReader(tmp_path / "list.lmdb").record(0)[0])
    with Pillow.open(tmp_path / "b.png") as packed:
        assert np.abs(loop_by_weight(image, codes, float) - np.asarray(packed)).max() < 1.01


def test_training_by_masks_needs_them_in_every_source(
    folder: Path, patterns: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = read_image_list(folder / "datasets" / "age_train.txt").images
    (folder / "masks").mkdir()
    for name in listed:
        (folder / "masks" / f"{Path(name).stem}_mask.png").write_bytes(png(codes_of(112, 112)))
    pack = f"-l {folder}/datasets/age_train.txt -s {folder}/faces -a age"
    assert call("imagelist2lmdb.py", f"{pack} -d {folder}/plain.lmdb") == 0
    assert call("imagelist2lmdb.py", f"{pack} -ms {folder}/masks --keep_masks -d {folder}/kept.lmdb") == 0
    words = f"-a age --use_mask -e 1 {SMALL} --validations 1 -ts {folder}/kept.lmdb"
    assert call("train.py", f"{words} -vs {folder}/kept.lmdb -o {folder}/run") == 0
    assert (folder / "run" / "model.safetensors").exists()
    assert call("train.py", f"{words} -vs {folder}/plain.lmdb -o {folder}/other") == 2
    assert "no mask is stored with it" in capsys.readouterr().err
    assert not (folder / "other" / "metrics.csv").exists()


def test_a_folder_of_people_becomes_a_list(tmp_path: Path, patterns: Path) -> None:
    for row, name in enumerate(("zoe/1.jpg", "adam/2.jpg", "zoe/0.jpg", "mia q/3.jpg", "stray.jpg")):
        (tmp_path / "people" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "people" / name).write_bytes(
            (patterns.parent / "patterns" / f"{row:06d}.jpg").read_bytes()
        )
    assert call("folder_to_list.py", f"-f {tmp_path}/people -o {tmp_path}/list.txt") == 0
    assert (tmp_path / "list.txt").read_text() == "adam/2.jpg 0\nmia q/3.jpg 1\nzoe/0.jpg 2\nzoe/1.jpg 2\n"


def test_a_list_is_split_into_two_beside_it_always_alike(tmp_path: Path, patterns: Path) -> None:
    (tmp_path / "all.txt").write_text(patterns.read_text())
    whole = patterns.read_text().splitlines()
    for words, share in (("", 0.1), ("-p 0.25", 0.25)):
        assert call("train_test_split.py", f"-i {tmp_path}/all.txt {words}") == 0
        train, val = ((tmp_path / f"all_{name}.txt").read_text().splitlines() for name in ("train", "val"))
        assert len(val) == round(share * len(whole))
        assert [line for line in whole if line not in val] == train
        assert call("train_test_split.py", f"-i {tmp_path}/all.txt {words}") == 0
        assert (tmp_path / "all_val.txt").read_text().splitlines() == val


def test_labels_of_a_list_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "l.txt").write_text("a.jpg 0 1 30\nb.jpg 2 1 31\nc.jpg -1 0 30\nd.jpg 2 0 101\n")
    for attribute, rows in (
        ("race", ["| -1 | unknown | 1 |", "| 0 | caucasian | 1 |", "| 2 | asian | 2 |"]),
        ("Gender", ["| 0 | female | 2 |", "| 1 | male | 2 |"]),
        ("age", ["| 30 | years | 2 |", "| 31 | years | 1 |", "| 101 | unknown | 1 |"]),
    ):
        assert call("count_classes_train_test.py", f"-i {tmp_path}/l.txt -a {attribute}") == 0
        printed = capsys.readouterr().out.splitlines()
        assert printed[-len(rows) :] == rows
    (tmp_path / "people.txt").write_text("a.jpg 0\n")
    assert call("count_classes_train_test.py", f"-i {tmp_path}/people.txt -a age") == 2


def test_the_scripts_write_over_their_own_results(
    folder: Path, models: dict[str, Path], recognition_model: Path, patterns: Path
) -> None:
    listed = f"{folder}/datasets/age_train.txt"
    (folder / "features.txt").write_text(f"{folder}/features/faces/000000.npy\n")
    write_sets(folder / "sets", patterns, ["lfw"])
    (folder / "people" / "one").mkdir(parents=True)
    (folder / "people" / "one" / "a.jpg").write_bytes((folder / "faces" / "000000.jpg").read_bytes())
    commands = [
        ("imagelist2lmdb.py", f"-l {listed} -s {folder}/faces -a age -d {folder}/p.lmdb"),
        ("folder2lmdb.py", f"-s {folder}/people -d {folder} -n people"),
        ("prepare_test_sets.py", f"-r {folder}/sets"),
        ("predict.py", f"-s {folder}/faces -i {listed} -d {folder}/out -am {models['age']}"),
        (
            "feature_extraction.py",
            f"-s {folder}/faces -i {listed} -d {folder}/features -m {recognition_model}",
        ),
        ("feature_match.py", f"-p {folder}/features.txt -o {folder}/out -d x -gr A"),
        ("folder_to_list.py", f"-f {folder}/people -o {folder}/people.txt"),
        ("train_test_split.py", f"-i {listed} -p 0.5"),
    ]
    for script, words in commands:
        assert [call(script, words), call(script, words)] == [0, 0], script
