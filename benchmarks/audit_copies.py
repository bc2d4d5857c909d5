"""Copies planted among real faces: how many the audit finds, what it finds falsely, and the memory it takes.

FACE_ANALYSIS_DATA=FOLDER python -m benchmarks.audit_copies
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from benchmarks.process_memory import megabytes
from face_analysis.auditing.copies import CopyGroup, find_copies
from face_analysis.auditing.images import AuditedImages
from face_analysis.auditing.leaks import shared_pictures
from face_analysis.auditing.scan import Scan, ScanSettings, scan
from face_analysis.datasets.folders import list_folder
from face_analysis.datasets.lists.image_list import ImageList
from face_analysis.datasets.sources import FolderSource
from tests.generators.planted_copies import KINDS, jpeg, plant

Row = dict[str, str | int | float]
AMONG = 10_000
"""Real images at most, drawn from a set."""


def first_rows(found: Scan, count: int) -> Scan:
    """What a scan of the first rows alone would have seen."""
    names = ("file_hashes", "pixel_hashes", "descriptors", "faces")
    reasons = {row: reason for row, reason in found.reasons.items() if row < count}
    return replace(found, **{name: getattr(found, name)[:count] for name in names}, reasons=reasons)


def rows_together(groups: Sequence[CopyGroup]) -> dict[int, set[int]]:
    """All copies of each row that has some, itself among them."""
    together = [{copy.row for copy in group} for group in groups]
    return {row: rows for rows in together for row in rows}


def planted_copies(data: str, folder: Path, names: Sequence[str], planted: int) -> list[Row]:
    """Copies of some images, in a second list; a row a kind."""
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(names), planted, replace=False)
    base = FolderSource(ImageList(Path("base.txt"), list(names)), folder)
    with TemporaryDirectory() as place:
        kinds = plant([folder / names[row] for row in chosen], Path(place), rng)
        images = AuditedImages(
            ("base", "planted"), (base, FolderSource(list_folder(Path(place)), Path(place)))
        )
        found, groups, costs = timed_audit(images)
    before = find_copies(first_rows(found, len(base)))
    leaked = {row for leak in shared_pictures(groups, images.part) for row in leak.rows}
    common: Row = {"data": data, "images": len(images)}
    rows = []
    for kind in KINDS:
        pairs = [
            (int(chosen[number]), len(base) + number) for number in range(planted) if kinds[number] == kind
        ]
        counts = judged(pairs, len(base), rows_together(groups), rows_together(before), leaked)
        rows.append(common | {"kind": kind} | counts | costs)
    return rows


def judged(
    pairs: Sequence[tuple[int, int]],
    base: int,
    together: dict[int, set[int]],
    before: dict[int, set[int]],
    leaked: set[int],
) -> Row:
    """How many copies are put together with their originals, and are told as leaks.

    `false_links` are pictures among the first `base` that a copy is put together with and that are neither
    its original nor, by an audit of the first list alone, copies of that.
    """
    right = wrong = leaks = 0
    for original, copy in pairs:
        linked = {row for row in together.get(copy, set()) if row < base}
        right += original in linked
        wrong += len(linked - {original} - before.get(original, set()))
        leaks += original in linked and copy in leaked
    counts: Row = {"planted": len(pairs), "found": right, "told_as_leaks": leaks, "false_links": wrong}
    return counts | {"recall": right / len(pairs), "precision": right / max(right + wrong, 1)}


def timed_audit(images: AuditedImages) -> tuple[Scan, list[CopyGroup], Row]:
    start = time.perf_counter()
    *_, found = scan(images, ScanSettings(), workers=2)
    scanned = time.perf_counter()
    groups = find_copies(found)
    costs: Row = {"scan_seconds": round(scanned - start, 1)}
    costs |= {
        "search_seconds": round(time.perf_counter() - scanned, 1),
        "peak_MiB": round(megabytes("VmHWM")),
    }
    return found, groups, costs


class Generated(FolderSource):
    """Pictures of smooth noise, no two alike, made when they are read."""

    def read(self, index: int) -> bytes:
        """The picture of a row, as JPEG."""
        coarse = np.random.default_rng(index).integers(0, 256, (14, 14, 3), np.uint8)
        return jpeg(cv2.resize(coarse, (112, 112), interpolation=cv2.INTER_CUBIC), 90)


def many_images(count: int) -> list[Row]:
    """An audit of generated pictures, none of which is a copy."""
    source = Generated(ImageList(Path("generated.txt"), [str(row) for row in range(count)]))
    _, groups, costs = timed_audit(AuditedImages(("generated",), (source,)))
    row: Row = {"data": "generated", "images": count, "kind": "none", "planted": 0}
    return [row | {"false_links": sum(map(len, groups))} | costs]


def in_a_process(work: Callable[..., list[Row]], *arguments: object) -> list[Row]:
    """In a process of its own, whose peak of memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("results/audit_copies.csv"))
    parser.add_argument("--planted", type=int, default=500)
    parser.add_argument("--generated", type=int, default=100_000)
    options = parser.parse_args()
    data = Path(os.environ["FACE_ANALYSIS_DATA"])
    utkface = (data / "utkface" / "train.txt").read_text(encoding="utf-8").splitlines()
    sets = {
        "lfw": (data / "lfw" / "images", list_folder(data / "lfw" / "images").images),
        "utkface": (data / "utkface" / "images", [line.rsplit(" ", 3)[0] for line in utkface]),
    }
    rows: list[Row] = []
    for name, (folder, names) in sets.items():
        chosen = sorted(np.random.default_rng(1).permutation(names)[:AMONG].tolist())
        rows += in_a_process(planted_copies, name, folder, chosen, options.planted)
    rows += in_a_process(many_images, options.generated)
    with options.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    print(options.output.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
