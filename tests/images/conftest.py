"""Pictures for the tests of this folder; photos of people are those scikit-image and matplotlib carry."""

from __future__ import annotations

import numpy as np
import pytest

from face_analysis.images.detect import YuNet
from face_analysis.types import Image
from face_analysis.zoo.find import find
from tests.generators import portraits


@pytest.fixture(scope="session")
def astronaut() -> Image:
    """A portrait, 512x512, her face about 110 pixels wide, nearly upright."""
    return np.asarray(portraits.astronaut())


@pytest.fixture(scope="session")
def admiral() -> Image:
    """A portrait of Grace Hopper, 600x512."""
    return np.asarray(portraits.hopper())


@pytest.fixture(scope="session")
def yunet() -> YuNet:
    return YuNet(find("yunet"))
