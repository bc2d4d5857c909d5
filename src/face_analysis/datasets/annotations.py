"""From the names or the list of a public set to an image list in this package's codes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from face_analysis.datasets.attributes import ATTRIBUTES, MAX_AGE, UNKNOWN
from face_analysis.datasets.folders import list_folder
from face_analysis.datasets.lists.image_list import ImageList, read_image_list
from face_analysis.datasets.lists.public_sets import Annotation, PublicSet
from face_analysis.datasets.lists.text_files import read_lines, read_table
from face_analysis.errors import AnnotationError, MissingFileError, UsageError
from face_analysis.types import ImageFailure


@dataclass(frozen=True)
class Converted:
    """The images that fit, which may be none, and those that do not, with the reason.

    `listed` has race, gender and age, and `subject` where the set tells it of any image. `odd_ages` counts
    ages outside 0 to 100, which are -1 in it.
    """

    listed: ImageList
    failures: list[ImageFailure]
    odd_ages: int


def set_rows(public: PublicSet, folder: Path | None, listed: Path | None) -> list[list[str]]:
    """What a set has to be read from: rows of its list, or its images' names, from a list or a folder.

    A row is a path and the cells behind it. Raises UsageError where what the set needs is not given, and what
    reading the list or folder raises.
    """
    if folder is not None and not folder.is_dir():
        if folder.is_file():
            raise UsageError(f"{folder} is a file: give the folder of the images, and a list by --image_list")
        raise MissingFileError(folder, "folder of images")
    if listed is None and public.columns:
        raise UsageError(f"this set has its labels in a list `{public.form}`: give it by --image_list")
    if listed is None and folder is None:
        raise UsageError(
            "this set has its labels in file names: give --source, or a list of them by --image_list"
        )
    if listed is None:
        assert folder is not None
        return [[image] for image in list_folder(folder).images]
    if public.path_column:
        header = (public.path_column, *public.columns)
        return [cells for _, cells in read_table(listed, "list of the set", header)]
    if public.columns:
        lines = read_lines(listed, "list of the set")
        return [line.rsplit(None, len(public.columns)) for _, line in lines]
    return [[image] for image in read_image_list(listed).images]


def convert(public: PublicSet, rows: Iterable[Sequence[str]], folder: Path | None = None) -> Converted:
    """Bring a set's rows into this package's codes; with a folder the images must be there.

    A row that has not the set's form is never guessed at: it goes to the failures, and so does one that has
    no label once an age outside 0 to 100 is taken as unknown.
    """
    images: list[str] = []
    found: list[Annotation] = []
    failures: list[ImageFailure] = []
    odd_ages = 0
    for path, *cells in rows:
        try:
            _check_path(path, folder)
            annotation = _read(public, path, cells)
            checked = _checked(annotation)
        except AnnotationError as error:
            failures.append(ImageFailure(path, str(error)))
            continue
        images.append(path)
        found.append(checked)
        odd_ages += checked.age != annotation.age
    labels = {str(name): np.array([getattr(one, name) for one in found], np.int64) for name in ATTRIBUTES}
    subjects = [one.subject for one in found]
    strings = {"subject": subjects} if any(subjects) else {}
    return Converted(ImageList(Path("annotations"), images, labels, strings), failures, odd_ages)


def _read(public: PublicSet, path: str, cells: list[str]) -> Annotation:
    if len(cells) != len(public.columns):
        raise AnnotationError(f"expected a line `{public.form}`")
    return public.read(path, *cells)


def _check_path(path: str, folder: Path | None) -> None:
    try:
        there = folder is None or (folder / path).is_file()
    except OSError:  # a name longer than the system has
        there = False
    if not there:
        raise AnnotationError(f"not found in {folder}")


def _checked(annotation: Annotation) -> Annotation:
    age = annotation.age if 0 <= annotation.age <= MAX_AGE else UNKNOWN
    if annotation.race == annotation.gender == age == UNKNOWN:
        raise AnnotationError(f"no label is known: age {annotation.age} is not within 0 to {MAX_AGE}")
    return replace(annotation, age=age)
