from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from face_analysis.auditing.images import AuditedImages
from face_analysis.auditing.scan import Scan, ScanSettings, scan
from face_analysis.datasets.lists.image_list import ImageList
from face_analysis.datasets.sources import FolderSource
from tests.generators.portraits import astronaut, hopper


@pytest.fixture(scope="session")
def portraits() -> dict[str, Image.Image]:
    """Two people, and another part of the photo of one."""
    admiral, flyer = hopper(), astronaut()
    return {
        "hopper": admiral.crop((100, 60, 400, 360)).resize((144, 144)),
        "astronaut": flyer.crop((120, 0, 370, 250)).resize((144, 144)),
        "shifted": flyer.crop((165, 20, 415, 270)).resize((144, 144)),
    }


def audited(folder: Path, lists: Mapping[str, list[str]]) -> AuditedImages:
    """Lists of files of one folder."""
    sources = [FolderSource(ImageList(Path(f"{name}.txt"), files), folder) for name, files in lists.items()]
    return AuditedImages(tuple(lists), tuple(sources))


def scanned(images: AuditedImages) -> Scan:
    *_, complete = scan(images, ScanSettings(), workers=2)
    return complete


@pytest.fixture
def unit_rows() -> Callable[[int, int], np.ndarray]:
    """Random vectors of length 1, each third of them near the one before it."""

    def make(count: int, size: int) -> np.ndarray:
        rng = np.random.default_rng(count)
        rows = rng.normal(size=(count, size))
        for row in range(2, count, 3):
            rows[row] = rows[row - 1] + 0.1 * rng.normal(size=size)
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    return make
