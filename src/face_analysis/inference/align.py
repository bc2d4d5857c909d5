"""Aligned chips of a whole source, in files that keep its folder tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2

from face_analysis.datasets.lists.image_list import CSV_LABELS
from face_analysis.datasets.sources import ImageSource, names_sha256
from face_analysis.files import FailureLog, whole_file, write_csv
from face_analysis.images.chips import Chip, FaceCutter
from face_analysis.inference.pipeline import BLOCK, Cut, cut_ahead, inputs
from face_analysis.journal import Journal
from face_analysis.outputs import own_names, shortened

INDEX = "chips.csv"
ENCODED = {
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY],
    ".jpeg": [cv2.IMWRITE_JPEG_QUALITY],
    ".webp": [cv2.IMWRITE_WEBP_QUALITY],
    ".png": [],
    ".bmp": [],
}
"""Endings whose format chips are written in, and their setting of quality; a chip of another photo becomes
PNG, its name longer by .png."""


@dataclass(frozen=True)
class AlignRun:
    """Where chips go and how they are made; `quality` is of JPEG and WebP, 1 to 100."""

    dest: Path
    quality: int
    workers: int
    resume: bool


def align_source(
    source: ImageSource, cutter: FaceCutter, failures: FailureLog, run: AlignRun, settings: dict[str, str]
) -> Iterator[Cut]:
    """Write the chips of all photos under `run.dest`, giving each photo when it is done.

    A photo's chip keeps its path; where all faces are wanted they are numbered. `chips.csv` lists the chips
    with the labels of their photos, and can be trained on. Photos that cannot be read and those without a
    face go to `failures`. A resumed run, which must have the same `settings`, leaves the same files as an
    undisturbed one. Raises UsageError and WriteError.
    """
    columns = [name for name in CSV_LABELS if name in source.labels]
    identity = {"photos": names_sha256(source), **settings}
    names = own_names(map(source.name, range(len(source))), tuple(ENCODED), ".png")
    with Journal(run.dest / INDEX, identity, resume=run.resume) as journal:
        cuts = cut_ahead(inputs(source, journal.done), cutter, BLOCK, run.workers)
        for row, cut in enumerate(cuts, journal.done):
            labels = {name: int(source.labels[name][row]) for name in columns}
            for number, chip in enumerate(cut.chips):
                name = _numbered(names[row], number) if cutter.which == "all" else names[row]
                _write_chip(run.dest / name, chip, run.quality)
                journal.add({"path": name, **labels})
            failures.add(filter(None, [cut.without_face]))
            if (row + 1) % BLOCK == 0 or row + 1 == len(source):
                journal.mark(row + 1)
            yield cut
        header = ("path", *columns)
        write_csv(run.dest / INDEX, header, ([one[name] for name in header] for one in journal.records()))
        journal.remove()


def _numbered(name: str, number: int) -> str:
    path = PurePosixPath(name)
    return str(path.with_name(shortened(f"{path.stem}_{number}{path.suffix}")))


def _write_chip(path: Path, chip: Chip, quality: int) -> None:
    settings = [number for key in ENCODED[path.suffix.lower()] for number in (key, quality)]
    encoded = cv2.imencode(path.suffix, cv2.cvtColor(chip.pixels, cv2.COLOR_RGB2BGR), settings)[1]
    with whole_file(path) as partial:
        partial.write_bytes(encoded.tobytes())
