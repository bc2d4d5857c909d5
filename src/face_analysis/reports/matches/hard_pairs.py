"""The pairs of a match that are hardest to judge, with their pictures where asked for."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from face_analysis.errors import MissingFileError, PackedFileError, UnreadableImageError
from face_analysis.images.decode import decode
from face_analysis.images.limits import read_picture_file
from face_analysis.matching.match_files import TAILS
from face_analysis.reports.page import Table, thumbnail

MOST_PAIRS = 20
Photos = tuple[Path, Path]


@dataclass(frozen=True)
class PairImage:
    """An image of a pair and whom it shows; `data` is a JPEG in base 64, "" without one."""

    path: str
    subject: str
    data: str


@dataclass(frozen=True)
class HardPair:
    """A score with both of its images."""

    score: str
    pictures: tuple[PairImage, PairImage]


@dataclass(frozen=True)
class HardPairs:
    """One end of the scores; the hardest first."""

    title: str
    about: str
    pairs: Sequence[HardPair]

    @property
    def table(self) -> Table:
        """Score and images, without pictures."""
        rows = [(pair.score, *(picture.path for picture in pair.pictures)) for pair in self.pairs]
        return Table(("score", "probe", "gallery"), rows)


ENDS = {
    "non-mated": (
        "Two people, highest scores",
        "Also wrong labels end up here: look at them before you count.",
    ),
    "mated": (
        "One person, lowest scores",
        "Also faces of others in the photo, and wrong labels, end up here.",
    ),
}


def hard_pairs(folder: Path, photos: Photos | None) -> list[HardPairs]:
    """The MOST_PAIRS hardest at each end, of the `tails.csv` of a match.

    With `photos`, the folders of the probes' images and of the gallery's, each has its picture; one that
    cannot be read is left blank.
    Raises MissingFileError, and PackedFileError for a file that is not such a table.
    """
    path = folder / TAILS
    if not path.is_file():
        raise MissingFileError(path, "table of the most extreme pairs")
    found: dict[str, list[HardPair]] = {kind: [] for kind in ENDS}
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        try:
            for row in csv.DictReader(file, strict=True):
                if len(found[row["kind"]]) < MOST_PAIRS:
                    folders = photos or (None, None)
                    images = (_image(row, "probe", folders[0]), _image(row, "gallery", folders[1]))
                    found[row["kind"]].append(HardPair(f"{float(row['score']):.4f}", images))
        except (csv.Error, KeyError, ValueError, TypeError) as error:
            raise PackedFileError(f"{path}: not the tails of a match ({error}); run match again") from error
    return [HardPairs(*ENDS[kind], pairs) for kind, pairs in found.items()]


def _image(row: dict[str, str], side: str, photos: Path | None) -> PairImage:
    path = row[side]
    return PairImage(path, row[f"{side}_subject"], "" if photos is None else _picture(photos / path))


def _picture(path: Path) -> str:
    try:
        return thumbnail(decode(read_picture_file(path), str(path)))
    except (UnreadableImageError, OSError):
        return ""
