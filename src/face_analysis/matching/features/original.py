"""Features of the original system, a `.npy` file an image, as one feature set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from face_analysis.datasets.lists.text_files import read_lines
from face_analysis.errors import EmptyDataError
from face_analysis.files import FailureLog
from face_analysis.matching.features.feature_set import (
    LENGTH_TOLERANCE,
    PATH,
    FeatureSet,
    map_array,
    open_feature_set,
)
from face_analysis.matching.features.writer import EmbeddingFile, write_index
from face_analysis.types import ImageFailure


def gather_features(listed: Path, folder: Path, failures: FailureLog) -> FeatureSet:
    """Write the files of a list, sorted by path, into a feature set; each row gets length 1.

    Files that hold no embedding go to `failures`. Raises MissingFileError, ListFormatError, EmptyDataError
    and WriteError.
    """
    paths: list[dict[str, str]] = []
    sink = None
    for path in sorted(line for _, line in read_lines(listed, "list of features")):
        try:
            embedding = _read(Path(path), sink.size if sink else None)
        except (OSError, ValueError, TypeError) as error:
            failures.add([ImageFailure(path, f"no embedding: {error}")])
            continue
        sink = sink or EmbeddingFile(folder, 0, len(embedding))
        sink.add(embedding[None])
        paths.append({PATH: path})
    if sink is None:
        raise EmptyDataError(f"{listed}: none of the files holds an embedding; see {failures.path}")
    sink.finish()
    write_index(folder, [PATH], paths)
    return open_feature_set(folder)


def _read(path: Path, size: int | None) -> NDArray[np.float32]:
    embedding = np.asarray(map_array(path), np.float64).reshape(-1)
    if size not in (None, len(embedding)):
        raise ValueError(f"{len(embedding)} numbers, where the first file has {size}")
    length = float(np.linalg.norm(embedding))
    if not 0 < length < np.inf:
        raise ValueError("not finite numbers, or all zero")
    unit = abs(length - 1) <= LENGTH_TOLERANCE  # left as it is, to the last bit
    return (embedding if unit else embedding / length).astype(np.float32)
