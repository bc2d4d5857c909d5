"""`face-analysis models`: show a model's card; import checkpoints of the original system."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from face_analysis.cli.parser import parse
from face_analysis.options import Opt

USAGE = "usage: face-analysis models show|import [options]"


@dataclass(frozen=True)
class ShowOptions:
    """Which card to show."""

    model: Annotated[Path, Opt("a .safetensors file", "-m")]


@dataclass(frozen=True)
class ImportOptions:
    """What to import."""

    model: Annotated[Path, Opt("model_*.pth of the original system", "-m")]
    dest: Annotated[Path, Opt("the .safetensors file to write", "-d")]
    head: Annotated[Path | None, Opt("head_*.pth (default: beside the model)", "-hd")] = None
    attribute: Annotated[
        Literal["race", "gender", "age"] | None, Opt("checked against the head's outputs", "-a")
    ] = None
    net_mode: Annotated[Literal["ir", "ir_se"], Opt("with or without SE", "-n")] = "ir_se"
    depth: Annotated[int, Opt("50, 100 or 152", "-dp")] = 50


def main(arguments: Sequence[str]) -> int:
    """Exit status 0; what was asked for goes to stdout."""
    actions = {"show": show, "import": import_original}
    words = list(arguments)
    if not words or words[0] not in actions:
        print(USAGE, file=sys.stdout if words in (["-h"], ["--help"]) else sys.stderr)
        return 0 if words in (["-h"], ["--help"]) else 2
    actions[words[0]](words[1:])
    return 0


def show(arguments: Sequence[str]) -> None:
    """Print the card of a model whose weights are those the card was made for."""
    options = parse("models show", ShowOptions, arguments)
    from face_analysis.models.weights import load_model

    print(load_model(options.model).card.to_json())


def import_original(arguments: Sequence[str]) -> None:
    """Write an original checkpoint pair as one file with its card."""
    options = parse("models import", ImportOptions, arguments)
    from face_analysis.models.original import read_original
    from face_analysis.models.weights import save_model

    network, card = read_original(
        options.model, options.head, options.attribute, options.depth, options.net_mode
    )
    save_model(options.dest, network, card)
    print(options.dest)
