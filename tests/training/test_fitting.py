from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from face_analysis.errors import UsageError
from face_analysis.machine import MachineOptions
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.backbone import build_backbone
from face_analysis.training import fitting
from face_analysis.training.fitting import estimate_memory, fit_to_memory
from face_analysis.training.options import TrainOptions
from face_analysis.training.pass_memory import TensorMemory, peak
from face_analysis.training.run import train
from tests.training.runs import losses

MIB, GIB = 2**20, 2**30
SMALL = {"attribute": ("race",), "depth": 18, "width": 0.125, "precision": "32-true", "workers": 0}


def made(**changes: object) -> tuple[TrainOptions, AttributeNetwork]:
    options = TrainOptions(**{**SMALL, **changes})  # type: ignore[arg-type]
    return options, AttributeNetwork(options.backbone_config, ("race",))


def test_tensors_are_counted_while_they_live_and_views_once() -> None:
    with TensorMemory() as memory:
        one = torch.zeros(2**18)  # a MiB
        view = one.view(2, -1).t()
        two = view + 1
        assert memory.now == 2 * MIB
        del two
        assert memory.now == 1 * MIB
        three = torch.ones(3 * 2**18)
        three.add_(1)
    assert memory.peak == 4 * MIB
    assert one.numel() + three.numel() == 2**20


def test_what_a_pass_takes_is_what_its_layers_keep_for_the_gradients() -> None:
    """A chain of three ReLUs keeps three results; its backward pass has two gradients at once."""
    images = torch.randn(4, 2**16, requires_grad=True)
    with TensorMemory() as memory:
        nn.Sequential(nn.ReLU(), nn.ReLU(), nn.ReLU())(images).sum().backward()
    assert 4 * MIB <= memory.peak <= 6 * MIB


@pytest.mark.usefixtures("full_size")
def test_an_image_takes_the_same_whatever_their_number() -> None:
    options, _ = made()
    backbone = build_backbone(options.backbone_config).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    cpu = torch.device("cpu")
    few, more, most = (peak(backbone, options, count, cpu) for count in (4, 8, 16))
    assert (most - more) / 8 == pytest.approx((more - few) / 4, rel=0.05)


@pytest.mark.usefixtures("full_size")
def test_computing_units_again_takes_less_of_an_image_and_an_average_more_in_all() -> None:
    plain = estimate_memory(*made())
    assert estimate_memory(*made(checkpointing=True)).an_image < 0.9 * plain.an_image
    assert estimate_memory(*made(precision="bf16-mixed")).an_image < 0.8 * plain.an_image
    assert estimate_memory(*made(freeze=8)).an_image < 0.5 * plain.an_image
    assert estimate_memory(*made(ema=0.9)).state > plain.state
    assert estimate_memory(*made(optimizer="adamw")).state > plain.state
    assert estimate_memory(*made(workers=4)).loading > plain.loading


def test_classes_take_their_centres_momenta_gradient_and_copies() -> None:
    options, _ = made(attribute=("recognition",), embedding_size=128, batch_size=64)
    network = build_backbone(options.backbone_config)
    a_centre = 128 * 4
    assert estimate_memory(options, network, 10_000).classes == 10_000 * a_centre * (2 + 1 + 4)


@pytest.mark.parametrize(
    ("images", "parts"), [(384, 1), (200, 2), (130, 3), (100, 4), (64, 6), (3, 128)], ids=str
)
@pytest.mark.usefixtures("full_size")
def test_a_step_has_the_fewest_parts_that_fit(
    images: int, parts: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    options, network = made(batch_size=384)
    room = estimate_memory(options, network).more(images)
    monkeypatch.setattr(fitting, "free_memory", lambda: int(room / 0.9) + MIB)
    with caplog.at_level(logging.INFO):
        assert fit_to_memory(options, network).accumulate == parts
    said = caplog.text
    assert ("batch norm sees" in said) == (parts > 1)
    assert f"{384 // parts} images in the network" in said


def test_parts_hold_whole_people(monkeypatch: pytest.MonkeyPatch) -> None:
    options, _ = made(attribute=("recognition",), batch_size=48, images_per_person=8)
    network = build_backbone(options.backbone_config)
    monkeypatch.setattr(
        fitting, "free_memory", lambda: int(estimate_memory(options, network, 10).more(14) / 0.9)
    )
    assert fit_to_memory(options, network, 10).accumulate == 6


@pytest.mark.usefixtures("full_size")
def test_what_cannot_fit_is_refused_with_the_numbers_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    options, network = made(batch_size=8)
    monkeypatch.setattr(fitting, "free_memory", lambda: 10 * MIB)
    with pytest.raises(UsageError, match=r"2 images in the network.* 0\.01 GiB are free.*--checkpointing"):
        fit_to_memory(options, network)


def test_classes_that_cannot_fit_are_refused_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    options, _ = made(attribute=("recognition",), batch_size=8)
    network = build_backbone(options.backbone_config)
    monkeypatch.setattr(fitting, "free_memory", lambda: 4 * GIB)
    with pytest.raises(UsageError, match=r"classes 1[0-9]{4}\.\d\d.*--sample_rate"):
        fit_to_memory(options, network, 1_000_000_000)


@pytest.mark.usefixtures("full_size")
def test_parts_that_are_told_and_do_not_fit_name_those_that_do(monkeypatch: pytest.MonkeyPatch) -> None:
    options, network = made(batch_size=384, accumulate=2)
    monkeypatch.setattr(
        fitting, "free_memory", lambda: int(estimate_memory(options, network).more(100) / 0.9)
    )
    with pytest.raises(UsageError, match=r"192 images in the network at once.*give --accumulate 4, or leave"):
        fit_to_memory(options, network)


@pytest.mark.usefixtures("full_size")
def test_the_estimate_draws_nothing_and_changes_no_weight() -> None:
    options, network = made()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    estimate_memory(options, network)
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_run_with_little_memory_learns_as_one_whose_parts_were_told(
    options: Callable[..., TrainOptions], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(options(accumulate=3, output=tmp_path / "told", epochs=1))
    network = made()[1]
    room = estimate_memory(options(), network).more(3)
    monkeypatch.setattr(fitting, "free_memory", lambda: int(room / 0.9))
    train(options(accumulate=0, epochs=1))
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["accumulate"] == 3
    assert losses(tmp_path / "run") == losses(tmp_path / "told")


def test_a_resumed_run_keeps_the_parts_it_began_with(
    options: Callable[..., TrainOptions], tmp_path: Path
) -> None:
    train(options(accumulate=2, epochs=1))
    train(options(accumulate=0, epochs=2, resume=tmp_path / "run"))
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["accumulate"] == 2


def test_machine_options_are_part_of_the_options_of_a_training() -> None:
    assert isinstance(made()[0], MachineOptions)
