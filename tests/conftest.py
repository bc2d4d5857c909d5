"""Fixtures that several folders of tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from face_analysis.datasets.synthetic import write_patterns

FACES = "FACE_ANALYSIS_DATA"


# Tests run side by side, a process a core: more threads each, in commands they start too, would only wait.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get(FACES):
        return
    skip = pytest.mark.skip(reason=f"set {FACES} to a folder of real faces to run it")
    for item in items:
        if item.get_closest_marker("faces"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def faces_data() -> Path:
    """The folder of real faces; tests that use it carry the marker `faces`."""
    return Path(os.environ[FACES])


@pytest.fixture(scope="session")
def patterns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image list `path race gender age` of 60 generated pictures, beside its folder; not to be changed."""
    return write_patterns(tmp_path_factory.mktemp("patterns"), 60, seed=7)
