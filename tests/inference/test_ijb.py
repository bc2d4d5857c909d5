from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from face_analysis.datasets.pairs.ijb import open_ijb
from face_analysis.errors import EmptyDataError
from face_analysis.files import FailureLog
from face_analysis.images.align import align_chip
from face_analysis.inference.ijb import TemplatePool, verify_ijb
from tests.datasets.ijb_files import write_people
from tests.inference.test_verify import LeftHalf


@pytest.fixture
def folder(tmp_path: Path, patterns: Path) -> Path:
    """A set of which four images cannot be used, two of them all there is of template 102."""
    folder = write_people(tmp_path / "IJBC", patterns)
    (folder / "loose_crop" / "000007.jpg").write_bytes(b"no image")
    for name in ("000002.jpg", "000026.jpg", "000050.jpg"):
        (folder / "loose_crop" / name).unlink()
    return folder


def plain_cosines(folder: Path) -> tuple[list[float], list[float]]:
    """Mated and non-mated scores by a plain loop over the lines of the lists."""
    medias: dict[tuple[str, str], list[np.ndarray]] = {}
    points = (folder / "meta" / "ijbc_name_5pts_score.txt").read_text().splitlines()
    members = (folder / "meta" / "ijbc_face_tid_mid.txt").read_text().splitlines()
    for line, landmarks in zip(members, points, strict=True):
        name, template, media = line.split()
        path = folder / "loose_crop" / name
        if not path.exists() or path.stat().st_size < 100:
            continue
        pixels = np.asarray(Image.open(path).convert("RGB"))
        chip = align_chip(pixels, np.array(landmarks.split()[1:11], np.float32).reshape(5, 2))
        vector = chip[:, :56].reshape(-1, 3).mean(axis=0) - 127.5
        medias.setdefault((template, media), []).append(vector / np.linalg.norm(vector))
    templates: dict[str, np.ndarray] = {}
    for (template, _), vectors in medias.items():
        templates[template] = templates.get(template, 0) + sum(vectors) / len(vectors)
    scores: tuple[list[float], list[float]] = ([], [])
    for line in (folder / "meta" / "ijbc_template_pair_label.txt").read_text().splitlines():
        first, second, same = line.split()
        if first in templates and second in templates:
            a, b = templates[first], templates[second]
            scores[same == "0"].append(float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))
    return scores


def test_templates_are_compared_as_a_plain_loop_over_the_lists_compares_them(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    failures, embedder = FailureLog(tmp_path / "errors.csv"), LeftHalf()
    with caplog.at_level(logging.WARNING):
        report = verify_ijb(open_ijb(folder), embedder, failures, batch_size=7)
    mated, non_mated = plain_cosines(folder)
    assert (report.name, report.images, report.accuracy) == ("ijbc", 60, None)
    assert (report.curve.mated, report.curve.non_mated) == (len(mated), len(non_mated))
    assert report.pairs_left_out == 23
    assert "templates without a usable image: 1; pairs left out with them: 23 (102)" in caplog.text
    names = {"000007.jpg", "000002.jpg", "000026.jpg", "000050.jpg"}
    assert failures.seen == {str(folder / "loose_crop" / name) for name in names}
    for threshold in np.linspace(-0.9, 0.99, 30):
        assert min(abs(score - threshold) for score in mated + non_mated) > 1e-5
        place = next(i for i, value in enumerate(report.curve.thresholds) if value >= threshold)
        fmr = sum(score >= threshold for score in non_mated) / len(non_mated)
        fnmr = sum(score < threshold for score in mated) / len(mated)
        assert (report.curve.fmr[place], report.curve.fnmr[place]) == (
            pytest.approx(fmr),
            pytest.approx(fnmr),
        )
    assert max(embedder.batches) == 7


def test_a_set_without_any_image_is_refused(folder: Path, tmp_path: Path) -> None:
    for path in (folder / "loose_crop").iterdir():
        path.unlink()
    with pytest.raises(EmptyDataError, match="no pair is left"):
        verify_ijb(open_ijb(folder), LeftHalf(), FailureLog(tmp_path / "errors.csv"))


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_templates_are_pooled_as_a_plain_loop_pools_them(batch: int) -> None:
    rng = np.random.default_rng(0)
    template, media = rng.integers(0, 9, 80), rng.integers(0, 4, 80)
    embeddings = rng.normal(size=(80, 5)).astype(np.float32)
    unreadable = [row for row in range(80) if template[row] == 4 or row % 11 == 0]
    pool = TemplatePool(template, media, 5)
    rows = [row for row in rng.permutation(80).tolist() if row not in unreadable]
    for start in range(0, len(rows), batch):
        part = np.array(rows[start : start + batch])
        pool.add(part, embeddings[part])
    found, there = pool.templates()
    for number in range(9):
        sums = np.zeros(5)
        for one in range(4):
            of_media = [row for row in rows if template[row] == number and media[row] == one]
            if of_media:
                sums += sum(embeddings[row].astype(float) for row in of_media) / len(of_media)
        assert there[number] == (number != 4)
        length = np.sqrt((sums**2).sum())
        np.testing.assert_allclose(found[number], sums / length if length else 0, atol=1e-6)


def test_media_of_the_same_number_in_two_templates_are_two() -> None:
    pool = TemplatePool(np.array([0, 0, 1]), np.array([5, 6, 5]), 2)
    pool.add(np.arange(3), np.array([[1, 0], [0, 1], [0, 2]], np.float32))
    np.testing.assert_allclose(pool.templates()[0], [[np.sqrt(0.5), np.sqrt(0.5)], [0, 1]])
