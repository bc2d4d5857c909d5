"""What the models say of a face, in words for a screen or a picture."""

from __future__ import annotations

from face_analysis.types import Face, Photo


def describe(photo: Photo) -> list[str]:
    """A line for each face of a photo: its name, the place of the face, and the estimates."""
    if not photo.faces:
        return [f"{photo.path}: no face found"]
    return [f"{photo.path}: {_place(face)}{', '.join(estimates(face))}" for face in photo.faces]


def estimates(face: Face) -> list[str]:
    """Such as `female 97 %`, `asian 88 %`, `34 years (26 to 43)`."""
    words = [f"{given.label} {given.probability:.0%}" for given in (face.gender, face.race) if given]
    if face.age is not None:
        interval = "" if face.age.low is None else f" ({face.age.low} to {face.age.high})"
        words.append(f"{face.age.years:.0f} years{interval}")
    return words


def _place(face: Face) -> str:
    if face.detection is None:
        return ""
    x, y, width, height = (round(value) for value in face.detection.box)
    return f"face at {x},{y} of {width}x{height}: "
