"""All that an audit finds, put together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from face_analysis.auditing.copies import CopyGroup, find_copies
from face_analysis.auditing.images import AuditedImages
from face_analysis.auditing.labels import Contradiction, contradictions
from face_analysis.auditing.leaks import Leak, lookalikes, shared_pictures, shared_subjects
from face_analysis.auditing.scan import Scan


@dataclass(frozen=True)
class AuditReport:
    """What is wrong with the images; groups are numbered by their place."""

    images: AuditedImages
    scan: Scan
    labels: dict[str, NDArray[np.int64]]
    subjects: list[str]
    groups: list[CopyGroup]
    contradictions: list[Contradiction]
    leaks: list[Leak]

    def summary(self) -> dict[str, list[int]]:
        """Figures by name, one a list: images, and how many of them have what wrong with them."""
        part = self.images.part
        copied = [copy.row for group in self.groups for copy in group]
        spare = [copy.row for group in self.groups for copy in group[1:]]
        torn = {one.group for one in self.contradictions}
        contradicting = [copy.row for number in torn for copy in self.groups[number]]
        shared = {
            kind: sorted({row for leak in self.leaks if leak.kind == kind for row in leak.rows})
            for kind in ("picture", "subject", "lookalike")
        }
        counts: dict[str, Iterable[int]] = {
            "images": range(len(part)),
            "unreadable": self.scan.reasons,
            "in groups of copies": copied,
            "copies beyond the first": spare,
            "in groups of contradicting labels": contradicting,
            "pictures shared between lists": shared["picture"],
            "images of subjects shared between lists": shared["subject"],
        }
        if self.scan.embeddings is not None:
            counts["lookalikes in another list"] = shared["lookalike"]
        if self.scan.faces_counted:
            counts["no face found"] = np.flatnonzero(self.scan.faces == 0)
            counts["several faces found"] = np.flatnonzero(self.scan.faces > 1)
        return {name: self._by_list(rows) for name, rows in counts.items()}

    def _by_list(self, rows: Iterable[int]) -> list[int]:
        chosen = np.fromiter(rows, np.int64)
        counts: list[int] = np.bincount(self.images.part[chosen], minlength=len(self.images.names)).tolist()
        return counts


def audit(images: AuditedImages, scan: Scan, similarity: float) -> AuditReport:
    """Judge what a complete scan saw."""
    labels, subjects = images.labels(), images.subjects()
    groups = find_copies(scan, similarity)
    leaks = shared_pictures(groups, images.part) + shared_subjects(subjects, images.part)
    if scan.embeddings is not None:
        leaks += lookalikes(scan.embeddings, images.part, leaks)
    return AuditReport(
        images, scan, labels, subjects, groups, contradictions(groups, labels, subjects), leaks
    )
