from __future__ import annotations

import itertools
import zlib
from typing import Literal

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from face_analysis.datasets.faces import FaceBatch
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.training.draws import Draws, splitmix64
from face_analysis.training.options import TrainOptions
from face_analysis.training.tasks.attributes import AttributeTask

WORD = 2**64


def next_number(state: int) -> tuple[int, int]:
    """The next state and the next number of SplitMix64, in Python's unbounded integers."""
    state = (state + 0x9E3779B97F4A7C15) % WORD
    bits = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) % WORD
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) % WORD
    return state, bits ^ (bits >> 31)


def columns(seed: int, turn: int, purpose: str, count: int = 20_000) -> np.ndarray:
    return Draws(seed, turn, torch.arange(count)).uniform(purpose, 1)[:, 0].numpy()


def test_it_gives_the_published_numbers_of_splitmix64() -> None:
    """Those for seed 1234567 serve as the reference of implementations in many languages."""
    published = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    found = splitmix64(torch.tensor([1234567, 0]), 5)
    assert [number % WORD for number in found[0].tolist()] == published
    assert found[1, 0].item() % WORD == 0xE220A8397B1DCDAF


def test_numbers_are_those_of_a_plain_loop_over_unbounded_integers() -> None:
    indices = [0, 1, 77, 2**40 + 3]
    found = Draws(12345, 6, torch.tensor(indices)).uniform("flip", 3, -2, 5)
    for index, row in zip(indices, found.tolist(), strict=True):
        state = 0
        for word in (12345, 6, zlib.crc32(b"flip"), index):
            _, state = next_number(state ^ word)
        for number in row:
            state, bits = next_number(state)
            assert number == pytest.approx(-2 + 7 * bits / WORD, abs=1e-6)


def test_an_image_has_its_numbers_in_any_company_and_order() -> None:
    draws = Draws(3, 1, torch.randperm(500, generator=torch.Generator().manual_seed(0)))
    all_of_them, some = draws.uniform("tint", 4), torch.tensor([400, 2, 77])
    assert torch.equal(draws[some].uniform("tint", 4), all_of_them[some])
    assert torch.equal(Draws(3, 1, draws.indices[some]).uniform("tint", 4), all_of_them[some])


def test_numbers_are_uniform_from_0_to_below_1() -> None:
    numbers = Draws(0, 0, torch.arange(5000)).uniform("flip", 20)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert kstest(numbers.flatten().numpy(), "uniform").pvalue > 0.01
    assert min(kstest(row.numpy(), "uniform").pvalue for row in numbers.T) > 0.01 / 20
    assert min(kstest(row.numpy(), "uniform").pvalue for row in numbers[:1000]) > 0.01 / 1000


def test_neighbouring_images_seeds_turns_and_purposes_have_nothing_in_common() -> None:
    found = [
        columns(seed, turn, purpose)
        for seed, turn, purpose in itertools.product((0, 1), (0, 1, 2), ("flip", "tint"))
    ]
    found += [np.roll(found[0], shift) for shift in (1, 2, 64)]
    correlations = np.corrcoef(found)[np.triu_indices(len(found), 1)]
    assert np.abs(correlations).max() < 4 / np.sqrt(20_000)


def test_seed_and_turn_are_not_mistaken_for_each_other() -> None:
    assert not np.array_equal(columns(1, 2, "flip"), columns(2, 1, "flip"))


@pytest.mark.gpu
def test_a_gpu_draws_the_same_numbers() -> None:
    draws = Draws(7, 3, torch.arange(10_000))
    on_gpu = Draws(7, 3, draws.indices.cuda())
    assert torch.equal(on_gpu.uniform("noise", 5, -1, 1).cpu(), draws.uniform("noise", 5, -1, 1))


@pytest.mark.parametrize("balance", [None, "race"])
def test_a_task_spoils_an_image_by_seed_and_epoch_and_where_it_is_drawn_often_by_step(
    balance: Literal["race"] | None,
) -> None:
    options = TrainOptions(("race",), jitter=1.0, degrade=1.0, balance=balance, width=0.125, depth=18)
    network = AttributeNetwork(options.backbone_config, ("race",))
    task = AttributeTask(network, {"race": torch.ones(5)}, options, str, 10)
    pixels = torch.randint(256, (12, 3, 32, 32), dtype=torch.uint8)

    def seen(epoch: int, step: int, order: torch.Tensor) -> torch.Tensor:
        task.at.epoch, task.at.step = epoch, step
        return task.augmented(FaceBatch(pixels[order], torch.zeros(len(order), 1), order + 300, []))

    everyone, some = torch.arange(12), torch.tensor([7, 3, 9, 4])
    first = seen(0, 5, everyone)
    torch.testing.assert_close(seen(0, 5, some), first[some])
    assert torch.equal(seen(0, 6, everyone), first) == (balance is None)
    assert torch.equal(seen(1, 5, everyone), first) == (balance is not None)
