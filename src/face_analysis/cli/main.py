"""The `face-analysis` command: finds the subcommand, runs it, turns errors into messages and exit codes."""

from __future__ import annotations

import importlib
import io
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from face_analysis import __version__
from face_analysis.cli.commands import COMMANDS, overview, program
from face_analysis.cli.wrong_words import wrong_command
from face_analysis.errors import FaceAnalysisError, UsageError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns 0, 1 when a part failed, or 2 when it was used wrongly."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words:
        print(overview(), file=sys.stderr)
        return 2
    if words[0] in COMMANDS:
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
        return run(words)
    return _guarded("face-analysis", lambda: _without_command(words[0]))


def run(words: Sequence[str]) -> int:
    """Run a command by its words; an error becomes a message on stderr and its exit status."""
    command = importlib.import_module(f"face_analysis.cli.{words[0]}")
    return _guarded(program(words[0]), lambda: int(command.main(words[1:])))


def _without_command(word: str) -> int:
    if word in ("-h", "--help", "help", "--version"):
        print(__version__ if word == "--version" else overview())
        return 0
    if Path(word).exists():
        raise UsageError(f"no command before `{word}`: to describe photos, `face-analysis predict {word}`")
    raise UsageError(f"{wrong_command(word)}\n`face-analysis --help` tells what each command does")


def _guarded(name: str, work: Callable[[], int]) -> int:
    """Do the work and write out what it printed; errors of the user or the machine become a message."""
    _let_stdout_take_any_name()
    try:
        try:
            return work()
        finally:
            sys.stdout.flush()
    except FaceAnalysisError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of stdout went away; say nothing more into it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"{name}: {error.filename or 'writing'}: {error.strerror or error}", file=sys.stderr)
        return 1


def _let_stdout_take_any_name() -> None:
    """Print names of files that are not UTF-8 as the bytes they are, and where that cannot be, escaped."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        utf8 = sys.stdout.encoding.lower().replace("-", "") == "utf8"
        sys.stdout.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
