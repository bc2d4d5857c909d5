"""Finding faces: boxes and five landmarks, by YuNet."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from face_analysis.errors import ModelMismatchError
from face_analysis.images.boxes import distinct, inside
from face_analysis.images.tiles import COARSE, Pixels, View, views
from face_analysis.types import Detection, Image

THRESHOLD = 0.7
"""On group photos 0.6 found a face too many, 0.7 the right number."""
ROLL, SURE = 20.0, 0.9
"""A face is turned upright and found again from this roll, in degrees, or where its score is under SURE: the
landmarks of a face found askew can look upright."""
TURNS = (-45.0, 0.0, 45.0)
"""Degrees from the apparent roll at which it is looked for again; upright, its score is the highest."""
CANVAS = 256
"""Side of the picture in which a rolled face is found again; the face takes half of it."""

_loading = threading.Lock()
"""Held while the process's log level is changed."""


class FaceDetector(Protocol):
    """Anything that finds faces in RGB uint8 (H, W, 3), the best score first."""

    def detect(self, image: Image) -> list[Detection]:
        """The faces of one photo."""
        ...


class YuNet:
    """YuNet (Wu et al. 2023, Machine Intelligence Research 20), the file of the OpenCV model zoo.

    A face of 60 pixels or more is found in a photo of any size and shape; in common ones also smaller faces.
    A face that seems rolled by more than 20 degrees, or is not sure, is found again turned upright.
    With `rotations` the photo is searched turned by 90, 180 and 270 degrees as well, for pixels that no EXIF
    tag sets upright. May be called from several threads, each of which gets its own network.
    """

    def __init__(self, model: Path, threshold: float = THRESHOLD, *, rotations: bool = False) -> None:
        self.model = model
        self.threshold = threshold
        self.turns = (0, 1, 2, 3) if rotations else (0,)
        self._local = threading.local()
        self._network()

    def detect(self, image: Image) -> list[Detection]:
        """The faces in RGB uint8 (H, W, 3), in its pixels, the best score first."""
        found: list[Detection] = []
        for view in views(image):
            for turns in self.turns:
                turned = np.ascontiguousarray(np.rot90(view.pixels, turns))
                back = _turn_back(turns, view)
                faces = (_moved(face, back) for face in self._find(turned))
                found.extend(face for face in faces if view.shows(face))
        upright = [self._upright(image, face) for face in distinct(found)]
        return [face for face in distinct(upright) if inside(face, image.shape)]

    def __getstate__(self) -> dict[str, Any]:
        """What travels to another process: all but the networks, which cannot."""
        return {"model": self.model, "threshold": self.threshold, "turns": self.turns}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _local=threading.local())

    def _network(self) -> Any:
        if not hasattr(self._local, "network"):
            self._local.network = _load(self.model, self.threshold)
        return self._local.network

    def _find(self, pixels: Pixels) -> list[Detection]:
        network = self._network()
        network.setInputSize((pixels.shape[1], pixels.shape[0]))
        rows = network.detect(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1]
        return [
            Detection(
                (float(row[0]), float(row[1]), float(row[2]), float(row[3])),
                row[4:14].reshape(5, 2).copy(),
                float(row[14]),
            )
            for row in (() if rows is None else rows)
        ]

    def _upright(self, image: Image, face: Detection) -> Detection:
        """The face as it is found when turned upright, if it may be rolled and is found so."""
        if abs(_roll(face)) < ROLL and face.score >= SURE:
            return face
        best = face
        for turns in (TURNS, (0.0,)):
            found = [self._found_at(_roll(best) + turn, image, face) for turn in turns]
            best = max((best, *filter(None, found)), key=lambda other: other.score)
        return best

    def _found_at(self, roll: float, image: Image, face: Detection) -> Detection | None:
        """The face as it is found in a small picture of it, turned back by `roll` degrees."""
        x, y, width, height = face.box
        scale = CANVAS / 2 / max(width, height)
        matrix = cv2.getRotationMatrix2D((x + width / 2, y + height / 2), roll, scale)
        matrix[:, 2] += np.array([CANVAS / 2 - x - width / 2, CANVAS / 2 - y - height / 2])
        turned = cv2.warpAffine(image, matrix, (CANVAS, CANVAS))
        back = cv2.invertAffineTransform(matrix)
        again = [_moved(other, back) for other in self._find(turned)]
        nearest = min(again, key=lambda other: _distance(other, face), default=None)
        near = nearest is not None and _distance(nearest, face) <= max(width, height) / 2
        return nearest if near else None


def _load(model: Path, threshold: float) -> Any:
    logging: Any = cv2.utils.logging
    with _loading:
        level = logging.setLogLevel(0)  # OpenCV prints what the error says
        try:
            return cv2.FaceDetectorYN.create(str(model), "", (COARSE, COARSE), threshold, 0.3, 5000)
        except cv2.error as error:
            raise ModelMismatchError(f"{model}: not a YuNet model ({error.err})") from error
        finally:
            logging.setLogLevel(level)


def _turn_back(turns: int, view: View) -> NDArray[np.float64]:
    """The matrix from pixels of the view, turned `turns` times by 90 degrees, to the photo's."""
    height, width = view.pixels.shape[:2]
    x, y = view.x, view.y
    matrix = {
        0: [[1, 0, x], [0, 1, y]],
        1: [[0, -1, x + width], [1, 0, y]],
        2: [[-1, 0, x + width], [0, -1, y + height]],
        3: [[0, 1, x], [-1, 0, y + height]],
    }[turns]
    return np.array(matrix, np.float64) / view.scale


def _moved(face: Detection, matrix: Pixels) -> Detection:
    """The face under an affine (2, 3) matrix; its box is the upright one around the moved corners."""
    x, y, width, height = face.box
    corners = np.array([(x, y), (x + width, y), (x, y + height), (x + width, y + height)])
    moved = corners @ matrix[:, :2].T + matrix[:, 2]
    (x0, y0), (x1, y1) = moved.min(axis=0), moved.max(axis=0)
    landmarks = (face.landmarks @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    return Detection((float(x0), float(y0), float(x1 - x0), float(y1 - y0)), landmarks, face.score)


def _roll(face: Detection) -> float:
    """Of the line through the eyes, in degrees, clockwise in the picture."""
    right, left = face.landmarks[:2].tolist()
    return float(np.degrees(np.arctan2(left[1] - right[1], left[0] - right[0])))


def _distance(face: Detection, other: Detection) -> float:
    return float(np.linalg.norm(face.landmarks.mean(axis=0) - other.landmarks.mean(axis=0)))
