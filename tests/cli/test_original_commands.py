"""The attribute commands of the original's README, as written there but for the paths (and one epoch)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from face_analysis.datasets.attributes import OUTPUTS
from face_analysis.models.iresnet import IResNet

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.faces, pytest.mark.slow]


@pytest.fixture(scope="module")
def lists(faces_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `age_train.txt` (12 images) and `age_val.tx` (6) of UTKFace."""
    folder = tmp_path_factory.mktemp("lists")
    for name, source, count in (("age_train.txt", "train.txt", 12), ("age_val.tx", "val.txt", 6)):
        lines = (faces_data / "utkface" / source).read_text().splitlines()
        (folder / name).write_text("\n".join(lines[:: len(lines) // count][:count]) + "\n")
    return folder


def script(words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    name, *rest = words.split()
    return subprocess.run(
        [sys.executable, str(ROOT / name), *rest], cwd=folder, capture_output=True, text=True, check=False
    )


def test_training_from_a_folder_with_lists(faces_data: Path, lists: Path, tmp_path: Path) -> None:
    images = faces_data / "utkface" / "images"
    result = script(
        f"train.py --train_source {images}/ --train_list {lists}/age_train.txt --val_source {images}/ "
        f"--val_list {lists}/age_val.tx -a age --prefix age --multi_gpu --epochs 1",
        tmp_path,
    )
    assert result.returncode == 0, result.stderr
    assert "training: 12 images" in result.stderr
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name.startswith("age_")
    assert (run / "model.safetensors").exists()


def test_training_from_lmdbs_with_a_slash_behind_one_and_a_list_beside_it(
    faces_data: Path, lists: Path, tmp_path: Path
) -> None:
    images = faces_data / "utkface" / "images"
    for name, target in (("age_train.txt", "train_dataset"), ("age_val.tx", "val_dataset")):
        words = f"utils/imagelist2lmdb.py -l {lists}/{name} -s {images} -a age -d {target}.lmdb"
        packed = script(words, tmp_path)
        assert packed.returncode == 0, packed.stderr
    result = script(
        "train.py --train_source ./train_dataset.lmdb --val_source ./val_dataset.lmdb/ "
        f"--val_list {lists}/age_val.tx -a age --prefix age --multi_gpu --epochs 1",
        tmp_path,
    )
    assert result.returncode == 0, result.stderr
    assert "not read, since" in result.stderr


def test_prediction_with_three_original_checkpoints(faces_data: Path, lists: Path, tmp_path: Path) -> None:
    backbone = IResNet(50, "ir_se").state_dict()
    for attribute, outputs in OUTPUTS.items():
        head = torch.nn.Linear(512, outputs)
        torch.save(backbone, tmp_path / f"model_{attribute}.pth")
        named = {f"module.fc1.{name}": tensor for name, tensor in head.state_dict().items()}
        torch.save(named, tmp_path / f"head_{attribute}.pth")
    result = script(
        f"predict.py -s {faces_data}/utkface/images/ -i {lists}/age_train.txt -d {tmp_path}/out/ "
        "-rm ./model_race.pth -gm ./model_gender.pth -am ./model_age.pth",
        tmp_path,
    )
    assert result.returncode == 0, result.stderr
    lines = (tmp_path / "out" / "age_train_predictions.txt").read_text().splitlines()
    listed = [line.rsplit(" ", 3)[0] for line in (lists / "age_train.txt").read_text().splitlines()]
    assert [line.rsplit(" ", 3)[0] for line in lines] == listed
    for line in lines:
        race, gender, age = map(int, line.split()[-3:])
        assert 0 <= race < 5
        assert 0 <= gender < 2
        assert 0 <= age <= 100
