"""Where public face sets keep their labels: in the names of their files, or in lists of their own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from face_analysis.datasets.attributes import UNKNOWN
from face_analysis.errors import AnnotationError

ASIAN, INDIAN = 2, 3
DIGIT_GENDERS = {"0": 0, "1": 1}
FILM_GENDERS = {"FEMALE": 0, "MALE": 1}
FAIRFACE_RACES = {
    **{"White": 0, "Black": 1, "East Asian": 2, "Southeast Asian": 2, "Indian": 3},
    **{"Latino_Hispanic": 4, "Middle Eastern": 4},
}
FOLDER_GENDERS = {"112": 0, "111": 1}
FOLDER_RACES = {"Caucasian": 0, "African": 1, "Asian": 2, "Indian": 3}
LETTER_GENDERS = {"F": 0, "M": 1}
MATLAB_GENDERS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "nan": UNKNOWN, "NaN": UNKNOWN}
MORPH_RACES = {"W": 0, "B": 1, "A": 2, "I": 3, "H": 4, "O": 4, "U": UNKNOWN}
OLDEST = 75
"""The age for "more than 70", FairFace's last range, as if it ended at 79 like the decades before it."""
UTKFACE_GENDERS = {"1": 0, "0": 1}
UTKFACE_RACES = {str(code): code for code in range(5)}


@dataclass(frozen=True)
class Annotation:
    """The labels of an image in this package's codes; -1 and no subject where the set does not say.

    `age` is as the set has it, and may lie outside 0 to 100.
    """

    race: int = UNKNOWN
    gender: int = UNKNOWN
    age: int = UNKNOWN
    subject: str = ""


@dataclass(frozen=True)
class PublicSet:
    """`read` takes the path of an image and the cells `columns` that follow it in the set's list.

    Without columns all labels are in the path. Where the list is a CSV with a header, `path_column` is its
    column of paths, and other columns are passed over. `note` says what of the labels is not as the set has
    it. `read` raises AnnotationError for what has not the set's form.
    """

    read: Callable[..., Annotation]
    columns: tuple[str, ...] = ()
    path_column: str = ""
    note: str = ""

    @property
    def form(self) -> str:
        """A line of the set's list."""
        if self.path_column:
            return ",".join((self.path_column, *self.columns))
        return " ".join(("path", *self.columns))


def aaf(path: str, gender: str) -> Annotation:
    """All-Age-Faces: `00000A02.jpg`, age between the A and the extension."""
    (age,) = _parts(r"A([0-9]{1,4})\.[^./]+", path, "...A<age>.<extension>")
    return Annotation(gender=_code(DIGIT_GENDERS, gender, "gender"), age=int(age))


def afad(path: str) -> Annotation:
    """Asian Face Age Dataset: age and gender are folders."""
    age, gender = _parts(r"(?:^|/)([0-9]{1,4})/([0-9]+)/[^/]+", path, "<age>/<111 or 112>/<file>")
    return Annotation(ASIAN, _code(FOLDER_GENDERS, gender, "gender"), int(age))


def agedb(path: str) -> Annotation:
    """AgeDB: the number is that of the image, so the name is the subject."""
    form = "<number>_<name>_<age>_<m or f>.<extension>"
    subject, age, gender = _parts(r"(?:^|/)[0-9]+_([^/]+)_([0-9]{1,4})_([^_./]+)\.[^./]+", path, form)
    return Annotation(UNKNOWN, _code(LETTER_GENDERS, gender.upper(), "gender"), int(age), subject)


def cacd(path: str) -> Annotation:
    """Cross-Age Celebrity Dataset: `<age>_<name>_<number>`, the name in several words."""
    age, subject = _parts(
        r"(?:^|/)([0-9]{1,4})_([^/]+)_[0-9]+\.[^./]+", path, "<age>_<name>_<number>.<extension>"
    )
    return Annotation(age=int(age), subject=subject)


def fairface(path: str, age: str, gender: str, race: str) -> Annotation:
    """FairFace (Karkkainen and Joo, WACV 2021): seven races, and ages as ranges."""
    return Annotation(
        _code(FAIRFACE_RACES, race, "race"), _code(FILM_GENDERS, gender.upper(), "gender"), _middle(age)
    )


def fgnet(path: str) -> Annotation:
    """FG-NET: `001A43a.JPG` is person 001 at the age of 43; the letter tells photos of an age apart."""
    subject, age = _parts(
        r"(?:^|/)([0-9]{3})[Aa]([0-9]{1,2})[a-z]?\.[^./]+", path, "<subject>A<age>.<extension>"
    )
    return Annotation(age=int(age), subject=subject)


def imdb_wiki(path: str, gender: str, age: str) -> Annotation:
    """IMDB-WIKI: file names start with the person's number in IMDb (nm...) or the page's in Wikipedia."""
    subject = re.search(r"(?:^|/)((?:nm)?[0-9]+)_[^/]*\Z", path)
    return Annotation(
        UNKNOWN, _code(MATLAB_GENDERS, gender, "gender"), _age(age), subject[1] if subject else ""
    )


def imfdb(path: str, gender: str) -> Annotation:
    """Indian Movie Face Database."""
    return Annotation(INDIAN, _code(FILM_GENDERS, gender, "gender"))


def megaage_asian(path: str, age: str) -> Annotation:
    """MegaAge-Asian."""
    return Annotation(ASIAN, age=_age(age))


def morph(path: str, race: str, sex: str, age: str) -> Annotation:
    """MORPH: file names like `009055_1M54.JPG` start with the subject's number."""
    subject = re.search(r"(?:^|/)([0-9]+)_[0-9]+[MF][0-9]+\.[^./]+\Z", path)
    return Annotation(
        _code(MORPH_RACES, race, "race"),
        _code(LETTER_GENDERS, sex, "sex"),
        _age(age),
        subject[1] if subject else "",
    )


def rfw(path: str) -> Annotation:
    """RFW and BUPT-Balancedface (Wang et al., ICCV 2019): race and subject are folders."""
    race, subject = _parts(r"(?:^|/)([^/]+)/([^/]+)/[^/]+", path, "<race>/<subject>/<file>")
    return Annotation(_code(FOLDER_RACES, race, "race"), subject=subject)


def utkface(path: str) -> Annotation:
    """UTKFace: gender is the other way round there. What follows the time in a name is not regular."""
    form = "<age>_<gender>_<race>_<time>..."
    age, gender, race = _parts(r"(?:^|/)([0-9]{1,4})_([0-9]+)_([0-9]+)_[0-9]+[^/]*", path, form)
    return Annotation(_code(UTKFACE_RACES, race, "race"), _code(UTKFACE_GENDERS, gender, "gender"), int(age))


FAIRFACE_NOTE = (
    "FairFace's seven races become five: White 0, Black 1, East Asian and Southeast Asian 2, Indian 3, "
    "Latino_Hispanic and Middle Eastern 4; its ages are ranges, listed by their middle (20-29 as 24, more "
    "than 70 as 75), so decades are right, and years may be five or more off"
)
PUBLIC_SETS = {
    "aaf": PublicSet(aaf, ("gender",)),
    "afad": PublicSet(afad),
    "agedb": PublicSet(agedb),
    "cacd": PublicSet(cacd),
    "fairface": PublicSet(fairface, ("age", "gender", "race"), "file", FAIRFACE_NOTE),
    "fgnet": PublicSet(fgnet),
    "imdb-wiki": PublicSet(imdb_wiki, ("gender", "age")),
    "imfdb": PublicSet(imfdb, ("gender",)),
    "megaage-asian": PublicSet(megaage_asian, ("age",)),
    "morph": PublicSet(morph, ("race", "sex", "age")),
    "rfw": PublicSet(rfw),
    "utkface": PublicSet(utkface),
}


def _parts(pattern: str, path: str, form: str) -> tuple[str, ...]:
    """The groups of a pattern that the path must end with."""
    found = re.search(rf"{pattern}\Z", path)
    if found is None:
        raise AnnotationError(f"expected a name like {form}")
    return found.groups()


def _code(codes: Mapping[str, int], text: str, what: str) -> int:
    if text not in codes:
        raise AnnotationError(f"{what} `{text}` is none of {', '.join(codes)}")
    return codes[text]


def _age(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise AnnotationError(f"age `{text}` is no whole number")
    return int(text)


def _middle(text: str) -> int:
    """The middle of a range such as 20-29, rounded down; also a single age, and OLDEST."""
    if text.strip().lower() == "more than 70":
        return OLDEST
    found = re.fullmatch(r"\s*([0-9]{1,3})\s*-\s*([0-9]{1,3})\s*", text)
    return (int(found[1]) + int(found[2])) // 2 if found else _age(text)
