from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import beta, kstest

from face_analysis.distributed import rank
from face_analysis.errors import UsageError
from face_analysis.training.augment import mixed, mixing_weight
from face_analysis.training.draws import Draws
from face_analysis.training.options import TrainOptions
from face_analysis.training.run import train
from face_analysis.training.tasks import attributes
from tests.training.processes import together
from tests.training.runs import losses

MakeOptions = Callable[..., TrainOptions]
COUNT = 11


@pytest.mark.parametrize("strength", [0.2, 1.0, 3.0])
def test_shares_are_distributed_as_a_beta(strength: float) -> None:
    shares = [mixing_weight(strength, 1, step) for step in range(2000)]
    assert kstest(shares, beta(strength, strength).cdf).pvalue > 0.01
    assert mixing_weight(strength, 1, 7) == shares[7]


def batch(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, Draws]:
    """Images that tell their row, its labels and draws."""
    images = rows.double().view(-1, 1, 1, 1).expand(-1, 3, 2, 2)
    return images, torch.stack([rows, 100 - rows], 1), Draws(5, 3, rows)


def own_part() -> dict[str, Any]:
    rows = torch.arange(COUNT)[rank() :: 3]
    images, labels = mixed(*batch(rows), 0.75, [4, 4, 3])
    return {"rows": rows, "images": images, "labels": labels}


def test_every_image_is_another_ones_partner_and_brings_its_labels() -> None:
    rows = torch.arange(COUNT)
    images, labels = mixed(*batch(rows), 0.75, [COUNT])
    partners = labels[:, 0]
    assert sorted(partners.tolist()) == rows.tolist()
    assert not (partners == rows).any()
    assert torch.equal(labels[:, 1], 100 - partners)
    assert torch.equal(images[:, 2, 1, 0], 0.75 * rows.double() + 0.25 * partners.double())


def test_partners_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    alone, labels = mixed(*batch(torch.arange(COUNT)), 0.75, [COUNT])
    parts = together(own_part, 3, tmp_path)
    everyone = torch.cat([part["rows"] for part in parts])
    for part in parts:
        assert torch.equal(part["images"], alone[part["rows"]])
        assert torch.equal(part["labels"], labels[everyone])


def test_a_mixed_loss_is_that_of_both_labels_by_their_shares(
    options: MakeOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a share of 1 the losses are those without mixing, at 0 those of the partners' images and labels."""
    train(options(epochs=1))
    monkeypatch.setattr(attributes, "mixing_weight", lambda *_: 1.0)
    train(options(epochs=1, mixup=0.3, output=tmp_path / "own"))
    assert losses(tmp_path / "own") == losses(tmp_path / "run")
    monkeypatch.setattr(attributes, "mixing_weight", lambda *_: 0.0)
    train(options(epochs=1, mixup=0.3, output=tmp_path / "others", dropout=0.0))
    train(options(epochs=1, output=tmp_path / "plain", dropout=0.0))
    assert losses(tmp_path / "others") == pytest.approx(losses(tmp_path / "plain"), rel=1e-4)


def test_recognition_does_not_mix(recognition: MakeOptions) -> None:
    with pytest.raises(UsageError, match="--mixup"):
        train(recognition(mixup=0.2))
