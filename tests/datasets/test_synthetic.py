from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from face_analysis.datasets.faces import FaceDataset
from face_analysis.datasets.sources import open_source
from face_analysis.datasets.synthetic import write_patterns, write_people
from face_analysis.errors import WriteError
from face_analysis.images.decode import decode


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    lists = [write_patterns(tmp_path / name, 5, seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    contents = [
        (path.read_bytes(), [file.read_bytes() for file in sorted((path.parent / "patterns").iterdir())])
        for path in lists
    ]
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]


@pytest.mark.parametrize("mirrored", [False, True])
def test_labels_can_be_measured_in_the_pixels_mirrored_or_not(tmp_path: Path, mirrored: bool) -> None:
    path = write_patterns(tmp_path, 200, seed=3)
    dataset = FaceDataset(open_source(path.parent, path), ["race", "gender", "age"])
    batch = dataset.__getitems__(range(200))
    race, gender, age = batch.labels.numpy().T
    grey = batch.images.numpy().astype(np.float64).mean(axis=1)
    grey = grey[:, :, ::-1] if mirrored else grey
    down, right = np.gradient(gaussian_filter(grey, (0, 1.5, 1.5)), axis=(1, 2))
    # The structure tensor's main axis is the direction in which the stripes follow each other.
    crossed, along = (2 * right * down).mean(axis=(1, 2)), (right**2 - down**2).mean(axis=(1, 2))
    degrees = np.abs(np.rad2deg(np.arctan2(crossed, along) / 2))
    assert (np.rint(degrees / 22.5) == race).mean() > 0.95
    power = np.abs(np.fft.rfft2(grey - grey.mean(axis=(1, 2), keepdims=True)))
    peak = power.reshape(200, -1).argmax(axis=1)
    cycles = np.hypot(np.fft.fftfreq(112, 1 / 112)[peak // 57], peak % 57)
    assert ((cycles > 6) == gender).mean() > 0.95
    assert 0.9 < np.corrcoef(grey.mean(axis=(1, 2)), age)[0, 1] < 0.9999


def test_pictures_of_one_subject_are_more_alike_than_those_of_two_and_share_their_labels(
    tmp_path: Path,
) -> None:
    path = write_people(tmp_path, 12, 3, seed=4)
    source = open_source(path.parent, path)
    subjects = np.array(source.strings["subject"])
    assert sorted(subjects.tolist()) == sorted(f"{number:03d}" for number in [*range(12)] * 3)
    for values in source.labels.values():
        assert all(len(set(values[subjects == subject].tolist())) == 1 for subject in subjects)
    pictures = [decode(source.read(row), "").astype(float).mean(axis=2) for row in range(36)]
    waves = np.stack(
        [np.abs(np.fft.rfft2(gaussian_filter(grey - grey.mean(), 2))).ravel() for grey in pictures]
    )
    alike = np.corrcoef(waves)  # of amplitudes, which a shift leaves as they are
    same = subjects[:, None] == subjects
    assert alike[same & ~np.eye(36, dtype=bool)].mean() > alike[~same].mean() + 0.3
    again = write_people(tmp_path / "again", 12, 3, seed=4)
    assert (again.parent / "007" / "2.jpg").read_bytes() == (tmp_path / "007" / "2.jpg").read_bytes()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WriteError, match="file"):
        write_patterns(tmp_path / "file", 1, 0)
    with pytest.raises(WriteError, match="file"):
        write_people(tmp_path / "file", 1, 1, 0)
