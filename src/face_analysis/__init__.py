"""Face Analysis: train, run and check race, gender, age and recognition models of faces.

>>> import face_analysis
>>> face_analysis.FaceAnalyzer().analyze(portrait)[0].gender.label
'female'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from face_analysis.types import AgeEstimate, ClassEstimate, Detection, Face, ImageFailure, Photo

if TYPE_CHECKING:
    from face_analysis.api.evaluation import audit, evaluate_attributes, evaluate_verification
    from face_analysis.api.faces import FaceComparison, compare, draw
    from face_analysis.api.matching import match, search
    from face_analysis.api.training import train
    from face_analysis.cli.call import call
    from face_analysis.errors import FaceAnalysisError
    from face_analysis.images.align import align_chip
    from face_analysis.inference.analyzer import FaceAnalyzer
    from face_analysis.matching.features.feature_set import FeatureSet
    from face_analysis.training.options import TrainOptions

__version__ = "0.1.0"
__all__ = [
    "AgeEstimate",
    "ClassEstimate",
    "Detection",
    "Face",
    "FaceAnalysisError",
    "FaceAnalyzer",
    "FaceComparison",
    "FeatureSet",
    "ImageFailure",
    "Photo",
    "TrainOptions",
    "align_chip",
    "audit",
    "call",
    "compare",
    "draw",
    "evaluate_attributes",
    "evaluate_verification",
    "match",
    "search",
    "train",
]

_HOMES = {
    "FaceAnalysisError": "errors",
    "FaceAnalyzer": "inference.analyzer",
    "FaceComparison": "api.faces",
    "FeatureSet": "matching.features.feature_set",
    "TrainOptions": "training.options",
    "align_chip": "images.align",
    "audit": "api.evaluation",
    "call": "cli.call",
    "compare": "api.faces",
    "draw": "api.faces",
    "evaluate_attributes": "api.evaluation",
    "evaluate_verification": "api.evaluation",
    "match": "api.matching",
    "search": "api.matching",
    "train": "api.training",
}
"""Where the names are that are imported when they are first asked for, as they are heavy."""
_NEEDS = {
    **dict.fromkeys(("audit", "evaluate_attributes", "evaluate_verification", "match", "search"), "reports"),
    "train": "train",
}
"""The extra with the packages of a function that needs more than predictions do."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _NEEDS:
        from face_analysis.extras import require

        require(_NEEDS[name], f"face_analysis.{name}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__all__", "__doc__", "__version__"])
