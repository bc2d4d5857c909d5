from __future__ import annotations

import pytest
import torch

from face_analysis.training.augment import augment


def test_without_jitter_each_image_is_itself_or_its_mirror_and_both_occur() -> None:
    images = torch.randn(64, 3, 8, 8)
    torch.manual_seed(0)
    mirrored = 0
    for before, after in zip(images, augment(images, 0.0), strict=True):
        same, flipped = torch.equal(after, before), torch.equal(after, before.flip(2))
        assert same != flipped
        mirrored += flipped
    assert 16 < mirrored < 48


def test_the_same_seed_draws_the_same() -> None:
    images = torch.randn(8, 3, 16, 16)
    torch.manual_seed(3)
    first = augment(images, 1.0)
    torch.manual_seed(3)
    assert torch.equal(first, augment(images, 1.0))
    assert not torch.equal(first, augment(images, 1.0))


@pytest.mark.parametrize("jitter", [0.2, 1.0])
def test_jitter_keeps_the_centre_near_the_centre_and_values_within_its_tint(jitter: float) -> None:
    """A bright dot in the middle of a dark image is found again within the shift that is promised."""
    size = 101
    images = torch.full((200, 3, size, size), -0.5)
    images[:, :, 48:53, 48:53] = 0.5
    torch.manual_seed(1)
    moved = augment(images, jitter)
    flat = moved[:, 0].flatten(1).argmax(dim=1)
    shift = torch.stack([flat // size, flat % size]).sub(size // 2).abs().amax(dim=0).float()
    assert shift.max() <= 0.1 * jitter * size * 1.25 * 1.4 + 4
    assert shift.median() > 0.02 * jitter * size
    assert moved.max() <= 0.5 * (1 + 0.3 * jitter) + 0.3 * jitter + 1e-4
    assert moved.std(dim=(1, 2, 3)).unique().numel() > 150
