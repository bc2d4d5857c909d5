"""Pictures for the tests of this folder; photos of people are those scikit-image and matplotlib carry."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from face_analysis.images.detect import YuNet
from face_analysis.types import Image
from face_analysis.zoo.find import find
from tests.conftest import inside

# What damages images and what makes rare ones is shared with the benchmark that runs more of the same.
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))


@pytest.fixture(scope="session")
def astronaut() -> Image:
    """A portrait, 512x512, her face about 110 pixels wide, nearly upright."""
    with Pillow.open(inside("skimage", "data", "astronaut.png")) as photo:
        return np.asarray(photo.convert("RGB"))


@pytest.fixture(scope="session")
def admiral() -> Image:
    """A portrait of Grace Hopper, 600x512."""
    with Pillow.open(inside("matplotlib", "mpl-data", "sample_data", "grace_hopper.jpg")) as photo:
        return np.asarray(photo.convert("RGB"))


@pytest.fixture(scope="session")
def yunet() -> YuNet:
    return YuNet(find("yunet"))
