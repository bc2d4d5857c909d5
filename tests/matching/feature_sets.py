"""Feature sets written by plain NumPy and csv, and a straight-line comparison of all their pairs."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SIZE = 256


def write_set(
    folder: Path,
    embeddings: NDArray[np.float32],
    columns: dict[str, Sequence[str]],
    source: str | None = None,
) -> Path:
    folder.mkdir(parents=True)
    if source is not None:
        (folder / "source.json").write_text(json.dumps({"source": source}))
    np.save(folder / "embeddings.npy", embeddings)
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row", *columns])
        writer.writerows([row, *values] for row, values in enumerate(zip(*columns.values(), strict=True)))
    return folder


@dataclass(frozen=True)
class People:
    """Rows of embeddings with what their index says; `signs` (N, SIZE) of -1 and 1, times 1/16, are their
    embeddings: of length 1, and with products that float32 holds exactly."""

    signs: NDArray[np.int64]
    paths: list[str]
    subjects: list[str]
    groups: list[str]

    @property
    def embeddings(self) -> NDArray[np.float32]:
        return (self.signs / 16).astype(np.float32)

    def write(self, folder: Path) -> Path:
        return write_set(
            folder, self.embeddings, {"path": self.paths, "subject": self.subjects, "country": self.groups}
        )


def people(count: int, seed: int, first: int = 0) -> People:
    """Subjects of one to nine rows, in mixed order; among them copies under other names, photos with two
    faces, people of two groups and of none. Subjects and photos are numbered from `first`."""
    rng = np.random.default_rng(seed)
    subject = np.sort(rng.integers(0, count // 4, count))
    subject[subject < count // 20] = count // 20  # one has very many rows
    centre = rng.choice([-1, 1], (count, SIZE))[subject]
    signs = np.where(rng.random((count, SIZE)) < 0.25, -centre, centre)
    signs[rng.integers(0, count, count // 50)] = signs[rng.integers(0, count, count // 50)]
    photo = np.arange(count)
    photo[rng.integers(0, count, count // 30)] = rng.integers(0, count, count // 30)
    group = subject % 3
    group[rng.integers(0, count, count // 40)] = 1
    order = rng.permutation(count)
    return People(
        signs[order],
        [f"photos/{number % 7}/{number + first:06}.jpg" for number in photo[order]],
        [f"person {number + first}" for number in subject[order]],
        [("north", "south", "")[number] for number in group[order]],
    )


@dataclass(frozen=True)
class AllPairs:
    """Every pair that is compared, in the order of its rows: `product` is the cosine times SIZE, `groups`
    (P, 2) those of probe and gallery row, sorted where probes are compared with each other."""

    probe: NDArray[np.int64]
    gallery: NDArray[np.int64]
    product: NDArray[np.int64]
    mated: NDArray[np.bool_]
    groups: NDArray[np.str_]

    @property
    def bins(self) -> NDArray[np.int64]:
        """Of 20,000 from -1 to 1, by whole numbers."""
        return np.minimum((self.product + SIZE) * 20_000 // (2 * SIZE), 19_999)

    def of(self, pair: tuple[str, str] | None) -> NDArray[np.bool_]:
        """Which pairs are of a pair of groups; None: of any."""
        return np.full(len(self.probe), True) if pair is None else (self.groups == pair).all(axis=1)


def all_pairs(probes: People, gallery: People | None = None) -> AllPairs:
    others = gallery or probes
    labels, other_labels = ([path.split("/", 1)[1] for path in each.paths] for each in (probes, others))
    compared = np.array(labels)[:, None] != np.array(other_labels)
    probe, row = np.nonzero(compared if gallery else np.triu(compared, 1))
    groups = np.stack([np.array(probes.groups)[probe], np.array(others.groups)[row]], axis=1)
    mated = np.array(probes.subjects)[probe] == np.array(others.subjects)[row]
    product = probes.signs.astype(float) @ others.signs.T.astype(float)
    return AllPairs(
        probe, row, product[probe, row].astype(int), mated, groups if gallery else np.sort(groups, axis=1)
    )
