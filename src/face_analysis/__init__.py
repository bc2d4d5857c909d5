"""Face Analysis: train, run and check race, gender, age and recognition models of faces."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from face_analysis.types import AgeEstimate, ClassEstimate, Detection, Face, ImageFailure, Photo

if TYPE_CHECKING:
    from face_analysis.images.align import align_chip
    from face_analysis.inference.analyzer import FaceAnalyzer

__version__ = "0.1.0"
__all__ = [
    "AgeEstimate",
    "ClassEstimate",
    "Detection",
    "Face",
    "FaceAnalyzer",
    "ImageFailure",
    "Photo",
    "align_chip",
]

_HOMES = {"FaceAnalyzer": "face_analysis.inference.analyzer", "align_chip": "face_analysis.images.align"}


def __getattr__(name: str) -> Any:
    """Import what is heavy when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
