from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor, nn

from face_analysis.datasets.pairs.pairs import Pairs
from face_analysis.datasets.pairs.sets import write_pair_set
from face_analysis.images.decode import decode
from face_analysis.models.layers import Backbone
from face_analysis.training import metrics
from face_analysis.training.options import TrainOptions
from face_analysis.zoo.card import BackboneConfig

MakeOptions = Callable[..., TrainOptions]


class AtStep(metrics.Progress):
    """Does something to the run while a given step is under way."""

    step = 3
    action: Callable[[], None]

    def begin(self) -> None:
        super().begin()
        if self.at.step == self.step:
            type(self).action()


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], None]], None]:
    """Lets the runs of a test do something at a step; `monkeypatch.undo` ends it."""

    def arrange(step: int, action: Callable[[], None]) -> None:
        monkeypatch.setattr(AtStep, "step", step)
        monkeypatch.setattr(AtStep, "action", staticmethod(action), raising=False)
        monkeypatch.setattr("face_analysis.training.loop.Progress", AtStep)

    return arrange


class TinyBackbone(Backbone):
    """The parts that every backbone has, of a layer or two: quick on any CPU, and learns patterns."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        size = config.embedding_size
        self.input_layer = nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.BatchNorm2d(8), nn.PReLU(8))
        self.body = nn.Sequential(
            nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.PReLU(8)),
            nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(8 * 7 * 7, size), nn.BatchNorm1d(size)),
        )
        self.output_layer = nn.Dropout(config.dropout)

    def raw(self, images: Tensor) -> Tensor:
        """(N, 3, 112, 112) -> (N, D)."""
        return self.output_layer(self.body(self.input_layer(images)))  # type: ignore[no-any-return]


@pytest.fixture
def full_size() -> None:
    """Lets a test train the network that its options name."""


@pytest.fixture(autouse=True)
def _tiny_network(request: pytest.FixtureRequest) -> Iterator[None]:
    """Lets all other tests train a tiny one: what they state is true of any network."""
    with pytest.MonkeyPatch.context() as patch:
        if "full_size" not in request.fixturenames:
            for user in (
                "models.attributes",
                "models.weights",
                "training.hardware",
                "training.pass_memory",
                "training.plan",
            ):
                patch.setattr(f"face_analysis.{user}.build_backbone", TinyBackbone)
        yield


@pytest.fixture(scope="session")
def few(patterns: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of 24 of the generated pictures, by absolute paths."""
    lines = patterns.read_text().splitlines()[:24]
    path = tmp_path_factory.mktemp("few") / "few.txt"
    path.write_text("".join(f"{patterns.parent}/{line}\n" for line in lines))
    return path


@pytest.fixture
def options(few: Path, tmp_path: Path) -> MakeOptions:
    """Options of a short run: 2 epochs of 4 steps; keyword arguments change them."""

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


@pytest.fixture(scope="session")
def people(patterns: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list `path class` of 45 generated pictures of 10 kinds, by absolute paths."""
    rows = [line.split() for line in patterns.read_text().splitlines()[:45]]
    path = tmp_path_factory.mktemp("people") / "people.txt"
    path.write_text(
        "".join(f"{patterns.parent}/{name} {2 * int(race) + int(sex)}\n" for name, race, sex, _ in rows)
    )
    return path


@pytest.fixture(scope="session")
def sets(people: Path) -> Path:
    """A folder with the verification sets `one` and `two`: 40 pairs of the first pictures of `people`."""
    listed = [line.split() for line in people.read_text().splitlines()]
    chips = [decode(Path(name).read_bytes(), name) for name, _ in listed[:20]]
    kind = [int(number) for _, number in listed]
    every = [(a, b) for a in range(20) for b in range(a)]
    same = [pair for pair in every if kind[pair[0]] == kind[pair[1]]][:20]
    different = [pair for pair in every if kind[pair[0]] != kind[pair[1]]][: len(same)]
    for name, stride in (("one", 1), ("two", 2)):
        first, second = np.array([*same[::stride], *different[::stride]]).T
        count = len(first) // 2
        truth = np.arange(2 * count) < count
        pairs = Pairs(first, second, truth, np.arange(2 * count) % count % 5)
        names = [f"{number}.jpg" for number in range(20)]
        write_pair_set(people.parent / "sets" / name, names, pairs, ((chip, True) for chip in chips))
    return people.parent / "sets"


@pytest.fixture
def recognition(people: Path, sets: Path, tmp_path: Path) -> MakeOptions:
    """Options of a short run of recognition: 2 epochs of 5 steps; keyword arguments change them."""

    def make(**changes: object) -> TrainOptions:
        values: dict[str, object] = {
            "attribute": ("recognition",),
            "train_list": people,
            "val_source": sets,
            "val_list": ("one", "two"),
            "output": tmp_path / "run",
            "depth": 18,
            "width": 0.125,
            "embedding_size": 16,
            "dropout": 0.0,
            "batch_size": 9,
            "epochs": 2,
            "lr": 0.02,
            "validations": 1,
            "workers": 0,
            "precision": "32-true",
        }
        return TrainOptions(**{**values, **changes})  # type: ignore[arg-type]

    return make
