"""The verification sets of a recognition training, judged before its first step."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from face_analysis.datasets.pairs.pairs import FOLDS, Pairs
from face_analysis.datasets.pairs.sets import PairSet, open_pairs
from face_analysis.errors import EmptyDataError, MissingFileError, UsageError
from face_analysis.training.options import TrainOptions

log = logging.getLogger(__name__)


def val_sets(options: TrainOptions) -> list[PairSet]:
    """The verification sets that --val_list names in --val_source, written as a Python list too.

    A set that is not there is warned of while another is. Raises MissingFileError where none is there,
    UsageError for two of one name, EmptyDataError for one whose accuracy would say nothing, and as
    `open_pairs` for one that cannot be read.
    """
    names = _names(options.val_list)
    if not names:
        raise UsageError(
            "nothing to validate on: give --val_source (a folder of verification sets) and --val_list (names)"
        )
    sets: dict[str, PairSet] = {}
    missing: list[MissingFileError] = []
    for name in names:
        place = Path(options.val_source or "", name)
        try:
            found = open_pairs(place)
        except MissingFileError as error:
            if _is_there(place):
                raise
            missing.append(error)
            continue
        _add(sets, found)
    if not sets:
        raise missing[0]
    for reason in missing:
        log.warning("%s; the score is of the other sets alone", reason)
    return list(sets.values())


def _names(words: Sequence[str]) -> list[str]:
    """The names in words such as `lfw`, `[lfw,` or `['lfw', 'cfp_fp']`."""
    names = [name.strip("[]()'\"") for word in words for name in word.replace(",", " ").split()]
    return [name for name in names if name]


def _is_there(place: Path) -> bool:
    """Whether a set of which something is missing is there itself."""
    names = (place.name, place.name.replace("cpf_fp", "cfp_fp"))
    return any(place.with_name(f"{name}{suffix}").exists() for name in names for suffix in ("", ".bin"))


def _add(sets: dict[str, PairSet], found: PairSet) -> None:
    earlier = sets.setdefault(found.path.stem, found)
    if earlier is found:
        _judge(found)
    elif earlier.path.resolve() == found.path.resolve():
        log.warning("%s is named twice in --val_list; it counts once", found.path)
    else:
        raise UsageError(f"--val_list: {earlier.path} and {found.path} have one name; rename one of them")


def _judge(pair_set: PairSet) -> None:
    pairs = pair_set.pairs
    origin, count = pair_set.path, int(pairs.same.sum())
    kinds = f"{count} pairs of one person and {len(pairs) - count} of two"
    if not 0 < count < len(pairs):
        raise EmptyDataError(f"{origin}: {kinds}; verification needs both, give another set")
    folds = np.unique(pairs.fold)
    if len(folds) < 2 or not _thresholds_can_be_chosen(pairs):
        raise EmptyDataError(
            f"{origin}: {kinds} are too few, or lie in too few folds: the pairs outside of each fold choose "
            "its threshold, and need both kinds; give a larger set"
        )
    log.info("validation: %s of %s, in %d folds", kinds, origin, len(folds))
    if pair_set.pairs_left_out:
        log.warning("%s: %d pairs have an image that cannot be read", origin, pair_set.pairs_left_out)
    if len(pairs) < 2 * FOLDS:
        log.warning("%s: %d pairs; each counts for %.0f %% of accuracy", origin, len(pairs), 100 / len(pairs))


def _thresholds_can_be_chosen(pairs: Pairs) -> bool:
    """Whether there are pairs of both kinds outside of each fold."""
    kinds = (pairs.fold[pairs.same], pairs.fold[~pairs.same])
    return all(len(np.unique(folds_of_a_kind)) > 1 for folds_of_a_kind in kinds)
