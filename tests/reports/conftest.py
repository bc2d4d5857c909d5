from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from face_analysis.cli.main import main
from face_analysis.files import write_csv
from face_analysis.matching.feature_set import EMBEDDINGS, INDEX


def write_people(folder: Path) -> None:
    """A feature set of 150 people, three images each, of three races; race 0 looks more alike than others."""
    rng = np.random.default_rng(0)
    race = np.repeat([0, 1, -1], [70, 70, 10])
    centres = rng.standard_normal((150, 32))
    centres[race == 0, 0] += 2.5
    features = np.repeat(centres, 3, axis=0) + 1.2 * rng.standard_normal((450, 32))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    folder.mkdir()
    np.save(folder / EMBEDDINGS, features.astype(np.float32))
    rows = ((row, f"p{row // 3}/{row}.jpg", f"p{row // 3}", race[row // 3]) for row in range(450))
    write_csv(folder / INDEX, ("row", "path", "subject", "race"), rows)


@pytest.fixture(scope="session")
def matched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `set`, a feature set, and what `match` found: `groups` by race, `plain` without."""
    folder = tmp_path_factory.mktemp("matched")
    write_people(folder / "set")
    told = [str(folder / "set"), "--fmr", "0.01", "--tail", "30", "-o"]
    assert main(["match", *told, str(folder / "groups"), "--group", "race"]) == 0
    assert main(["match", *told, str(folder / "plain")]) == 0
    return folder
