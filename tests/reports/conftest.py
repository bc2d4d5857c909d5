from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from face_analysis.cli.main import main
from face_analysis.files import write_csv
from face_analysis.matching.features.feature_set import EMBEDDINGS, INDEX
from face_analysis.reports.runs.comparison import RunComparison, compare
from face_analysis.reports.runs.training_runs import read_runs
from tests.reports.run_folders import write_run

ACCURACIES = {
    ("arcface", 0): (0.5, 0.71, 0.7),
    ("arcface", 1): (0.6, 0.73, 0.74),
    ("arcface", 2): (0.4, 0.69),
    ("cosface", 0): (0.55, 0.65, 0.66),
    ("cosface", 1): (0.5, 0.7, 0.62),
}
"""After each epoch of three; the third run of arcface is unfinished."""


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


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Runs of two heads and several seeds."""
    folder = tmp_path_factory.mktemp("runs")
    return [
        write_run(folder / f"{head}_{seed}", values, finished=len(values) == 3, head=head, seed=seed)
        for (head, seed), values in ACCURACIES.items()
    ]


@pytest.fixture(scope="session")
def comparison(folders: list[Path]) -> RunComparison:
    """Of these runs."""
    return compare(read_runs(folders))
