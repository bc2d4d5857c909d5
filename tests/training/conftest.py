from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from face_analysis.training.options import TrainOptions

MakeOptions = Callable[..., TrainOptions]


@pytest.fixture(scope="session")
def few(patterns: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of 24 of the generated pictures, by absolute paths."""
    lines = patterns.read_text().splitlines()[:24]
    path = tmp_path_factory.mktemp("few") / "few.txt"
    path.write_text("".join(f"{patterns.parent}/{line}\n" for line in lines))
    return path


@pytest.fixture
def options(few: Path, tmp_path: Path) -> MakeOptions:
    """Options of a run of a second or two: 2 epochs of 4 steps; keyword arguments change them."""

    def make(**changes: object) -> TrainOptions:
        values: dict[str, object] = {
            "attribute": ("race", "gender", "age"),
            "train_list": few,
            "val_list": (str(few),),
            "output": tmp_path / "run",
            "depth": 18,
            "width": 0.125,
            "batch_size": 6,
            "epochs": 2,
            "lr": 0.02,
            "validations": 1,
            "workers": 0,
            "precision": "32-true",
        }
        return TrainOptions(**{**values, **changes})  # type: ignore[arg-type]

    return make
