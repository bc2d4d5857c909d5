from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from face_analysis.distributed import rank
from face_analysis.losses.cross_entropy import split_cross_entropy
from face_analysis.losses.margin import best_subcentres, cosines
from face_analysis.training.options import HeadName
from face_analysis.training.pass_memory import TensorMemory
from face_analysis.training.saving.checkpoints import IDENTITY, read_checkpoint
from face_analysis.training.tasks.heads import HEADS
from face_analysis.training.tasks.partial_fc import ClassWeights, classes_of, head_memory
from face_analysis.training.tasks.recognition import CLASSES as CLASSES_KEY
from tests.training.processes import together

CLASSES, SIZE = 23, 8


def batch(step: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(step)
    embeddings = torch.nn.functional.normalize(torch.randn(6, SIZE, generator=generator))
    return embeddings, torch.randint(CLASSES, (6,), generator=generator)


def loss_of(embeddings: Tensor, weights: Tensor, labels: Tensor) -> Tensor:
    logits = best_subcentres(cosines(embeddings, weights.flatten(0, 1)), weights.shape[1])
    return torch.nn.functional.cross_entropy(8 * logits, labels)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("subcentres", [1, 3])
def test_with_all_classes_it_is_sgd_of_torch(subcentres: int, parts: int) -> None:
    classes = ClassWeights(CLASSES, SIZE, subcentres=subcentres)
    weight = torch.nn.Parameter(classes.weights.clone())
    optimiser = torch.optim.SGD([weight], lr=0.3, momentum=0.9, weight_decay=0.01)
    for step in range(5):
        for part in range(parts):
            embeddings, labels = batch(parts * step + part)
            sample, columns = classes.sample(labels, step)
            loss_of(embeddings, sample.weights, columns).backward()
            loss_of(embeddings, weight, labels).backward()
        classes.update(0.3, 0.9, 0.01)
        optimiser.step()
        optimiser.zero_grad()
        torch.testing.assert_close(classes.weights, weight.detach())


@pytest.mark.parametrize("parts", [1, 2])
def test_a_sample_has_every_positive_and_moves_only_its_rows(parts: int) -> None:
    """Against a loop that keeps one momentum a class, and leaves classes alone that a step does not use."""
    classes = ClassWeights(CLASSES, SIZE, rate=0.4)
    weights = {row: classes.weights[row, 0].clone() for row in range(CLASSES)}
    momenta = {row: torch.zeros(SIZE) for row in range(CLASSES)}
    for step in range(6):
        gradients: dict[int, Tensor] = {}
        for part in range(parts):
            embeddings, labels = batch(parts * step + part)
            sample, columns = classes.sample(labels, step)
            assert sample.rows is not None
            rows = sample.rows.tolist()
            assert rows == sorted(set(rows))
            assert len(rows) == max(9, len(set(labels.tolist())))
            assert set(labels.tolist()) <= set(rows)
            assert [rows[column] for column in columns.tolist()] == labels.tolist()
            own = torch.stack([weights[row] for row in rows]).requires_grad_()
            loss_of(embeddings, own[:, None], columns).backward()
            assert own.grad is not None
            for row, gradient in zip(rows, own.grad, strict=True):
                gradients[row] = gradients.get(row, torch.zeros(SIZE)) + gradient
            loss_of(embeddings, sample.weights, columns).backward()
        classes.update(0.3, 0.9, 0.01)
        for row, gradient in gradients.items():
            momenta[row] = 0.9 * momenta[row] + gradient + 0.01 * weights[row]
            weights[row] = weights[row] - 0.3 * momenta[row]
        expected = torch.stack([weights[row] for row in range(CLASSES)])
        torch.testing.assert_close(classes.weights[:, 0], expected)


def test_samples_change_from_step_to_step_and_repeat_for_the_same_step() -> None:
    classes, labels = ClassWeights(1000, SIZE, rate=0.1, seed=3), torch.arange(4)
    drawn = [classes.sample(labels, step)[0].rows for step in (1, 2, 1)]
    assert drawn[0] is not None
    assert drawn[1] is not None
    assert drawn[2] is not None
    assert torch.equal(drawn[0], drawn[2])
    assert len(set(drawn[0].tolist()) & set(drawn[1].tolist())) < 40


def split_run(rate: float, steps: int) -> dict[str, Tensor]:
    """Steps in one of several processes; the first gives what all have, and every one its samples."""
    classes = ClassWeights(CLASSES, SIZE, rate=rate, seed=7)
    for step in range(steps):
        labels = classes.own_labels(batch(step)[1])
        sample, columns = classes.sample(labels, step)
        if sample.rows is not None:
            assert set(labels[labels >= 0].tolist()) <= set(sample.rows.tolist())
            assert [int(sample.rows[c]) for c in columns if c >= 0] == labels[labels >= 0].tolist()
        (sample.weights.sum() * (step + 1)).backward()
        classes.update(0.1, 0.9, 0.01)
    return {**classes.whole(), "rank": torch.tensor(rank())}


def reload(state: dict[str, Tensor]) -> dict[str, Tensor]:
    classes = ClassWeights(CLASSES, SIZE, seed=1)
    classes.load_whole(state)
    torch.testing.assert_close(classes.weights, state["centres"][classes.own.start : classes.own.stop])
    return classes.whole()


@pytest.mark.parametrize("count", [2, 3])
def test_any_number_of_processes_has_the_same_classes(tmp_path: Path, count: int) -> None:
    alone = split_run(1.0, 3)
    split = together(split_run, count, tmp_path / "split", 1.0, 3)[0]
    for name in ("centres", "momenta"):
        torch.testing.assert_close(split[name], alone[name])
    assert all(torch.equal(reload(split)[name], split[name]) for name in ("centres", "momenta"))
    again = together(reload, 5 - count, tmp_path / "again", {k: split[k] for k in ("centres", "momenta")})
    for name in ("centres", "momenta"):
        assert torch.equal(again[0][name], split[name])


def mapped() -> int:
    """Bytes of files that this process has in its memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssFile"))


def mapped_by_loading(path: Path, classes: int, size: int) -> Tensor:
    own, content = ClassWeights(classes, size), read_checkpoint(path)
    before = mapped()
    own.load_whole(content[CLASSES_KEY])
    assert own.weights[:, 0, 0].tolist() == list(own.own)
    return torch.tensor(mapped() - before)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells what a process has mapped")
def test_a_process_reads_no_more_of_a_checkpoint_than_its_own_classes(tmp_path: Path) -> None:
    classes, size = 2**15, 512
    weights = torch.arange(classes, dtype=torch.float32)[:, None, None].expand(-1, 1, size).contiguous()
    content = {IDENTITY: {}, CLASSES_KEY: {"centres": weights, "momenta": torch.zeros_like(weights)}}
    torch.save(content, tmp_path / "last.ckpt")
    taken = together(mapped_by_loading, 4, tmp_path / "four", tmp_path / "last.ckpt", classes, size)
    share = 2 * weights.nbytes / 4
    assert [round(int(each) / share) for each in taken] == [1, 1, 1, 1]


def test_every_process_samples_its_own_positives(tmp_path: Path) -> None:
    together(split_run, 2, tmp_path, 0.3, 4)


def test_shares_cover_all_classes_once() -> None:
    for classes, processes in ((10, 3), (2, 4), (85_742, 8)):
        shares = [classes_of(classes, process, processes) for process in range(processes)]
        assert [code for share in shares for code in share] == list(range(classes))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_the_memory_told_is_that_of_the_tensors() -> None:
    text = head_memory(1_000_000, 512, 128, 0.1, 1).text
    weights = 1_000_000 * 512 * 4 / 2**20
    assert f"weights and momenta {2 * weights:,.0f}" in text


@pytest.mark.parametrize("subcentres", [1, 3])
@pytest.mark.parametrize("name", HEADS)
def test_a_step_of_every_head_takes_the_memory_that_is_told(name: HeadName, subcentres: int) -> None:
    """Along the path of a run; the gradients of several parts of a step add up in one place."""
    count, classes, size = 64, 4000, 32
    weights = ClassWeights(classes, size, subcentres=subcentres)
    head = HEADS[name](classes)
    generator = torch.Generator().manual_seed(0)
    embeddings = F.normalize(torch.randn(count, size, generator=generator)).requires_grad_()
    norms = (torch.rand(count, generator=generator) * 50 + 1).requires_grad_()
    labels = torch.randint(classes, (count,), generator=generator)

    def loss() -> Tensor:
        sample, own = weights.sample(labels, 0)
        found = best_subcentres(cosines(embeddings, sample.weights.flatten(0, 1)), subcentres)
        return split_cross_entropy(head(found, own, norms, 1.0), own)

    def peak(parts: int) -> int:
        with TensorMemory() as memory:
            for _ in range(parts):
                loss().backward()  # type: ignore[no-untyped-call]
            weights.update(0.1, 0.9, 1e-4)
        return memory.peak

    peak(1)
    told = head_memory(classes, size, count, 1.0, subcentres)
    assert peak(1) == pytest.approx(told.gradient + told.logits, rel=0.1)
    assert peak(4) == peak(2) <= peak(1) + told.gradient
