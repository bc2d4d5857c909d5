"""Predictions measured against labels, a model measured on verification sets, and lists audited."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from face_analysis.auditing.copies import SIMILARITY
from face_analysis.auditing.images import audited_images
from face_analysis.auditing.report import AuditReport
from face_analysis.auditing.report import audit as judge_scan
from face_analysis.auditing.scan import ScanSettings, scan
from face_analysis.datasets.attributes import Attribute
from face_analysis.datasets.lists.image_list import read_image_list
from face_analysis.datasets.pairs.ijb import is_ijb, open_ijb
from face_analysis.datasets.pairs.sets import open_pairs
from face_analysis.datasets.predictions.tables import read_predictions
from face_analysis.errors import EmptyDataError, UsageError
from face_analysis.evaluation.attributes_by_group import EvaluationReport, evaluate
from face_analysis.evaluation.join import join
from face_analysis.evaluation.verification import VerificationReport
from face_analysis.files import FailureList
from face_analysis.images.chips import ChipMaker
from face_analysis.inference.analyzer import SFACE
from face_analysis.inference.embedder import Embedder, WithMirror, open_embedder
from face_analysis.inference.form import library_choice
from face_analysis.inference.ijb import verify_ijb
from face_analysis.inference.onnx_form import ModelInput
from face_analysis.inference.verify import verify_set
from face_analysis.machine import Precision
from face_analysis.reports.attributes.figures import attribute_figures
from face_analysis.reports.attributes.report import measure_rows, measures_table, overall_table
from face_analysis.reports.audit import audit_tables, summary_table, summary_text
from face_analysis.reports.page import Table
from face_analysis.reports.result import Result, TableRows
from face_analysis.reports.verification import (
    accuracy_table,
    curve_rows,
    verification_figures,
    verification_tables,
)
from face_analysis.types import ImageFailure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AnyPath = str | os.PathLike[str]
Labels = Mapping[Attribute, NDArray[np.integer]]
Predictions = Mapping[Attribute, NDArray[np.number]]


@dataclass(frozen=True, repr=False)
class AttributeEvaluation(Result):
    """Measures of race, gender and age: overall, and for each group of the true labels, in `report`.

    `labels` and `predictions` are the arrays (N,) that were compared.
    """

    report: EvaluationReport
    labels: Labels
    predictions: Predictions

    @property
    def title(self) -> str:
        """How many images were compared."""
        left_out = f", {self.report.missing:,} without a prediction left out" if self.report.missing else ""
        return f"{self.report.images:,} images{left_out}"

    @property
    def summary(self) -> str:
        """The overall measures, as `face-analysis evaluate` prints them."""
        return overall_table(self.report).strip()

    def table_rows(self) -> Mapping[str, TableRows]:
        """`measures`: a row for each measure, of all images and of each group."""
        return {"measures": measure_rows(self.report)}

    def shown_tables(self) -> Mapping[str, Table]:
        """The overall measures."""
        return {"Overall": measures_table(self.report)}

    def figures(self) -> Mapping[str, Figure]:
        """Confusion, errors by group, and age by decade."""
        found = attribute_figures(self.report, self.labels, self.predictions)
        return {name.removesuffix(".png"): figure for name, figure in found.items()}


def evaluate_attributes(
    predictions: AnyPath | Predictions, labels: AnyPath | Labels, *, source: AnyPath | None = None
) -> AttributeEvaluation:
    """Measure predictions of race, gender and age against labels, with 95 % intervals and per group.

    Args:
        predictions: a file that `predict` wrote, or arrays (N,) by attribute: class codes, ages in years.
        labels: an image list, or arrays (N,) by attribute in the same order; -1 is unknown.
        source: for files, the folder that the predictions have before the paths of the list.

    Raises:
        UsageError: if one is a file and the other arrays, or if arrays differ in length.
        EmptyDataError: if no image has a prediction and a label.
        ListFormatError: if a file is not in the format.
        MissingFileError: if a file does not exist.

    Examples:
        >>> import numpy as np
        >>> from face_analysis import evaluate_attributes
        >>> truth, said = np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0])
        >>> measured = evaluate_attributes({"gender": said}, {"gender": truth})
        >>> measured.report.attributes["gender"].overall.measures["accuracy"].value
        0.75
    """
    if isinstance(predictions, Mapping) and isinstance(labels, Mapping):
        return AttributeEvaluation(evaluate(labels, predictions), labels, predictions)
    if isinstance(predictions, Mapping) or isinstance(labels, Mapping):
        raise UsageError("give predictions and labels both as files, or both as arrays")
    table, listed = read_predictions(Path(predictions)), read_image_list(Path(labels))
    joined = join(listed, table, None if source is None else Path(source))
    report = evaluate(joined.labels, joined.predictions, age_count=joined.age_count, missing=joined.missing)
    return AttributeEvaluation(report, joined.labels, joined.predictions)


@dataclass(frozen=True, repr=False)
class VerificationEvaluation(Result):
    """Accuracy, EER, and TAR at FAR on verification sets, each with its VerificationReport in `reports`.

    `failures` are images that could not be used; the pairs with them are left out.
    """

    reports: Sequence[VerificationReport]
    failures: Sequence[ImageFailure]

    @property
    def title(self) -> str:
        """The names of the sets."""
        return ", ".join(report.name for report in self.reports)

    @property
    def summary(self) -> str:
        """The rates of each set, as `face-analysis evaluate` prints them."""
        return verification_tables(self.reports).strip()

    def table_rows(self) -> Mapping[str, TableRows]:
        """`curves`: the error rates of each set over its thresholds."""
        return {"curves": curve_rows(self.reports)}

    def shown_tables(self) -> Mapping[str, Table]:
        """Accuracy in folds and EER of each set."""
        return {"Verification": accuracy_table(self.reports)}

    def figures(self) -> Mapping[str, Figure]:
        """ROC and DET."""
        return verification_figures(self.reports)


def evaluate_verification(
    sets: AnyPath | Sequence[AnyPath],
    model: AnyPath = SFACE,
    *,
    mirrored: bool = True,
    device: str = "auto",
    precision: Precision = "auto",
    batch_size: int = 96,
) -> VerificationEvaluation:
    """Measure a recognition model on verification sets.

    Args:
        sets: folders that `pairs build` wrote, `.bin` files, or folders of IJB-B or IJB-C.
        model: file or zoo name of a model of embeddings.
        mirrored: add the embedding of the mirrored chip, as the protocols do.
        device: "auto", "cpu", "cuda" or "cuda:N".
        precision: "auto" takes the format that is measured fastest; "32-true" gives the same numbers on
            every machine.
        batch_size: the number of chips that the model takes at once.

    Raises:
        MissingFileError, PackedFileError, EmptyDataError: if a set cannot be used.
        UnknownModelError, ModelMismatchError: if a model cannot be used.
    """
    paths = [Path(sets)] if isinstance(sets, str | os.PathLike) else [Path(path) for path in sets]
    if not paths:
        raise EmptyDataError("no verification set is given")
    plain = open_embedder(os.fspath(model), ModelInput(), choice=library_choice(device, precision))
    embedder: Embedder = WithMirror(plain) if mirrored else plain
    failures = FailureList()
    reports = []
    for path in paths:
        if is_ijb(path):
            reports.append(verify_ijb(open_ijb(path), embedder, failures, batch_size))
        else:
            pair_set = open_pairs(path)
            failures.add(pair_set.failures)
            reports.append(verify_set(pair_set, embedder, failures, batch_size))
    return VerificationEvaluation(reports, failures.found)


@dataclass(frozen=True, repr=False)
class Audit(Result):
    """The faults of labelled images: copies, contradicting labels and leaks. `report` has the details."""

    report: AuditReport

    @property
    def title(self) -> str:
        """How many images of which lists were audited."""
        images = self.report.images
        return f"{len(images):,} images of {', '.join(images.names)}"

    @property
    def summary(self) -> str:
        """The counts by list, as `face-analysis audit` prints them."""
        return summary_text(self.report)

    def table_rows(self) -> Mapping[str, TableRows]:
        """`copies`, `contradictions`, `leaks`, `unreadable`, `groups`, `counts`; `faces` where counted."""
        return audit_tables(self.report)

    def shown_tables(self) -> Mapping[str, Table]:
        """The counts by list."""
        return {"Images": summary_table(self.report)}


def audit(
    lists: AnyPath | Sequence[AnyPath],
    source: AnyPath | None = None,
    *,
    people: bool = False,
    faces: bool = False,
    similarity: float = SIMILARITY,
    workers: int = 2,
) -> Audit:
    """Find copies, labels that contradict each other, and pictures or people that several lists share.

    Args:
        lists: image lists, folders or packed files. Name the test lists last.
        source: the folder of the images of the lists.
        people: find faces of one person in several lists, with SFace. This also counts faces.
        faces: count the faces of each image.
        similarity: two pictures are copies if their similarity is at least this value, over 0 and at most 1.
        workers: the threads that read images.

    Raises:
        UsageError: if two lists have the same name, or if the similarity is out of its range.
        MissingFileError, ListFormatError, EmptyDataError: if a list cannot be read.
    """
    if not 0 < similarity <= 1:
        raise UsageError(f"similarity={similarity}: must be over 0 and at most 1")
    paths = [Path(lists)] if isinstance(lists, str | os.PathLike) else [Path(path) for path in lists]
    images = audited_images(paths, None if source is None else Path(source))
    settings = ScanSettings()
    if people or faces:
        embedder = open_embedder(SFACE, ModelInput(), choice=library_choice()) if people else None
        settings = ScanSettings(ChipMaker.with_detector("centre").detector, embedder)
    found = None
    for found in scan(images, settings, workers):  # noqa: B007  # the last one is complete
        pass
    if found is None:
        raise EmptyDataError("the lists hold no image")
    return Audit(judge_scan(images, found, similarity))
