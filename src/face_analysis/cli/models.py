"""`face-analysis models`: the models that are known, where they lie, and whether they are whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from face_analysis.cli.main import run_action
from face_analysis.cli.model_text import about, checks, table
from face_analysis.cli.parser import parse
from face_analysis.errors import UsageError
from face_analysis.options import Opt
from face_analysis.outputs import Overwrite, claim_file
from face_analysis.zoo.catalogue import CATALOGUE
from face_analysis.zoo.find import add_to_cache, find


@dataclass(frozen=True)
class ListOptions:
    """There is nothing to choose."""


@dataclass(frozen=True)
class ShowOptions:
    """Which model to show."""

    model: Annotated[str, Opt("name of a model, or a .safetensors file", positional=True)]


@dataclass(frozen=True)
class PathOptions:
    """Which model to find."""

    model: Annotated[str, Opt("name of a model", positional=True)]


@dataclass(frozen=True)
class VerifyOptions:
    """Which models to verify."""

    models: Annotated[
        tuple[str, ...], Opt("names of models, or files (default: all names)", positional=True)
    ] = ()


@dataclass(frozen=True)
class ImportOptions:
    """What to import."""

    model: Annotated[Path, Opt("file of a known model, or model_*.pth of the original system", "-m")]
    dest: Annotated[Path | None, Opt("for model_*.pth: the .safetensors file to write", "-d")] = None
    head: Annotated[Path | None, Opt("head_*.pth (default: beside the model)", "-hd")] = None
    attribute: Annotated[
        Literal["race", "gender", "age", "recognition"] | None,
        Opt("checked against the head; recognition needs none (default: as the head says)", "-a"),
    ] = None
    net_mode: Annotated[Literal["ir", "ir_se"], Opt("with or without SE", "-n")] = "ir_se"
    depth: Annotated[int, Opt("50, 100 or 152", "-dp")] = 50
    overwrite: Overwrite = False


def main(arguments: Sequence[str]) -> int:
    """Exit status 0, or 1 when a verified model is damaged; what was asked for goes to stdout."""
    actions = {
        "list": list_models,
        "show": show,
        "path": path,
        "import": import_model,
        "verify": verify,
    }
    return run_action("models", actions, arguments)


def list_models(arguments: Sequence[str]) -> int:
    """Print a line a model of the catalogue."""
    parse("models list", ListOptions, arguments)
    print(table(CATALOGUE.values()))
    return 0


def show(arguments: Sequence[str]) -> int:
    """Print what the catalogue says of a model, and the card of one that has a card."""
    print(about(parse("models show", ShowOptions, arguments).model))
    return 0


def path(arguments: Sequence[str]) -> int:
    """Print where the file of a model is, fetching it if need be."""
    print(find(parse("models path", PathOptions, arguments).model))
    return 0


def verify(arguments: Sequence[str]) -> int:
    """Print a line a file: whether its bytes are the catalogue's, and its weights those of its card."""
    status = 0
    for name in parse("models verify", VerifyOptions, arguments).models or CATALOGUE:
        for check in checks(name):
            print(f"{check.word:8}  {check.detail}")
            status = max(status, check.status)
    return status


def import_model(arguments: Sequence[str]) -> int:
    """Write an original checkpoint as one file with its card, or copy a known model into the cache."""
    options = parse("models import", ImportOptions, arguments)
    if options.dest is None:
        if options.model.suffix == ".pth":
            raise UsageError(
                f"{options.model}: a checkpoint of the original system needs -d FILE.safetensors"
            )
        print(add_to_cache(options.model))
        return 0
    from face_analysis.models.original import import_original
    from face_analysis.models.weights import save_model

    network, card = import_original(
        options.model, options.head, options.attribute, options.depth, options.net_mode
    )
    with claim_file(options.dest, (options.model, options.head), overwrite=options.overwrite):
        save_model(options.dest, network, card)
    print(options.dest)
    return 0
