"""`feature_match.py` of the original, beside a straight-line form of what it did."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics.pairwise import cosine_similarity

from face_analysis.cli.original import main

ROOT = Path(__file__).parents[2]
NAMES = [
    f"{letter}{number // 5:03}_{number // 2:04}d{number % 2}" for number in range(160) for letter in "ab"
]


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with features of 320 images, some of length 1, and two lists of them in mixed order."""
    folder = tmp_path_factory.mktemp("features")
    rng = np.random.default_rng(0)
    for number, name in enumerate(NAMES):
        vector = rng.standard_normal(64).astype(np.float32 if number % 2 else np.float64)
        path = folder / name[:2] / f"{name}.npy"
        path.parent.mkdir(exist_ok=True)
        np.save(path, vector / np.linalg.norm(vector) if number % 3 else vector)
    paths = [str(path) for path in folder.rglob("*.npy")]
    for name, part in (("probes.txt", paths[:250]), ("gallery.txt", paths[200:])):
        (folder / name).write_text("".join(f"{path}\n" for path in rng.permutation(part)))
    return folder


def subject(dataset: str, parent: str, stem: str) -> str:
    match dataset:
        case "chiya":
            return stem[:-1]
        case "CHIYA_VAL":
            return f"{parent}/{stem}"[1:-4]
        case "PUBLIC_IVS":
            return parent
    return stem.split("_")[0]


def straight_line(
    probes: Path, gallery: Path | None, dataset: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str], list[str]]:
    """Rows of authentic and of impostor pairs, and the labels of both sides."""
    sides = []
    for listed in (probes, gallery or probes):
        paths = sorted(listed.read_text().split())
        vectors = np.stack([np.load(path).astype(np.float64) for path in paths])
        parts = [(Path(path).parent.name, Path(path).stem) for path in paths]
        labels = [f"{parent}/{stem}" for parent, stem in parts]
        sides.append((vectors, labels, [subject(dataset, *part) for part in parts]))
    (first, labels, people), (second, other_labels, others) = sides
    scores = cosine_similarity(first, second)
    rows: tuple[list[list[float]], list[list[float]]] = ([], [])
    for i in range(len(labels)):
        for j in range(0 if gallery else i + 1, len(other_labels)):
            if labels[i] != other_labels[j]:
                rows[people[i] != others[j]].append([i, j, round(scores[i, j], 6)])
    return np.array(rows[0]), np.array(rows[1]), labels, other_labels


def script(words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "feature_match.py"), *words.split()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("dataset", ["MORPH", "chiya", "CHIYA_VAL", "PUBLIC_IVS"])
@pytest.mark.parametrize("gallery", [False, True])
def test_the_original_command_writes_the_arrays_and_labels_of_the_original(
    features: Path, tmp_path: Path, dataset: str, gallery: bool
) -> None:
    probes, other = features / "probes.txt", features / "gallery.txt" if gallery else None
    words = f"-p {probes} {f'-g {other}' if gallery else ''} -o {tmp_path} -d {dataset} -gr AA"
    assert main("feature_match.py", words.split()) == 0
    authentic, impostor, labels, other_labels = straight_line(probes, other, dataset)
    for name, wanted in (("authentic", authentic), ("impostor", impostor)):
        found = np.load(tmp_path / f"AA_{name}.npy")
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1.01e-6)
        assert (found != wanted).mean() < 0.01  # features of other lengths are kept as float32 of length 1
    files = {"AA_authentic.npy", "AA_impostor.npy", "AA_labels.txt", "AA_config.yaml"}
    assert {path.name for path in tmp_path.iterdir()} == files | (
        {"AA_gallery_labels.txt"} if gallery else set()
    )
    for name, wanted_labels in (("labels", labels), ("gallery_labels", other_labels))[: 1 + gallery]:
        lines = (tmp_path / f"AA_{name}.txt").read_text().splitlines()
        assert lines == [f"{row} {label}" for row, label in enumerate(wanted_labels)]


def test_files_that_hold_no_embedding_are_named_and_the_rest_is_matched(
    features: Path, tmp_path: Path
) -> None:
    bad = {"nan": np.full(64, np.nan), "zero": np.zeros(64), "short": np.ones(32), "object": np.array([{}])}
    for name, values in bad.items():
        np.save(tmp_path / f"z_{name}.npy", values)
    (tmp_path / "z_cut.npy").write_bytes((tmp_path / "z_zero.npy").read_bytes()[:200])
    wrong = [str(tmp_path / f"z_{name}.npy") for name in (*bad, "cut", "none")]
    good = (features / "probes.txt").read_text().split()[:20]
    (tmp_path / "list.txt").write_text("\n".join(sorted([*wrong, *good])) + "\n")
    result = script(f"-p {tmp_path / 'list.txt'} -o {tmp_path / 'out'} -d MORPH -gr G")
    assert result.returncode == 1, result.stderr
    errors = (tmp_path / "out" / "G_errors.csv").read_text()
    assert all(name in errors for name in wrong)
    assert len((tmp_path / "out" / "G_labels.txt").read_text().splitlines()) == 20
    (tmp_path / "list.txt").write_text(f"{wrong[0]}\n{wrong[1]}\n")
    result = script(f"-p {tmp_path / 'list.txt'} -o {tmp_path / 'out2'} -d MORPH -gr G")
    assert (result.returncode, "none of the files" in result.stderr) == (2, True)
