"""The files of a match: counts, the most extreme pairs, and subjects, readable without this package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from face_analysis.errors import MissingFileError, PackedFileError
from face_analysis.evaluation.score_histogram import ScoreHistogram
from face_analysis.files import whole_file, write_csv
from face_analysis.matching.result import MatchResult, PairScores

if TYPE_CHECKING:
    from face_analysis.matching.comparison import Comparison

COUNTS, TAILS, SUBJECTS = "counts.npz", "tails.csv", "subjects.csv"
ENDS = ("highest", "lowest")
PLAIN = ("thresholds", "unit_subject", "unit_group", "gallery_units", "by_unit", "compared")


def write_counts(result: MatchResult, folder: Path) -> None:
    """Write `counts.npz`, from which `read_counts` gives the result again. Raises WriteError."""
    pairs = list(result.histograms)
    arrays: dict[str, Any] = {name: getattr(result, name) for name in PLAIN}
    arrays |= {
        "groups": np.array(result.groups),
        "subjects": np.array(result.subjects),
        "group_pairs": np.array([[result.groups.index(name) for name in pair] for pair in pairs]),
        "mated": np.stack([result.histograms[pair].mated for pair in pairs]),
        "non_mated": np.stack([result.histograms[pair].non_mated for pair in pairs]),
    }
    for end in ENDS:
        arrays |= {f"{end}_{part}": values for part, values in vars(getattr(result, end)).items()}
    arrays["by_unit"] = result.by_unit.astype(np.min_scalar_type(result.by_unit.max()))
    with whole_file(folder / COUNTS) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)


def read_counts(folder: Path) -> MatchResult:
    """The result that a match left in its folder. Raises MissingFileError and PackedFileError."""
    path = folder / COUNTS
    if not path.is_file():
        raise MissingFileError(path, "counts of a match")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return _result(arrays)
    except (KeyError, ValueError, OSError, EOFError) as error:
        raise PackedFileError(f"{path}: not the counts of a match ({error}); run match again") from error


def _result(arrays: Any) -> MatchResult:
    groups = arrays["groups"].tolist()
    histograms = {
        (groups[probe], groups[gallery]): ScoreHistogram(mated, non_mated)
        for (probe, gallery), mated, non_mated in zip(
            arrays["group_pairs"].tolist(), arrays["mated"], arrays["non_mated"], strict=True
        )
    }
    found: dict[str, Any] = {name: arrays[name] for name in PLAIN}
    found["gallery_units"] = int(arrays["gallery_units"])
    found["by_unit"] = found["by_unit"].astype(np.int64)
    for end in ENDS:
        found[end] = PairScores(*(arrays[f"{end}_{part}"] for part in ("score", "probe", "gallery")))
    return MatchResult(groups=groups, subjects=arrays["subjects"].tolist(), histograms=histograms, **found)


def write_tails(result: MatchResult, comparison: Comparison, folder: Path) -> None:
    """Write `tails.csv`: the highest non-mated scores, then the lowest mated ones. Raises WriteError."""
    header = ("kind", "score", "probe", "gallery", "probe_subject", "gallery_subject")
    write_csv(folder / TAILS, header, _tail_rows(result, comparison))


def _tail_rows(result: MatchResult, comparison: Comparison) -> Iterator[tuple[object, ...]]:
    probes, gallery, subjects = comparison.probes, comparison.gallery, comparison.subjects
    for kind, pairs in (("non-mated", result.highest), ("mated", result.lowest)):
        for score, row, other in zip(
            pairs.score.tolist(), pairs.probe.tolist(), pairs.gallery.tolist(), strict=True
        ):
            paths = probes.features.paths[row], gallery.features.paths[other]
            people = subjects[probes.subject[row]], subjects[gallery.subject[other]]
            yield kind, f"{score:.6f}", *paths, *people


def write_subjects(result: MatchResult, threshold: float | None, folder: Path) -> None:
    """Write `subjects.csv`: pairs by subject, and the errors among them at a threshold. Raises WriteError.

    A non-mated pair is in the rows of both its subjects. Without a threshold the errors are empty. Raises
    UsageError as `MatchResult.subject_errors`.
    """
    counts = result.subject_counts()
    unknown: list[float | None] = [None] * len(result.subjects)
    wrong, missed = unknown, unknown
    if threshold is not None:
        errors = counts.at(threshold)
        wrong = np.round(errors.false_matches, 2).tolist()
        missed = np.round(errors.false_non_matches, 2).tolist()
    rows = zip(result.subjects, counts.non_mated.tolist(), wrong, counts.mated.tolist(), missed, strict=True)
    write_csv(
        folder / SUBJECTS, ("subject", "non_mated", "false_matches", "mated", "false_non_matches"), rows
    )
