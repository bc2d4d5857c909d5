from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from face_analysis.cli.main import main
from face_analysis.datasets.attributes import ATTRIBUTES, Attribute
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.weights import save_model
from face_analysis.zoo.card import BackboneConfig, ModelCard

Run = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line; gives exit status, stdout, stderr."""

    def call(words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            status = main(words.split())
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
