"""Two photos compared, and faces drawn into a photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from face_analysis.errors import UsageError
from face_analysis.inference.analyzer import SFACE, FaceAnalyzer
from face_analysis.inference.photos import PhotoLike, PhotoReader
from face_analysis.reports.annotate import annotate
from face_analysis.types import Face, Image
from face_analysis.zoo.thresholds import THRESHOLDS


@dataclass(frozen=True)
class FaceComparison:
    """The similarity of two faces.

    `score` is the cosine of their embeddings, -1 to 1. Two faces count as one person if the score is at least
    `threshold`. On the set that `measured_on` names, this happens to a fraction `fmr` of the pairs of two
    people. If the caller gave the threshold, `fmr` is None and `measured_on` is empty. If no threshold is
    known, `threshold` is None too. `faces` are the two faces.
    """

    score: float
    threshold: float | None
    fmr: float | None
    measured_on: str
    faces: tuple[Face, Face]

    @property
    def same(self) -> bool | None:
        """Whether the score reaches the threshold; None without one."""
        return None if self.threshold is None else self.score >= self.threshold

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON. Each face is as in `Face.to_dict`, without its embedding."""
        faces = [
            {name: value for name, value in face.to_dict().items() if name != "embedding"}
            for face in self.faces
        ]
        return {
            "score": self.score,
            "threshold": self.threshold,
            "same": self.same,
            "fmr": self.fmr,
            "measured_on": self.measured_on,
            "faces": faces,
        }

    def __str__(self) -> str:
        if self.threshold is None:
            return f"score {self.score:.4f}; no threshold of this model is known, so nothing is decided"
        words = "at least" if self.same else "below"
        where = (
            f" of a false match rate of {self.fmr:g} on {self.measured_on}" if self.fmr is not None else ""
        )
        answer = "one person" if self.same else "two people"
        return f"score {self.score:.4f}, {words} the threshold {self.threshold:.4f}{where}: {answer}"


def compare(
    first: PhotoLike,
    second: PhotoLike,
    *,
    fmr: float = 1e-3,
    threshold: float | None = None,
    analyzer: FaceAnalyzer | None = None,
) -> FaceComparison:
    """Compare the largest face of one photo with the largest face of another.

    Args:
        first: a photo, as `FaceAnalyzer.analyze` takes it.
        second: another photo.
        fmr: the false match rate of the decision: 1e-2, 1e-3, 1e-4 or 1e-5 with SFace.
        threshold: a score in place of `fmr`, such as `face_analysis.match(...).threshold`.
        analyzer: finds and embeds the faces. The default is FaceAnalyzer(None, embeddings=True), with SFace.

    Returns:
        The score, the threshold and the decision. They describe two pictures. They do not prove who a
        person is.

    Raises:
        UsageError: if the analyzer has no embeddings, or if no threshold is known for `fmr`.
        NoFaceError: if no face is found in a photo.
        MissingFileError, UnreadableImageError, NoAnswerError: as `FaceAnalyzer.analyze`.

    Examples:
        >>> from face_analysis import compare
        >>> compare(portrait, portrait).same
        True
    """
    analyzer = analyzer or _sface()
    if not analyzer.embedder_name:
        raise UsageError("the analyzer gives no embeddings: make it with FaceAnalyzer(embeddings=True)")
    known = None if analyzer.mirrored else THRESHOLDS.get(analyzer.embedder_name)
    rate, measured_on = None, ""
    if threshold is None and known is not None:
        if fmr not in known.scores:
            rates = ", ".join(f"{rate:g}" for rate in known.scores)
            raise UsageError(
                f"fmr={fmr:g}: thresholds are known for {rates}; give one of these, or a threshold"
            )
        threshold, rate, measured_on = known.scores[fmr], fmr, known.measured_on
    faces = analyzer.analyze_one(first), analyzer.analyze_one(second)
    return FaceComparison(faces[0].similarity(faces[1]), threshold, rate, measured_on, faces)


def draw(photo: PhotoLike, faces: Sequence[Face], *, bgr: bool = False) -> Image:
    """A copy of the photo, RGB uint8 (H, W, 3), with the box, the landmarks and the estimates of each face.

    Args:
        photo: a photo, as `FaceAnalyzer.analyze` takes it. It is not changed.
        faces: the faces that `analyze` returned for this photo.
        bgr: the photo is an array in BGR order.

    Raises:
        UsageError, MissingFileError, UnreadableImageError: as `FaceAnalyzer.analyze`.
    """
    return annotate(PhotoReader(bgr).input(photo).load(), faces)


@lru_cache(maxsize=1)
def _sface() -> FaceAnalyzer:
    return FaceAnalyzer(None, embeddings=SFACE)
