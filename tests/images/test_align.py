from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.filters import gaussian
from skimage.transform import AffineTransform, SimilarityTransform, estimate_transform, warp

from face_analysis.images.align import BORDERS, TEMPLATE, Border, align_chip, similarity
from face_analysis.types import Image

ASTRONAUT = np.array([(204.0, 102.8), (246.2, 104.9), (224.8, 128.6), (203.0, 142.7), (242.9, 144.8)])
"""Where her eyes, nose and corners of the mouth are."""
MODES = {"black": "constant", "edge": "edge", "mirror": "reflect"}
"""What scikit-image calls the borders."""

Points = NDArray[np.float64]


def moved(points: Points, scale: float, degrees: float, to: tuple[float, float]) -> Points:
    """The points scaled and turned about their middle, which comes to lie at `to`."""
    turn = scale * np.exp(1j * np.radians(degrees))
    numbers = turn * ((points - points.mean(axis=0)) @ (1, 1j))
    return np.stack([numbers.real, numbers.imag], axis=-1) + to


def expected_chip(
    image: Image, landmarks: Points, size: int = 112, border: Border = "black", finer: int = 1
) -> Points:
    """The chip by scikit-image; each of its pixels is the mean of `finer` times `finer` samples."""
    to_chip = estimate_transform("similarity", landmarks, TEMPLATE * (size / 112))
    first = 0.5 / finer - 0.5
    from_samples = AffineTransform(scale=1 / finer, translation=(first, first))
    back = AffineTransform(np.linalg.inv(to_chip.params) @ from_samples.params)
    shape = (size * finer, size * finer)
    samples = warp(image, back, output_shape=shape, order=1, mode=MODES[border], preserve_range=True)
    return samples.reshape(size, finer, size, finer, 3).mean(axis=(1, 3))


@pytest.mark.parametrize("count", [2, 3, 5, 60])
def test_the_similarity_is_the_one_scikit_image_estimates(count: int) -> None:
    generator = np.random.default_rng(count)
    for _ in range(100):
        points, targets = generator.normal(0, 300, (2, count, 2)) + generator.uniform(-2000, 2000, (2, 1, 2))
        expected = estimate_transform("similarity", points, targets).params[:2]
        np.testing.assert_allclose(similarity(points, targets), expected, rtol=1e-6, atol=1e-6)


def test_landmarks_of_faces_give_the_similarity_scikit_image_estimates() -> None:
    generator = np.random.default_rng(0)
    for _ in range(300):
        place = (generator.uniform(-50, 4000), generator.uniform(-50, 4000))
        face = moved(TEMPLATE, generator.uniform(0.2, 20), generator.uniform(-180, 180), place)
        face = (face + generator.normal(0, 3, (5, 2))).astype(np.float32)
        expected = estimate_transform("similarity", face.astype(np.float64), TEMPLATE).params[:2]
        np.testing.assert_allclose(similarity(face, TEMPLATE), expected, rtol=1e-4, atol=1e-4)


def test_a_similarity_that_moved_points_is_found_again() -> None:
    points = np.random.default_rng(1).uniform(0, 100, (5, 2))
    truth = SimilarityTransform(scale=0.37, rotation=2.5, translation=(31, -70))
    np.testing.assert_allclose(similarity(points, truth(points)), truth.params[:2], atol=1e-10)


def test_mirrored_points_do_not_give_a_reflection() -> None:
    generator = np.random.default_rng(2)
    for points in (TEMPLATE.astype(np.float64), *generator.uniform(0, 112, (20, 5, 2))):
        matrix = similarity(points, points * (-1, 1) + (112, 0))
        assert np.linalg.det(matrix[:, :2]) > 0
        expected = estimate_transform("similarity", points, points * (-1, 1) + (112, 0)).params[:2]
        np.testing.assert_allclose(matrix, expected, atol=1e-8)


def test_landmarks_in_one_point_are_refused() -> None:
    for place in np.random.default_rng(3).uniform(-100, 4000, (200, 2)):
        with pytest.raises(ValueError, match="landmarks all lie in one point"):
            align_chip(np.zeros((20, 20, 3), np.uint8), np.tile(place, (5, 1)))


def test_landmarks_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="landmarks"):
        align_chip(np.zeros((20, 20, 3), np.uint8), np.full((5, 2), np.nan))


def test_landmarks_on_the_template_leave_the_picture_as_it_is(astronaut: Image) -> None:
    picture = astronaut[50:162, 170:282]
    np.testing.assert_array_equal(align_chip(picture, TEMPLATE), picture)


@pytest.mark.parametrize("size", [112, 96, 224])
@pytest.mark.parametrize(("scale", "degrees"), [(1, 0), (0.6, 0), (1.4, 33), (1, -90), (0.3, 180)])
def test_a_chip_has_the_pixels_of_scikit_images_warp(
    astronaut: Image, size: int, scale: float, degrees: float
) -> None:
    landmarks = moved(ASTRONAUT, scale, degrees, (225, 200))
    chip = align_chip(astronaut, landmarks.astype(np.float32), size)
    assert (chip.shape, chip.dtype) == ((size, size, 3), np.uint8)
    difference = np.abs(chip - expected_chip(astronaut, landmarks, size))
    assert difference.mean() < 0.5
    assert difference.max() <= 4


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("place", [(20, 30), (490, 250), (250, 495), (500, 500)])
def test_a_border_shows_what_scikit_images_mode_shows(
    astronaut: Image, border: Border, place: tuple[float, float]
) -> None:
    landmarks = moved(ASTRONAUT, 1, 12, place)
    difference = np.abs(
        align_chip(astronaut, landmarks, border=border) - expected_chip(astronaut, landmarks, 112, border)
    )
    assert difference.mean() < 0.5
    assert np.quantile(difference, 0.999) <= 4


def test_without_a_border_named_the_outside_is_black(astronaut: Image) -> None:
    outside = moved(ASTRONAUT, 1, 0, (-500, 900))
    assert align_chip(np.maximum(astronaut, 1), outside).max() == 0


@pytest.mark.parametrize(
    ("scale", "degrees", "place"), [(3, 0, (225, 250)), (4.5, 25, (300, 250)), (3.5, -70, (200, 300))]
)
def test_of_a_large_face_each_pixel_is_an_average(
    astronaut: Image, scale: float, degrees: float, place: tuple[float, float]
) -> None:
    landmarks = moved(ASTRONAUT, scale, degrees, place)
    averages = expected_chip(astronaut, landmarks, finer=8)
    ours = np.abs(align_chip(astronaut, landmarks) - averages).mean()
    assert ours < 2.5
    assert ours < 0.75 * np.abs(expected_chip(astronaut, landmarks) - averages).mean()


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("place", [(40, 250), (470, 200), (250, 480), (480, 300)])
def test_a_large_face_has_the_same_borders(
    astronaut: Image, border: Border, place: tuple[float, float]
) -> None:
    smooth = gaussian(astronaut, 4, channel_axis=-1, preserve_range=True).astype(np.uint8)
    landmarks = moved(ASTRONAUT, 3, 12, place)
    expected = expected_chip(smooth, landmarks, 112, border, finer=8)
    assert np.abs(align_chip(smooth, landmarks, border=border) - expected).mean() < 1.5


@pytest.mark.parametrize("scale", [1, 2.9, 5.3, 11.7, 20])
@pytest.mark.parametrize("degrees", [0, 35, 180])
def test_faces_of_every_size_lie_in_the_same_place(scale: float, degrees: float) -> None:
    """A wave of 28 chip pixels; half a pixel of shift would change its values by up to 10."""
    landmarks = moved(TEMPLATE, scale, degrees, (363.3, 337.9))
    matrix = estimate_transform("similarity", landmarks, TEMPLATE).params
    y, x = np.mgrid[:700, :700].astype(np.float32)
    along = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]
    across = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]
    waves = [127 + 90 * np.sin(2 * np.pi * place / 28) for place in (along, across, along + across)]
    chip = align_chip(np.stack(waves, -1).round().astype(np.uint8), landmarks)
    v, u = np.mgrid[:112, :112]
    expected = np.stack([127 + 90 * np.sin(2 * np.pi * place / 28) for place in (u, v, u + v)], -1)
    corners = np.linalg.inv(matrix)[:2] @ np.stack([u.ravel(), v.ravel(), np.ones(112 * 112)])
    inner = ((corners > 2 * scale) & (corners < 699 - 2 * scale)).all(axis=0).reshape(112, 112)
    assert inner.sum() > 500
    assert np.abs(chip - expected)[inner].max() <= 4


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (2, 3)])
@pytest.mark.parametrize("scale", [0.02, 1, 9])
def test_thin_and_tiny_pictures_give_chips(shape: tuple[int, int], border: Border, scale: float) -> None:
    image = np.full((*shape, 3), 200, np.uint8)
    chip = align_chip(image, moved(TEMPLATE, scale, 0, (0.5, 0.5)), border=border)
    assert chip.shape == (112, 112, 3)
    assert chip.max() <= 200
    if border != "black":
        assert (chip == 200).all()


def test_a_turned_view_of_a_picture_gives_the_chip_of_its_copy(astronaut: Image) -> None:
    view = np.rot90(astronaut)[::-1]
    chip = align_chip(np.ascontiguousarray(view), ASTRONAUT)
    np.testing.assert_array_equal(align_chip(view, ASTRONAUT), chip)
