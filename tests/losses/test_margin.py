from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from face_analysis.losses import margin as fixed
from face_analysis.losses import margin_adaptive as adaptive
from face_analysis.losses.margin import cosines

LIMIT = math.cos(math.pi - 0.5)
EDGES = [1.0, -1.0, 1 - 1e-7, -1 + 1e-7, 0.0, LIMIT + 1e-4, LIMIT - 1e-4]
NORMS = [0.5, 9.0, 10.0, 25.0, 60.0, 110.0, 150.0]


def rows(dtype: torch.dtype, classes: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    """Random cosines with the edges among the labelled ones; norms. The last label is elsewhere."""
    generator = np.random.default_rng(3)
    cosines = generator.uniform(-1, 1, (40, classes))
    labels = generator.integers(0, classes, 40)
    for row, edge in enumerate(EDGES):
        cosines[row, labels[row]] = edge
    norms = np.array([*NORMS, *generator.uniform(1, 120, 40 - len(NORMS))])
    labels[-1] = -1
    return torch.tensor(cosines, dtype=dtype), torch.tensor(labels), torch.tensor(norms, dtype=dtype)


def arcface_target(cosine: float, m: float) -> float:
    theta = math.acos(cosine)
    return math.cos(theta + m) if theta + m < math.pi else cosine - m * math.sin(m)


def sphereface_target(cosine: float, m: float) -> float:
    theta = math.acos(cosine)
    k = math.floor(m * theta / math.pi)
    return (-1) ** k * math.cos(m * theta) - 2 * k


def adaface_target(cosine: float, norm: float) -> float:
    z = min(1.0, max(-1.0, (min(norm, 100.0) - 20) / (8 + 1e-3) * 0.333))
    theta = min(math.pi, max(0.0, math.acos(cosine) - 0.4 * z))
    return math.cos(theta) - (0.4 * z + 0.4)


def magface_target(cosine: float, norm: float) -> float:
    a = min(110.0, max(10.0, norm))
    return arcface_target(cosine, 0.45 + 0.35 * (a - 10) / 100)


Head = Callable[[Tensor, Tensor, Tensor], Tensor]
Target = Callable[[float, float], float]
HEADS: dict[str, tuple[Head, Target]] = {
    "softmax": (lambda c, y, n: fixed.softmax_logits(c, y), lambda c, n: c),
    "arcface": (lambda c, y, n: fixed.arcface(c, y), lambda c, n: arcface_target(c, 0.5)),
    "arcface, 0.3": (lambda c, y, n: fixed.arcface(c, y, 0.3), lambda c, n: arcface_target(c, 0.3)),
    "cosface": (lambda c, y, n: fixed.cosface(c, y), lambda c, n: c - 0.35),
    "sphereface": (lambda c, y, n: fixed.sphereface(c, y), lambda c, n: sphereface_target(c, 1.35)),
    "sphereface, 4": (lambda c, y, n: fixed.sphereface(c, y, 4), lambda c, n: sphereface_target(c, 4)),
    "adaface": (
        lambda c, y, n: adaptive.adaface(c, y, n, torch.tensor(20.0).to(c), torch.tensor(8.0).to(c)),
        adaface_target,
    ),
    "magface": (lambda c, y, n: adaptive.magface(c, y, n), magface_target),
}
EVERY = pytest.mark.parametrize("head", HEADS)


def curricular_loop(
    cosines: list[list[float]], labels: list[int], targets: list[float], progress: float
) -> list[list[float]]:
    logits = [[64 * value for value in row] for row in cosines]
    for row, label in enumerate(labels):
        limit = arcface_target(targets[row], 0.5)
        for column, cosine in enumerate(cosines[row]):
            if column == label:
                logits[row][column] = 64 * limit
            elif cosine > limit:
                logits[row][column] = 64 * cosine * (progress + cosine)
    return logits


def own_cosines(cosines: Tensor, labels: Tensor, elsewhere: float = 0.2) -> Tensor:
    """Each row's cosine to its class; `elsewhere` for classes that are not among the columns."""
    values = cosines.tolist()
    own = [values[row][label] if label >= 0 else elsewhere for row, label in enumerate(labels.tolist())]
    return torch.tensor(own, dtype=cosines.dtype)


@EVERY
@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-9), (torch.float32, 2e-4)])
def test_a_head_equals_a_plain_loop(head: str, dtype: torch.dtype, close: float) -> None:
    cosines, labels, norms = rows(dtype)
    function, target = HEADS[head]
    expected = cosines.double() * 64
    for row, label in enumerate(labels.tolist()):
        if label >= 0:
            cosine = float(cosines[row, label].double())
            expected[row, label] = 64 * target(cosine, float(norms[row].double()))
    found = function(cosines, labels, norms)
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), expected, atol=64 * close, rtol=0)


@pytest.mark.parametrize("progress", [0.0, 0.4])
def test_curricularface_equals_a_plain_loop(progress: float) -> None:
    cosines, labels, _ = rows(torch.float64)
    targets = own_cosines(cosines, labels)
    expected = curricular_loop(cosines.tolist(), labels.tolist(), targets.tolist(), progress)
    found = adaptive.curricularface(cosines, labels, targets, torch.tensor(progress, dtype=torch.float64))
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), atol=1e-9, rtol=0)


@pytest.mark.parametrize("progress", [0.0, 0.4])
def test_curricularface_passes_on_the_gradients_of_finite_differences(progress: float) -> None:
    """Also where rows have their class elsewhere, and a hard negative lies in the first column."""
    generator = torch.Generator().manual_seed(2)
    cosines = (torch.rand(40, 5, generator=generator, dtype=torch.float64) * 1.8 - 0.9).requires_grad_()
    labels = torch.randint(-1, 5, (40,), generator=generator)
    targets = own_cosines(cosines.detach(), labels)
    limits = torch.tensor([arcface_target(value, 0.5) for value in targets.tolist()], dtype=torch.float64)
    assert bool(((cosines[:, 0] > limits) & (labels < 0)).any())

    def head(values: Tensor) -> Tensor:
        return adaptive.curricularface(values, labels, targets, torch.tensor(progress, dtype=torch.float64))

    expected = curricular_loop(cosines.tolist(), labels.tolist(), targets.tolist(), progress)
    torch.testing.assert_close(head(cosines), torch.tensor(expected, dtype=torch.float64))
    assert torch.autograd.gradcheck(head, (cosines,))


@EVERY
def test_gradients_are_those_of_finite_differences(head: str) -> None:
    generator = torch.Generator().manual_seed(1)
    cosines = (torch.rand(6, 5, generator=generator, dtype=torch.float64) * 1.8 - 0.9).requires_grad_()
    labels = torch.tensor([0, 4, 2, 2, 1, -1])
    norms = torch.tensor([5.0, 15.0, 20.5, 22.0, 60.0, 130.0], dtype=torch.float64)
    function = HEADS[head][0]
    assert torch.autograd.gradcheck(lambda c: function(c, labels, norms), (cosines,))


def test_magface_passes_the_gradient_of_the_margin_on_to_the_norms() -> None:
    cosines = torch.tensor([[0.3, -0.2], [0.5, 0.1]], dtype=torch.float64)
    norms = torch.tensor([20.0, 70.0], dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 1])
    assert torch.autograd.gradcheck(lambda n: adaptive.magface(cosines, labels, n), (norms,))
    assert torch.autograd.gradcheck(adaptive.magface_penalty, (norms,))


@pytest.mark.parametrize("head", [*HEADS, "curricularface"])
@pytest.mark.parametrize("cosine", [1.0, -1.0])
def test_gradients_stay_finite_at_the_ends(head: str, cosine: float) -> None:
    cosines = torch.full((3, 4), cosine, requires_grad=True)
    labels, norms = torch.tensor([0, 3, -1]), torch.tensor([5.0, 30.0, 200.0], requires_grad=True)
    if head == "curricularface":
        logits = adaptive.curricularface(cosines, labels, own_cosines(cosines, labels), torch.tensor(0.3))
    else:
        logits = HEADS[head][0](cosines, labels, norms)
    torch.nn.functional.cross_entropy(logits, labels.clamp(min=0)).backward()
    assert cosines.grad is not None
    assert cosines.grad.isfinite().all()
    assert norms.grad is None or norms.grad.isfinite().all()


@pytest.mark.parametrize(
    "head", ["arcface", "arcface, 0.3", "cosface", "sphereface", "sphereface, 4", "magface"]
)
def test_the_labelled_logit_falls_all_the_way_as_the_angle_grows(head: str) -> None:
    cosines = torch.linspace(1, -1, 2001, dtype=torch.float64)[:, None]
    labels, norms = torch.zeros(2001, dtype=torch.long), torch.full((2001,), 90.0, dtype=torch.float64)
    logits = HEADS[head][0](cosines, labels, norms)[:, 0]
    assert (logits.diff() < 0).all()
    assert (logits <= 64 * cosines[:, 0] + 1e-9).all(), "the margin never helps"


def test_the_given_cosines_stay_as_they_were() -> None:
    for function, _ in HEADS.values():
        cosines, labels, norms = rows(torch.float32)
        before = cosines.clone()
        function(cosines, labels, norms)
        assert torch.equal(cosines, before)


def test_the_best_of_a_classes_subcentres_counts() -> None:
    cosines = torch.tensor([[0.1, 0.5, -0.2, 0.9, 0.3, 0.2]], requires_grad=True)
    best = fixed.best_subcentres(cosines, 3)
    assert best.tolist() == [[0.5, pytest.approx(0.9)]]
    best.sum().backward()
    assert cosines.grad is not None
    assert cosines.grad.tolist() == [[0, 1, 0, 1, 0, 0]]


def test_the_scale_of_adacos_equals_a_plain_loop() -> None:
    assert adaptive.adacos_first_scale(1000) == pytest.approx(math.sqrt(2) * math.log(999))
    cosines, labels, _ = rows(torch.float64)
    cosines, labels = cosines[:-1], labels[:-1]
    angles, total = [], 0.0
    for row, label in enumerate(labels.tolist()):
        values = cosines[row].tolist()
        total += sum(math.exp(9.0 * value) for column, value in enumerate(values) if column != label)
        angles.append(math.acos(values[label]))
    median = sorted(angles)[(len(angles) - 1) // 2]
    expected = math.log(total / len(labels)) / math.cos(min(math.pi / 4, median))
    scale = torch.tensor(9.0, dtype=torch.float64)
    others = sum(
        adaptive.other_classes(cosines[:, part], own, scale)
        for part, own in ((slice(0, 2), torch.where(labels < 2, labels, -1)), (slice(2, None), labels - 2))
    )
    assert isinstance(others, Tensor)
    found = adaptive.adacos_scale(others, own_cosines(cosines, labels), scale)
    assert float(found) == pytest.approx(expected, rel=1e-12)


def test_running_statistics_move_by_their_momentum() -> None:
    norms = [3.0, 8.0, 4.0, 200.0]
    lengths = np.clip(norms, 0.001, 100)
    mean, std = adaptive.running_norms(torch.tensor(norms), torch.tensor(20.0), torch.tensor(5.0))
    assert float(mean) == pytest.approx(0.99 * 20 + 0.01 * lengths.mean())
    assert float(std) == pytest.approx(0.99 * 5 + 0.01 * lengths.std(ddof=1))
    progress = adaptive.curricular_progress(torch.tensor([0.4, 0.6]), torch.tensor(0.3))
    assert float(progress) == pytest.approx(0.99 * 0.3 + 0.01 * 0.5)


def inputs(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    embeddings = F.normalize(torch.randn(7, 16, generator=generator, dtype=dtype)).requires_grad_()
    class_weights = (torch.randn(11, 16, generator=generator, dtype=dtype) * 3).requires_grad_()
    return embeddings, class_weights


def test_they_and_their_gradients_are_those_of_normalised_centres() -> None:
    found, expected = [], []
    for function, into in ((cosines, found), (lambda x, w: F.linear(x, F.normalize(w)), expected)):
        embeddings, class_weights = inputs(torch.float64)
        result = function(embeddings, class_weights)
        (result**3).sum().backward()
        into += [result.detach(), embeddings.grad, class_weights.grad]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_their_gradient_is_that_of_finite_differences() -> None:
    assert torch.autograd.gradcheck(cosines, inputs(torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_centre_of_length_zero_gives_finite_numbers(dtype: torch.dtype) -> None:
    embeddings, class_weights = inputs(dtype)
    with torch.no_grad():
        class_weights[3] = 0
    result = cosines(embeddings, class_weights)
    assert (result[:, 3] == 0).all()
    result.sum().backward()
    assert embeddings.grad is not None
    assert embeddings.grad.isfinite().all()


def test_adaface_takes_norms_over_100_for_100_and_tiny_ones_for_a_thousandth() -> None:
    cosines, labels = torch.tensor([[0.5, 0.1], [0.5, 0.1]], dtype=torch.float64), torch.tensor([0, 0])
    mean, std = torch.tensor(90.0, dtype=torch.float64), torch.tensor(300.0, dtype=torch.float64)

    def logits(*norms: float) -> Tensor:
        return adaptive.adaface(cosines, labels, torch.tensor(norms, dtype=torch.float64), mean, std)

    assert torch.equal(logits(150.0, 0.0), logits(100.0, 0.001))
    assert not torch.equal(logits(99.0, 0.01), logits(100.0, 0.001))


def test_the_gradient_of_the_best_subcentre_goes_to_it_alone() -> None:
    generator = torch.Generator().manual_seed(5)
    cosines = torch.rand(37, 12, generator=generator, dtype=torch.float64, requires_grad=True)
    for subcentres in (1, 3, 4):
        best = fixed.best_subcentres(cosines, subcentres)
        assert torch.equal(best, cosines.view(37, -1, subcentres).amax(dim=2))
        assert torch.autograd.gradcheck(lambda c, k=subcentres: fixed.best_subcentres(c, k), (cosines,))
