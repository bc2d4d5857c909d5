from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from face_analysis.cli.main import main
from face_analysis.datasets.attributes import ATTRIBUTES, Attribute
from face_analysis.datasets.lists.image_list import read_image_list
from face_analysis.images.decode import decode, fit
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.backbone import build_backbone
from face_analysis.models.weights import save_model
from face_analysis.zoo.card import BackboneConfig, ModelCard, recognition_card

Run = Callable[[str | Sequence[str]], tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line; gives exit status, stdout, stderr."""

    def call(words: str | Sequence[str]) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            status = main(words.split() if isinstance(words, str) else words)
        except SystemExit as stop:
            status = int(stop.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def save(folder: Path, name: str, attributes: tuple[Attribute, ...]) -> Path:
    torch.manual_seed(len(attributes))
    config = BackboneConfig("iresnet", 18, "ir", 0.125)
    card = ModelCard(name=name, tasks=attributes, backbone=config)
    path = folder / f"{name}.safetensors"
    save_model(path, AttributeNetwork(config, attributes).eval(), card)
    return path


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small untrained models: race, gender, age, and `joint` for all three."""
    folder = tmp_path_factory.mktemp("models")
    paths = {name: save(folder, name, (name,)) for name in ATTRIBUTES}
    return {**paths, "joint": save(folder, "joint", ATTRIBUTES)}


@pytest.fixture(scope="session")
def recognition_model(tmp_path_factory: pytest.TempPathFactory, patterns: Path) -> Path:
    """A small untrained model of recognition, with batch norms that keep images apart."""
    torch.manual_seed(0)
    config = BackboneConfig("iresnet", 18, "ir", 0.125, dropout=0)
    network = build_backbone(config)
    fit_batch_norms(network, chips_of(patterns, 24))
    path = tmp_path_factory.mktemp("recognition") / "faces.safetensors"
    save_model(path, network, recognition_card("faces", config))
    return path


def chips_of(image_list: Path, count: int) -> torch.Tensor:
    """The first images of a list (count, 3, 112, 112), -1 to 1."""
    names = read_image_list(image_list).images[:count]
    pixels = [fit(decode((image_list.parent / name).read_bytes(), name)) for name in names]
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1


def fit_batch_norms(network: torch.nn.Module, images: torch.Tensor) -> None:
    """Let batch norms hold the statistics of the images, as those of a trained network do."""
    for module in network.train().modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.momentum = 1
    with torch.no_grad():
        network(images)
    network.eval()
