from __future__ import annotations

import json
from pathlib import Path

import torch

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


def test_a_wrong_action_tells_the_right_ones(run: Run) -> None:
    status, out, err = run("models fly")
    assert (status, out) == (2, "")
    assert "list|show|path|import|verify" in err
