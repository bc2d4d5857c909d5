"""Errors meant for the user: what was wrong, where, and what to do. One class a cause.

`exit_code` is the status a command ends with: 2 when it was used wrongly, 1 when it failed on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class FaceAnalysisError(Exception):
    """Base of every error this package raises on purpose."""

    exit_code = 2


class UsageError(FaceAnalysisError):
    """Options that do not go together, or a value outside its range."""


class MissingPackageError(UsageError):
    """What was asked for needs a package that is not installed; names it, and the extra that brings it."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the package {package}: `pip install {package}`, "
            f"or install face-analysis with its extra `{extra}`"
        )


class MissingFileError(FaceAnalysisError):
    """A file or folder that was named does not exist."""

    def __init__(self, path: Path | str, what: str) -> None:
        super().__init__(f"{what} not found: {path}")


class ListFormatError(FaceAnalysisError):
    """A line of an image list cannot be read; names the file and the line, counted from 1."""

    def __init__(self, path: Path | str, line: int, reason: str) -> None:
        super().__init__(f"{path}:{line}: {reason}")


class AnnotationError(FaceAnalysisError):
    """A file name or row of a public set does not have the set's form. Recorded, and the rest goes on."""

    exit_code = 1


class EmptyDataError(FaceAnalysisError):
    """A list, folder or packed file holds nothing that can be used."""


class UnreadableImageError(FaceAnalysisError):
    """Bytes that are no image, or a broken one. Long runs record it and go on."""

    exit_code = 1


class PackedFileError(FaceAnalysisError):
    """A packed file (LMDB, .rec, .bin) is cut short, damaged, or not in the format."""


class FeatureSetError(FaceAnalysisError):
    """A feature set is cut short, damaged, or not in the format."""


class ModelMismatchError(FaceAnalysisError):
    """Weights that do not fit their card, their network, or the task asked for."""


class NoAnswerError(FaceAnalysisError):
    """A model gave no finite numbers for an image, or for any of many."""

    exit_code = 1


class NoFaceError(FaceAnalysisError):
    """A photo that must show a face shows none."""

    exit_code = 1


class UnknownModelError(FaceAnalysisError):
    """A name, or the content of a file, that the catalogue of models does not have."""


class DamagedModelError(FaceAnalysisError):
    """A stored model does not have the SHA-256 of the catalogue."""


class ModelNotFoundError(FaceAnalysisError):
    """A model of the catalogue is at none of its places; `tried` names each with the reason."""

    def __init__(self, name: str, tried: Sequence[str]) -> None:
        self.tried = tuple(tried)
        super().__init__(
            f"model `{name}` not found: {'; '.join(tried)}. "
            "Get the file another way and put it into the cache with `face-analysis models import -m FILE`"
        )


class DownloadError(ModelNotFoundError):
    """A model could not be fetched: no connection, no answer in time, cut short, or not the right file."""

    exit_code = 1


class WriteError(FaceAnalysisError):
    """Output could not be written (disk full, folder read-only); what was whole before is kept."""

    exit_code = 1

    def __init__(self, path: Path | str, cause: OSError | str) -> None:
        reason = cause.strerror or str(cause) if isinstance(cause, OSError) else cause
        super().__init__(f"cannot write {path}: {reason}; free space or choose another place, then run again")


class OutputError(FaceAnalysisError):
    """An output that would replace an input or an earlier result, or that another run is writing."""


class NonFiniteLossError(FaceAnalysisError):
    """The loss became infinite or NaN; names step, images and learning rate."""

    exit_code = 1


class DeadProcessError(FaceAnalysisError):
    """A process that reads images, or trains too, ended on its own; what the run had done is kept."""

    exit_code = 1


class FinishedRunError(FaceAnalysisError):
    """A run to go on with has nothing left to do; a command that is told so has not failed."""

    exit_code = 0


class InterruptedRunError(FaceAnalysisError):
    """A run stopped on SIGINT or SIGTERM; says which checkpoint there is to go on from."""

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
