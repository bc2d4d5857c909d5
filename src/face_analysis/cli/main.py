"""The `face-analysis` command: finds the subcommand, runs it, turns errors into messages and exit codes."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Sequence

from face_analysis import __version__
from face_analysis.errors import FaceAnalysisError

COMMANDS = {
    "align": "find the faces of photos and write them as aligned chips",
    "annotations": "read the labels of public sets; split and count image lists",
    "audit": "find copies, contradicting labels and leaks between lists; write lists without them",
    "pack": "pack a list or a folder of images into one LMDB file",
    "pairs": "build verification sets of .bin files, or of photos and a published protocol",
    "train": "train race, gender and age models, or recognition",
    "predict": "find the faces of photos and predict race, gender and age",
    "extract": "write embeddings of the faces of photos as a feature set",
    "match": "compare all pairs of embeddings: rates, distributions and the most extreme pairs",
    "search": "find the faces of a gallery most like each probe, and measure it where people are known",
    "report": "draw what a match found, or training runs side by side: figures, tables and a page",
    "evaluate": "measure predictions against labels, overall and by group",
    "calibrate": "fit a model's certainty to labelled images, and store it in its card",
    "models": "list, show, find and check models; import those of the original system",
    "demo": "run the whole job on small generated images",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns 0, 1 when a part failed, or 2 when it was used wrongly."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return 0 if words else 2
    if words[0] == "--version":
        print(__version__)
        return 0
    if words[0] not in COMMANDS:
        print(f"face-analysis: no command `{words[0]}`; choose from {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    return run(words)


def run(words: Sequence[str]) -> int:
    """Run a command by its words; an error becomes a message on stderr and its exit status."""
    command = importlib.import_module(f"face_analysis.cli.{words[0]}")
    try:
        return int(command.main(words[1:]))
    except FaceAnalysisError as error:
        print(f"face-analysis {words[0]}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"face-analysis {words[0]}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of stdout went away; say nothing more into it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {text}" for name, text in COMMANDS.items()]
    return "usage: face-analysis COMMAND [options]\n\n" + "\n".join(
        [*lines, "", "`face-analysis COMMAND --help` tells the options of a command."]
    )


if __name__ == "__main__":
    sys.exit(main())
