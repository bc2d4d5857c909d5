"""The files of a match: counts, the most extreme pairs, and subjects, readable without this package."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from face_analysis.errors import MissingFileError, PackedFileError
from face_analysis.evaluation.score_histogram import BINS, ScoreHistogram
from face_analysis.files import whole_file, write_csv
from face_analysis.matching.result import PAIR, SUBJECT_ERRORS, MatchResult

if TYPE_CHECKING:
    from face_analysis.matching.comparison import Comparison

COUNTS, TAILS, SUBJECTS = "counts.npz", "tails.csv", "subjects.csv"
ENDS = ("highest", "lowest")
TAIL_HEADER = ("kind", "score", "probe", "gallery", "probe_subject", "gallery_subject")
Arrays = Mapping[str, NDArray[Any]]


def write_counts(result: MatchResult, folder: Path) -> None:
    """Write `counts.npz`, from which `read_counts` gives the result again. Raises WriteError.

    A member is called a unit in it.
    """
    pairs = list(result.histograms)
    by_unit = result.by_member.astype(np.min_scalar_type(result.by_member.max()))
    arrays: dict[str, Any] = {
        "thresholds": result.thresholds,
        "unit_subject": result.members["subject"],
        "unit_group": result.members["group"],
        "gallery_units": result.probe_members,
        "by_unit": by_unit,
        "compared": result.compared,
        "groups": np.array(result.groups),
        "subjects": np.array(result.subjects),
        "group_pairs": np.array([[result.groups.index(name) for name in pair] for pair in pairs]),
        "mated": np.stack([result.histograms[pair].mated for pair in pairs]),
        "non_mated": np.stack([result.histograms[pair].non_mated for pair in pairs]),
    }
    for end in ENDS:
        arrays |= {f"{end}_{field}": getattr(result, end)[field] for field in ("score", "probe", "gallery")}
    with whole_file(folder / COUNTS) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)


def read_counts(folder: Path) -> MatchResult:
    """The result that a match left in its folder. Raises MissingFileError and PackedFileError."""
    path = folder / COUNTS
    if not path.is_file():
        raise MissingFileError(path, "counts of a match")
    try:
        return _result(read_arrays(path))
    except Exception as error:  # see read_arrays
        raise PackedFileError(f"{path}: not the counts of a match ({error}); run match again") from error


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an `.npz` file, each compared with its checksum.

    Damaged bytes make zipfile, its decoders and NumPy raise nearly anything.
    """
    with zipfile.ZipFile(path) as archive:
        return {
            name.removesuffix(".npy"): np.load(BytesIO(archive.read(name)), allow_pickle=False)
            for name in archive.namelist()
        }


def array_of(arrays: Arrays, name: str, kind: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """One of the arrays. Raises ValueError where it is missing, or not of this `dtype.kind` and shape."""
    if name not in arrays:
        raise ValueError(f"no array `{name}`")
    found = arrays[name]
    if found.dtype.kind not in kind or found.shape != shape:
        raise ValueError(f"`{name}` is {found.dtype} {found.shape}, not {kind} {shape}")
    return found


def numbers_of(arrays: Arrays, name: str, shape: tuple[int, ...], end: int) -> NDArray[np.int64]:
    """One of the arrays, of integers from 0 up to, not including, `end`. Raises ValueError."""
    found = array_of(arrays, name, "iu", shape)
    if found.size and not 0 <= found.min() <= found.max() < end:
        raise ValueError(f"`{name}` has numbers under 0, or over {end - 1}")
    return found.astype(np.int64)


def _result(arrays: Arrays) -> MatchResult:
    sized = ("groups", "subjects", "group_pairs", "thresholds", "unit_group")
    groups, subjects, pairs, thresholds, units = (len(arrays[name]) for name in sized)
    names = array_of(arrays, "groups", "U", (groups,)).tolist()
    members = np.empty(units, [("subject", np.int64), ("group", np.int64)])
    members["subject"] = numbers_of(arrays, "unit_subject", (units,), subjects)
    members["group"] = numbers_of(arrays, "unit_group", (units,), groups)
    histograms = zip(
        numbers_of(arrays, "group_pairs", (pairs, 2), groups).tolist(),
        array_of(arrays, "mated", "iu", (pairs, BINS)),
        array_of(arrays, "non_mated", "iu", (pairs, BINS)),
        strict=True,
    )
    return MatchResult(
        groups=names,
        subjects=array_of(arrays, "subjects", "U", (subjects,)).tolist(),
        histograms={
            (names[one], names[other]): ScoreHistogram(mated, non_mated)
            for (one, other), mated, non_mated in histograms
        },
        highest=_tail(arrays, "highest"),
        lowest=_tail(arrays, "lowest"),
        thresholds=array_of(arrays, "thresholds", "f", (thresholds,)),
        members=members,
        probe_members=int(numbers_of(arrays, "gallery_units", (), units + 1)),
        by_member=array_of(arrays, "by_unit", "iu", (2, units, groups, thresholds + 1)).astype(np.int64),
        compared=array_of(arrays, "compared", "iu", (units, groups)),
    )


def _tail(arrays: Arrays, end: str) -> NDArray[np.void]:
    found = np.empty(len(arrays[f"{end}_score"]), PAIR)
    for field, kind in (("probe", "iu"), ("gallery", "iu"), ("score", "f")):
        found[field] = array_of(arrays, f"{end}_{field}", kind, found.shape)
    return found


def write_tails(result: MatchResult, comparison: Comparison, folder: Path) -> None:
    """Write `tails.csv`: the highest non-mated scores, then the lowest mated ones. Raises WriteError."""
    write_csv(folder / TAILS, TAIL_HEADER, tail_rows(result, comparison))


def tail_rows(result: MatchResult, comparison: Comparison) -> Iterator[tuple[object, ...]]:
    """The rows of `tails.csv`."""
    probes, gallery, subjects = comparison.probes, comparison.gallery, comparison.subjects
    for kind, pairs in (("non-mated", result.highest), ("mated", result.lowest)):
        for row, other, score in pairs.tolist():
            paths = probes.features.paths[row], gallery.features.paths[other]
            people = subjects[probes.rows["subject"][row]], subjects[gallery.rows["subject"][other]]
            yield kind, f"{score:.6f}", *paths, *people


def write_subjects(result: MatchResult, threshold: float | None, folder: Path) -> None:
    """Write `subjects.csv`: pairs by subject, and the errors among them at a threshold. Raises WriteError.

    A non-mated pair is in the rows of both its subjects. Without a threshold the errors are empty. Raises
    UsageError as `MatchResult.subject_errors`.
    """
    errors = result.subject_errors(result.thresholds[-1] if threshold is None else threshold)
    columns = {name: errors[name].round(2).tolist() for name in SUBJECT_ERRORS.names or ()}
    if threshold is None:
        columns |= dict.fromkeys(("false_matches", "false_non_matches"), [None] * len(errors))
    rows = zip(result.subjects, *columns.values(), strict=True)
    write_csv(folder / SUBJECTS, ("subject", *columns), rows)
