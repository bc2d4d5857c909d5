"""The original system's scripts, over the commands of `face-analysis`."""

from __future__ import annotations

import logging
import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from face_analysis.cli.main import prepare_streams, run
from face_analysis.cli.original_options import SCRIPTS, UNUSED, Script, is_original
from face_analysis.errors import UsageError


def main(name: str, arguments: Sequence[str] | None = None) -> int:
    """Run a script of the original by its file's name; the exit status is the command's."""
    prepare_streams()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        words = translate(name, sys.argv[1:] if arguments is None else arguments)
    except UsageError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    return run(words)


def translate(name: str, arguments: Sequence[str]) -> list[str]:
    """The words of `face-analysis` for those of a script; options that the original had not stay as they are.

    Ends the program with a message and status 2 for words that are wrong. Raises UsageError.
    """
    script = SCRIPTS[name]
    given, rest = _parser(name, script).parse_known_args(list(arguments))
    # What these name already says what else to take.
    resumed = getattr(given, "resume", None)
    configured = any(word.startswith("--config") for word in rest)
    own = configured or (resumed is not None and not is_original(resumed))
    positional: list[str] = []
    options: list[str] = []
    for flag in script.flags:
        value = getattr(given, flag.name)
        value = flag.default if value is None and not own else value
        if value in (None, False) or flag.to == UNUSED:
            continue
        values = [] if flag.switch else value if flag.several else [value]
        values = [one.lower() for one in values] if flag.lower else values
        if flag.to:
            options += [flag.to, *values]
        else:
            positional += values
    words = [*positional, *rest, *options, *script.more(given)]
    # The original wrote over what was there; its trainings never did, as their names had the time in them.
    replaces = "--resume" not in words and name != "train.py"
    return [*script.words, *words, *(["--overwrite"] if replaces else [])]


def _parser(name: str, script: Script) -> ArgumentParser:
    command = " ".join(word for word in script.words[:2] if not word.startswith("-"))
    parser = ArgumentParser(
        prog=name,
        description=f"`{name}` of the original system. It takes the other options of "
        f"`face-analysis {command}` too.",
    )
    for flag in script.flags:
        about = "" if flag.default is None else f"default: {flag.default}"
        if flag.switch:
            parser.add_argument(flag.long, flag.short, dest=flag.name, action="store_true", help=about)
        else:
            count = "+" if flag.several else None
            parser.add_argument(
                flag.long, flag.short, dest=flag.name, nargs=count, help=about, metavar=flag.name.upper()
            )
    return parser
