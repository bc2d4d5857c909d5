from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from face_analysis.models.iresnet import IResNet
from tests.cli.conftest import Run


def test_an_original_pair_is_imported_with_a_card_that_says_where_it_is_from(
    run: Run, tmp_path: Path
) -> None:
    backbone, head = IResNet(50, "ir"), torch.nn.Linear(512, 2)
    torch.save(backbone.state_dict(), tmp_path / "model_x.pth")
    torch.save({f"fc1.{name}": tensor for name, tensor in head.state_dict().items()}, tmp_path / "head_x.pth")
    words = f"models import -m {tmp_path}/model_x.pth -d {tmp_path}/gender.safetensors"
    status, _, err = run(words)
    assert status == 2
    assert "depth 50 and net_mode ir: give these" in err
    status, out, _ = run(f"{words} -n ir")
    assert (status, out.strip()) == (0, f"{tmp_path}/gender.safetensors")
    status, out, _ = run(f"models show {tmp_path}/gender.safetensors")
    card = json.loads(out)
    assert status == 0
    assert card["tasks"] == ["gender"]
    assert card["labels"] == {"gender": ["female", "male"]}
    assert "model_x.pth" in card["training_data"]


@pytest.mark.parametrize("head", [True, False])
def test_an_original_of_recognition_is_imported_with_or_without_its_head(
    run: Run, tmp_path: Path, head: bool
) -> None:
    backbone = IResNet(50, "ir")
    torch.save(
        {f"module.{k}": tensor for k, tensor in backbone.state_dict().items()}, tmp_path / "model_x.pth"
    )
    words = f"models import -m {tmp_path}/model_x.pth -d {tmp_path}/x.safetensors -n ir"
    if head:
        torch.save({"module.W": torch.zeros(10, 512)}, tmp_path / "head_x.pth")
    else:
        status, _, err = run(words)
        assert (status, "only --attribute recognition" in err, "head_x.pth" in err) == (2, True, True)
        words += " -a recognition"
    assert run(words) == (0, f"{tmp_path}/x.safetensors\n", "")
    tensors = load_file(tmp_path / "x.safetensors")
    assert tensors.keys() == backbone.state_dict().keys()
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in backbone.state_dict().items())
    card = json.loads(run(f"models show {tmp_path}/x.safetensors")[1])
    assert (card["tasks"], card["labels"], card["name"]) == (["recognition"], {}, "model_x")
    assert "model_x.pth" in card["training_data"]
    assert run(f"models verify {tmp_path}/x.safetensors") == (0, f"ok        {tmp_path}/x.safetensors\n", "")
    status, _, err = run(f"predict {tmp_path} -m {tmp_path}/x.safetensors")
    assert (status, "give it to `extract`" in err) == (2, True)


def test_a_head_of_recognition_is_not_taken_for_an_attribute(run: Run, tmp_path: Path) -> None:
    torch.save({"W": torch.zeros(10, 512)}, tmp_path / "head_x.pth")
    status, _, err = run(f"models import -m {tmp_path}/model_x.pth -d {tmp_path}/x.safetensors -a race")
    assert (status, "head for recognition" in err) == (2, True)
    assert not (tmp_path / "x.safetensors").exists()


def test_a_wrong_action_tells_the_right_ones(run: Run) -> None:
    status, out, err = run("models fly")
    assert (status, out) == (2, "")
    assert "list|show|path|import|verify" in err
