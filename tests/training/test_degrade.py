from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy.fft import dctn, idctn
from sklearn.datasets import load_sample_image

from face_analysis.training.augment import LUMINANCE, coarse, covered, degrade, jpeg
from face_analysis.training.draws import Draws


@pytest.fixture(scope="module")
def photos() -> NDArray[np.uint8]:
    """Squares of 112 pixels, RGB uint8 (6, 112, 112, 3), from scikit-learn's two photos."""
    corners = [("china.jpg", 100, 80), ("china.jpg", 200, 300), ("china.jpg", 20, 420)]
    corners += [("flower.jpg", 120, 240), ("flower.jpg", 60, 350), ("flower.jpg", 250, 100)]
    cut = [load_sample_image(name)[top : top + 112, left : left + 112] for name, top, left in corners]
    return np.stack(cut)


def as_tensor(pixels: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)


def spoilt(images: torch.Tensor, share: float, seed: int = 0) -> torch.Tensor:
    return degrade(images, share, Draws(seed, 0, torch.arange(len(images))))


def by_pillow(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.float64]:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    with Pillow.open(buffer) as image:
        return np.asarray(image).astype(np.float64)


QUALITIES = (20, 35, 50, 65, 80)


@pytest.mark.parametrize("quality", QUALITIES)
def test_the_jpeg_step_is_nearest_to_pillows_jpeg_of_the_same_quality(
    photos: NDArray[np.uint8], quality: int
) -> None:
    images = jpeg(as_tensor(photos), torch.full((len(photos),), float(quality)))
    found = ((images + 1) * 127.5).permute(0, 2, 3, 1).numpy()
    pillows = {other: np.stack([by_pillow(photo, other) for photo in photos]) for other in QUALITIES}
    distance = {other: np.abs(found - pixels).mean() for other, pixels in pillows.items()}
    damage = np.abs(pillows[quality] - photos).mean()
    assert min(distance, key=lambda other: distance[other]) == quality
    assert distance[quality] < min(4, 0.65 * damage), "of 256 levels"
    assert np.abs(found - photos).mean() == pytest.approx(damage, rel=0.05)


@pytest.mark.parametrize(("quality", "percent"), [(25, 200), (50, 100), (75, 50), (100, 0)])
def test_on_a_grey_image_it_rounds_scipys_cosine_transform_of_each_block(quality: int, percent: int) -> None:
    grey = np.random.default_rng(quality).uniform(-127, 127, (32, 48))
    expected = np.zeros_like(grey)
    step = np.maximum(LUMINANCE.numpy().astype(np.float64) * percent / 100, 1)
    for top in range(0, 32, 8):
        for left in range(0, 48, 8):
            block = (slice(top, top + 8), slice(left, left + 8))
            spectrum = dctn(grey[block], norm="ortho")
            expected[block] = idctn(np.round(spectrum / step) * step, norm="ortho")
    image = torch.from_numpy(grey / 127.5).float().expand(1, 3, -1, -1)
    found = jpeg(image, torch.tensor([float(quality)]))
    for channel in found[0]:
        np.testing.assert_allclose(channel * 127.5, np.clip(expected, -127.5, 127.5), atol=1e-3)


def test_each_image_gets_its_own_quality(photos: NDArray[np.uint8]) -> None:
    images = as_tensor(photos[[0, 0, 0]])
    together = jpeg(images, torch.tensor([20.0, 50.0, 80.0]))
    for image, quality, found in zip(images, (20.0, 50.0, 80.0), together, strict=True):
        torch.testing.assert_close(found, jpeg(image[None], torch.tensor([quality]))[0])


def test_sides_that_are_no_multiples_of_16_pass_through_the_jpeg_step() -> None:
    images = torch.rand(2, 3, 24, 32)
    assert torch.equal(jpeg(images, torch.tensor([20.0, 20.0])), images)


def test_share_0_gives_the_same_images() -> None:
    images = torch.rand(4, 3, 16, 16)
    assert spoilt(images, 0.0) is images


def test_the_input_is_left_as_it_was() -> None:
    images = torch.rand(32, 3, 16, 16) * 2 - 1
    before = images.clone()
    assert not torch.equal(spoilt(images, 1.0), before)
    assert torch.equal(images, before)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_an_image_stays_as_it_is_where_none_of_four_ways_takes_it(share: float) -> None:
    count = 3000
    images = torch.rand(count, 3, 16, 16) * 2 - 1
    changed = (spoilt(images, share) != images).flatten(1).any(dim=1).sum().item()
    expected = 1 - (1 - share / 3) ** 4
    assert changed / count == pytest.approx(expected, abs=4 * (expected * (1 - expected) / count) ** 0.5)


def test_values_stay_between_black_and_white(photos: NDArray[np.uint8]) -> None:
    torch.manual_seed(1)
    extremes = torch.tensor([-1.0, 1.0])[torch.randint(2, (40, 3, 112, 112))]
    images = torch.cat([extremes, as_tensor(photos).repeat(10, 1, 1, 1)])
    assert spoilt(images, 1.0).abs().max() <= 1 + 1e-6


def test_an_image_looks_the_same_in_any_batch_of_an_epoch_and_different_in_another(
    photos: NDArray[np.uint8],
) -> None:
    images = as_tensor(photos).repeat(10, 1, 1, 1)
    draws = Draws(3, 0, torch.arange(60))
    whole, some = degrade(images, 1.0, draws), torch.tensor([59, 0, 22, 23, 7, 8, 9])
    torch.testing.assert_close(degrade(images[some], 1.0, draws[some]), whole[some])
    for other in (Draws(3, 1, draws.indices), Draws(4, 0, draws.indices)):
        same = (degrade(images, 1.0, other) == whole).flatten(1).all(dim=1)
        assert same.sum() < 60 * (2 / 3) ** 8 + 10, "only those that no way took either time"


def test_a_coarse_image_has_lost_its_finest_detail_and_kept_its_mean() -> None:
    """Stripes of one pixel are gone where the resolution was lowered, a flat image stays flat."""
    stripes = torch.tensor([-1.0, 1.0]).repeat(400, 3, 32, 16)
    found = coarse(stripes, Draws(0, 0, torch.arange(400)))[:, :, 4:-4, 4:-4]
    assert found.std(dim=(1, 2, 3)).max() < 0.5
    assert found.mean(dim=(1, 2, 3)).abs().max() < 0.05


def test_covers_are_rectangles_of_4_to_16_percent_anywhere_in_the_image() -> None:
    count, side = 2000, 50
    noise = covered(torch.zeros(count, 3, side, side), Draws(0, 0, torch.arange(count)))
    masks = (noise != 0).any(dim=1).numpy()
    places = []
    for mask in masks:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert 0.5 * 0.9 < len(rows) / len(columns) < 2 * 1.15
        places.append(rows[0] / (side - len(rows)))
    area = masks.mean(axis=(1, 2))
    assert area.min() > 0.035
    assert area.max() < 0.17
    assert area.mean() == pytest.approx(0.1, abs=0.003)
    assert np.quantile(places, [0, 0.25, 0.5, 0.75, 1]) == pytest.approx([0, 0.25, 0.5, 0.75, 1], abs=0.05)
    assert masks.any(axis=0).all()
