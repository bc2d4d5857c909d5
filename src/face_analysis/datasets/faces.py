"""Labelled faces, decoded a batch at a time for training and validation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from face_analysis.datasets.attributes import LABEL_COUNT, UNKNOWN, Attribute, Column, known
from face_analysis.datasets.lists.image_list import codes_of
from face_analysis.datasets.lmdb.format import UNNAMED
from face_analysis.datasets.sources import ImageSource
from face_analysis.errors import EmptyDataError, UnreadableImageError
from face_analysis.images.chips import ChipMaker
from face_analysis.images.decode import decode
from face_analysis.images.face_masks import Codes, blur_outside, decode_mask
from face_analysis.types import Image, ImageFailure


class FaceBatch(NamedTuple):
    """Images that could be read, and those that could not.

    `images` uint8 (N, 3, H, W) RGB in channels-last memory; `labels` int64 (N, columns), -1 unknown;
    `indices` int64 (N,), rows of the source; `failures` the unreadable ones, so N may be 0. A batch that was
    moved by `to` has `rows` too: the indices in host memory, which can be read without waiting for a device.
    `counts` are the numbers N of all processes that train together, in their order; empty with one process.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor
    failures: list[ImageFailure]
    rows: NDArray[np.int64] | None = None
    counts: tuple[int, ...] = ()

    def to(self, *args: Any, **kwargs: Any) -> FaceBatch:
        """The batch with its tensors moved, as `Tensor.to`."""
        rows = self.indices.numpy() if self.rows is None else self.rows
        images, labels, indices = (tensor.to(*args, **kwargs) for tensor in self[:3])
        return FaceBatch(images, labels, indices, self.failures, rows, self.counts)


def collate(batch: FaceBatch) -> FaceBatch:
    """The `collate_fn` for a DataLoader over FaceDataset, which gives whole batches already."""
    return batch


class FaceDataset(Dataset[FaceBatch]):
    """The rows of a source where at least one of the label `columns` is known.

    `rows` int64 (N,) are their rows in the source, `labels` int64 (N, columns) their labels, -1 unknown;
    `left_out` counts, for each column, all rows of the source where it is not known. `maker` makes the
    chip of an image, which must give one; its default takes images as aligned faces. With `use_mask` images
    are blurred outside the face by the masks stored with them, before they are cut. Raises EmptyDataError
    when no row is left.
    """

    def __init__(
        self,
        source: ImageSource,
        columns: Sequence[Column],
        maker: ChipMaker | None = None,
        use_mask: bool = False,
    ) -> None:
        self.source = source
        self.columns = tuple(columns)
        self.maker = maker or ChipMaker()
        self.use_mask = use_mask
        labels = np.stack([_column(source, name, self.columns) for name in self.columns], axis=1)
        usable = np.stack([known(name, labels[:, i]) for i, name in enumerate(self.columns)], axis=1)
        self.left_out = {name: int((~usable[:, i]).sum()) for i, name in enumerate(self.columns)}
        self.rows: NDArray[np.int64] = np.flatnonzero(usable.any(axis=1)).astype(np.int64)
        self.labels: NDArray[np.int64] = np.where(usable, labels, UNKNOWN)[self.rows]
        if not len(self.rows):
            wanted = " or ".join(self.columns)
            raise EmptyDataError(
                f"{source.origin}: no row has a known {wanted}; check the labels and their ranges"
            )

    def __len__(self) -> int:
        return len(self.rows)

    def counts(self, attribute: Attribute) -> NDArray[np.int64]:
        """How many rows have each label value, int64 (labels,), in the order of the codes."""
        labels = self.labels[:, self.columns.index(attribute)]
        return np.bincount(labels[labels >= 0], minlength=LABEL_COUNT[attribute]).astype(np.int64)

    def number_classes(self) -> NDArray[np.int64]:
        """Number the known classes 0 ... C - 1 in `labels`; gives the numbers (C,) they had, ascending."""
        column = self.labels[:, self.columns.index("class")]
        classes, numbers = np.unique(column[column >= 0], return_inverse=True)
        column[column >= 0] = numbers
        return classes

    def __getitem__(self, index: int) -> FaceBatch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> FaceBatch:
        """Read a batch; `indices` count rows of this data set. Unreadable images are named, and left out."""
        chosen = np.asarray(indices, np.int64)
        chips, read = [], []
        failures: list[ImageFailure] = []
        for index, row in zip(chosen, self.rows[chosen], strict=True):
            try:
                chips.append(self._chip(int(row)))
                read.append(index)
            except UnreadableImageError as error:
                failures.append(ImageFailure(self.source.name(int(row)), str(error)))
        pixels = np.stack(chips) if chips else np.zeros((0, self.maker.size, self.maker.size, 3), np.uint8)
        chosen = np.array(read, np.int64)
        labels, rows = torch.from_numpy(self.labels[chosen]), torch.from_numpy(self.rows[chosen])
        return FaceBatch(torch.from_numpy(pixels).permute(0, 3, 1, 2), labels, rows, failures)

    def read(self, row: int) -> tuple[Image, Codes | None]:
        """The whole picture of a row of the source, and with `use_mask` its mask.

        Raises UnreadableImageError for either, and where no mask is stored.
        """
        picture = decode(self.source.read(row), partial(self.source.name, row))
        if not self.use_mask:
            return picture, None
        encoded = self.source.read_mask(row)
        if encoded is None:
            raise UnreadableImageError(
                f"{self.source.name(row)}: no mask is stored with it; pack the images with --mask_source "
                "MASKS --keep_masks, or go without --use_mask"
            )
        return picture, decode_mask(encoded, lambda: f"mask of {self.source.name(row)}", picture.shape)

    def _chip(self, row: int) -> Image:
        picture, mask = self.read(row)
        if mask is not None:
            picture = blur_outside(picture, mask)
        return self.maker.cut(picture, partial(self.source.name, row))[0].pixels


def _column(source: ImageSource, name: Column, wanted: Sequence[Column]) -> NDArray[np.int64]:
    labels = source.labels
    if name in labels:
        return labels[name]
    if name == "class" and "subject" in source.strings:
        return codes_of(source.strings["subject"])
    if UNNAMED in labels and len(wanted) == 1:
        return labels[UNNAMED]
    there = ", ".join(labels) or "none"
    raise EmptyDataError(
        f"{source.origin}: no column for {name} (label columns: {there}); use a list that has it, or "
        "mend the first line, which tells a list's form: path race gender age, or path class"
    )
