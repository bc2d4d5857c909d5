from __future__ import annotations

import pytest
import torch

from face_analysis.training.augment import augment
from face_analysis.training.draws import Draws


def test_without_jitter_each_image_is_itself_or_its_mirror_and_both_occur() -> None:
    images = torch.randn(64, 3, 8, 8)
    mirrored = 0
    for before, after in zip(images, augment(images, 0.0, Draws(0, 0, torch.arange(64))), strict=True):
        same, flipped = torch.equal(after, before), torch.equal(after, before.flip(2))
        assert same != flipped
        mirrored += flipped
    assert 16 < mirrored < 48


def test_an_image_looks_the_same_in_any_batch_of_an_epoch_and_different_in_another() -> None:
    images = torch.randn(20, 3, 16, 16)
    draws = Draws(3, 0, torch.arange(100, 120))
    whole, some = augment(images, 1.0, draws), torch.tensor([17, 4, 5])
    assert torch.equal(augment(images[some], 1.0, draws[some]), whole[some])
    for other in (Draws(3, 1, draws.indices), Draws(4, 0, draws.indices)):
        same = (augment(images, 1.0, other) == whole).flatten(1).all(dim=1)
        assert not same.any()


@pytest.mark.parametrize("jitter", [0.2, 1.0])
def test_jitter_keeps_the_centre_near_the_centre_and_values_within_its_tint(jitter: float) -> None:
    """A bright dot in the middle of a dark image is found again within the shift that is promised."""
    size = 101
    images = torch.full((200, 3, size, size), -0.5)
    images[:, :, 48:53, 48:53] = 0.5
    moved = augment(images, jitter, Draws(1, 0, torch.arange(200)))
    flat = moved[:, 0].flatten(1).argmax(dim=1)
    shift = torch.stack([flat // size, flat % size]).sub(size // 2).abs().amax(dim=0).float()
    assert shift.max() <= 0.1 * jitter * size * 1.25 * 1.4 + 4
    assert shift.median() > 0.02 * jitter * size
    assert moved.max() <= 0.5 * (1 + 0.3 * jitter) + 0.3 * jitter + 1e-4
    assert moved.std(dim=(1, 2, 3)).unique().numel() > 150
