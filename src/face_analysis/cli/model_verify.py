"""Whether the files of models are whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from face_analysis.errors import ModelMismatchError
from face_analysis.zoo.catalogue import ABSENT, CATALOGUE, recognise
from face_analysis.zoo.find import find, places


@dataclass(frozen=True)
class Check:
    """What became of one file; `unknown` is one that there is nothing to compare with."""

    word: Literal["ok", "damaged", "unknown", "not here"]
    detail: str

    @property
    def status(self) -> int:
        """Its part in the exit status."""
        return 1 if self.word in ("damaged", "unknown") else 0


def checks(what: str) -> list[Check]:
    """A check of each file that a name of the catalogue has on this machine, or of the one file named.

    Raises UnknownModelError.
    """
    entry = CATALOGUE.get(what)
    if entry is None:
        return [_check_file(find(what))]
    here = [(path, fault) for path in places(entry) if (fault := entry.fault(path)) != ABSENT]
    return [Check("damaged", f"{path}: {fault}") if fault else _check_card(path) for path, fault in here] or [
        Check("not here", entry.name)
    ]


def _check_file(path: Path) -> Check:
    if recognise(path) or path.suffix == ".safetensors":
        return _check_card(path)
    return Check("unknown", f"{path}: not in the catalogue, by its SHA-256, and no .safetensors file")


def _check_card(path: Path) -> Check:
    if path.suffix != ".safetensors":
        return Check("ok", str(path))
    from face_analysis.models.weights import load_model

    try:
        load_model(path)
    except ModelMismatchError as error:
        return Check("damaged", str(error))
    return Check("ok", str(path))
