"""What needs a GPU: every command on it, steps that do not wait for it, number formats, several of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from face_analysis.cli.main import run
from face_analysis.training.augment import degrade
from face_analysis.training.draws import Draws
from face_analysis.training.loop import TrainingLoop
from face_analysis.training.options import TrainOptions
from face_analysis.training.run import train
from face_analysis.training.tasks.heads import HEADS
from face_analysis.training.tasks.partial_fc import ClassWeights
from tests.training.runs import losses, saved, saved_weights

pytestmark = pytest.mark.gpu
MakeOptions = Callable[..., TrainOptions]
CUDA = torch.device("cuda", 0)


@pytest.fixture
def sync_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets torch raise an error where a pass of a step waits for the GPU, after the first two."""
    part = TrainingLoop._train_part

    def set_mode(mode: str) -> None:
        torch.cuda.set_sync_debug_mode(mode)

    def within(owner: type, name: str, mode: str) -> None:
        method = getattr(owner, name)

        def wrapped(self: TrainingLoop, *arguments: Any, **named: Any) -> Any:
            before = torch.cuda.get_sync_debug_mode()
            set_mode(mode)
            try:
                return method(self, *arguments, **named)
            finally:
                torch.cuda.set_sync_debug_mode(before)

        monkeypatch.setattr(owner, name, wrapped)

    def watched(self: TrainingLoop, batch: Any) -> None:
        set_mode("error" if self.at.step > 1 else "default")  # the first steps make tables and buffers
        try:
            part(self, batch)
        finally:
            set_mode("default")

    for name in ("_read", "_save", "_validate"):
        within(TrainingLoop, name, "default")
    monkeypatch.setattr(TrainingLoop, "_train_part", watched)


@pytest.fixture
def on_gpu(options: MakeOptions) -> MakeOptions:
    return lambda **changes: options(**{"device": "cuda", "precision": "bf16-mixed", **changes})


@pytest.fixture
def people_on_gpu(recognition: MakeOptions) -> MakeOptions:
    return lambda **changes: recognition(**{"device": "cuda", "precision": "bf16-mixed", **changes})


@pytest.mark.usefixtures("sync_free")
@pytest.mark.parametrize(
    "changes",
    [
        {"jitter": 0.5, "degrade": 1.0, "mixup": 0.4, "dropout": 0.3, "clip": 0.5, "ema": 0.9},
        {"optimizer": "adamw", "accumulate": 2, "age_task_weights": True},
        {"precision": "16-mixed", "clip": 0.5},
        {"precision": "32-true", "checkpointing": True},
    ],
)
def test_no_step_of_attributes_waits_for_the_gpu(on_gpu: MakeOptions, changes: dict[str, object]) -> None:
    train(on_gpu(epochs=3, **changes))


@pytest.mark.usefixtures("sync_free")
@pytest.mark.parametrize("head", HEADS)
def test_no_step_of_a_head_waits_for_the_gpu(people_on_gpu: MakeOptions, head: str) -> None:
    train(people_on_gpu(head=head, jitter=0.5, degrade=1.0))


@pytest.mark.usefixtures("sync_free")
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_no_step_over_sampled_classes_waits_for_the_gpu(people_on_gpu: MakeOptions, precision: str) -> None:
    train(people_on_gpu(precision=precision, sample_rate=0.5, subcentres=2, accumulate=3))


def test_a_step_that_waits_is_seen(
    on_gpu: MakeOptions, monkeypatch: pytest.MonkeyPatch, sync_free: None
) -> None:
    backward = TrainingLoop._backward

    def waits(self: TrainingLoop, *arguments: Any, **named: Any) -> None:
        backward(self, *arguments, **named)
        torch.ones(1, device=CUDA).item()

    monkeypatch.setattr(TrainingLoop, "_backward", waits)
    with pytest.raises(RuntimeError, match="synchroniz"):
        train(on_gpu())


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_a_gpu_learns_what_the_cpu_does(
    people_on_gpu: MakeOptions, recognition: MakeOptions, tmp_path: Path, precision: str
) -> None:
    """The first losses: rounding differs, and grows from step to step."""
    train(recognition(epochs=1, output=tmp_path / "cpu", device="cpu"))
    train(people_on_gpu(epochs=1, precision=precision))
    close = 1e-3 if precision == "32-true" else 0.05
    assert losses(tmp_path / "run")[0] == pytest.approx(losses(tmp_path / "cpu")[0], rel=close)
    assert losses(tmp_path / "run") == pytest.approx(losses(tmp_path / "cpu"), rel=0.3)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_a_run_on_the_gpu_goes_on(people_on_gpu: MakeOptions, tmp_path: Path, precision: str) -> None:
    train(people_on_gpu(precision=precision, epochs=1))
    train(people_on_gpu(precision=precision, resume=tmp_path / "run"))
    assert len(losses(tmp_path / "run")) == 10
    assert saved(tmp_path / "run")["step"] == 10
    assert all(torch.isfinite(value).all() for value in saved_weights(tmp_path / "run").values())


def test_a_compiled_run_ends(people_on_gpu: MakeOptions, tmp_path: Path) -> None:
    train(people_on_gpu(compile=True))
    assert len(losses(tmp_path / "run")) == 10


@pytest.mark.parametrize("strength", [0.6, 1.0])
def test_a_gpu_spoils_images_as_the_cpu_does(strength: float) -> None:
    images = torch.rand(24, 3, 112, 112, generator=torch.Generator().manual_seed(0)) * 2 - 1
    indices = torch.arange(24)
    expected = degrade(images, strength, Draws(1, 2, indices))
    found = degrade(images.to(CUDA), strength, Draws(1, 2, indices.to(CUDA), indices.numpy())).cpu()
    far = ((found - expected).abs() > 1e-3).float().mean()  # JPEG rounds numbers near a half the other way
    assert far < 0.01


def test_class_weights_are_sampled_and_moved_as_on_the_cpu() -> None:
    def moved(device: torch.device) -> Tensor:
        classes = ClassWeights(1000, 16, rate=0.2, seed=3)
        classes.to(device)
        for step in range(5):
            generator = torch.Generator().manual_seed(step)
            labels = torch.randint(1000, (8,), generator=generator).to(device)
            sample, own = classes.sample(labels, step)
            sample.weights[own].square().sum().backward()  # type: ignore[no-untyped-call]
            classes.update(0.1, 0.9, 0.01)
        return classes.weights.cpu()

    torch.testing.assert_close(moved(CUDA), moved(torch.device("cpu")))


def commands(patterns: Path, photos: Path, people: Path, sets: Path, folder: Path) -> list[str]:
    network = "--depth 18 --width 0.125 --embedding_size 16 -e 1 --preset original -w 1 --validations 1"
    source = f"-t {patterns} -ts {patterns.parent} -v {patterns} -vs {patterns.parent}"
    return [
        f"train -a race gender age {source} -b 20 -o {folder}/attributes {network}",
        f"train -a recognition -t {people} -vs {sets} -v one -b 9 -o {folder}/recognition {network}",
        f"predict -s {photos} -d {folder}/predictions",
        f"extract -s {photos} -d {folder}/features",
        f"extract -s {people.parent} -i {people} -m {folder}/recognition/model.safetensors --aligned "
        f"-d {folder}/own_features",
        f"evaluate --verification {sets}/one -m {folder}/recognition/model.safetensors -d {folder}/verified",
        f"match {folder}/own_features -o {folder}/match",
        f"search {folder}/own_features {folder}/own_features -o {folder}/search",
    ]


@pytest.mark.parametrize("number", range(8))
def test_every_command_that_computes_runs_on_the_gpu(
    patterns: Path, photos: Path, people: Path, sets: Path, tmp_path: Path, number: int
) -> None:
    """Each after those whose results it takes."""
    words = commands(patterns, photos, people, sets, tmp_path)
    needed = {4: [1], 5: [1], 6: [1, 4], 7: [1, 4]}.get(number, [])
    for place in (*needed, number):
        assert run([*words[place].split(), *(() if place > 5 else ("--device", "cuda"))]) in (0, 1)


@pytest.mark.parametrize("more", ["", "--sync_batchnorm", "--precision 16-mixed", "--sample_rate 0.5"])
@pytest.mark.parametrize("count", [1, 2])
def test_gpus_train_together_over_nccl(
    people: Path, sets: Path, tmp_path: Path, count: int, more: str
) -> None:
    if torch.cuda.device_count() < count:
        pytest.skip(f"needs {count} GPUs")
    words = (
        f"-a recognition -t {people} -vs {sets} -v one -o {tmp_path}/run --depth 18 --width 0.125 -b 12 -e 2 "
        f"--preset original --validations 1 -w 1 --device cuda --precision bf16-mixed {more}"
    )
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    done = subprocess.run(
        [*torchrun, "-m", "face_analysis", "train", *words.split()],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert all(torch.isfinite(value).all() for value in saved_weights(tmp_path / "run").values())
