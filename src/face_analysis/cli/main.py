"""The `face-analysis` command: runs a command or action by name; errors become messages and exit codes."""

from __future__ import annotations

import importlib
import io
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from face_analysis import __version__
from face_analysis.cli.commands import COMMANDS, NEEDS, overview, program
from face_analysis.cli.wrong_words import meant, wrong_command
from face_analysis.errors import FaceAnalysisError, UsageError
from face_analysis.extras import require

Action = Callable[[Sequence[str]], int]
INTERRUPTED = 130
"""The status of a command that Ctrl-C stopped."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns 0, 1 when a part failed, or 2 when it was used wrongly."""
    prepare_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words:
        print(overview(), file=sys.stderr)
        return 2
    if words[0] in COMMANDS:
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
        return run(words, ends_process=arguments is None)
    return _guarded("face-analysis", lambda: _without_command(words[0]))


def run(words: Sequence[str], *, ends_process: bool = False) -> int:
    """Run a command by its words; an error becomes a message on stderr and its exit status.

    With `ends_process` the process ends at Ctrl-C.
    """
    command = importlib.import_module(f"face_analysis.cli.{words[0]}")

    def work() -> int:
        extra = NEEDS.get(words[0])
        if extra is not None and not {"-h", "--help"} & set(words):
            require(extra, f"`{program(words[0])}`")
        return int(command.main(words[1:]))

    return _guarded(program(words[0]), work, ends_process=ends_process)


def run_action(command: str, actions: Mapping[str, Action], arguments: Sequence[str]) -> int:
    """Run the action that the first word names, and give its status; `--help` tells what there is.

    Raises UsageError for another word, or none.
    """
    words = list(arguments)
    if words and words[0] in actions:
        return actions[words[0]](words[1:])
    usage = f"usage: face-analysis {command} {'|'.join(actions)} [options]"
    if words and words[0] in ("-h", "--help"):
        width = max(map(len, actions))
        lines = [f"  {name:{width}}  {_first_line(action)}" for name, action in actions.items()]
        print(
            "\n".join([usage, "", *lines, "", f"`face-analysis {command} ACTION --help` lists its options."])
        )
        return 0
    wrong = f"no action `{words[0]}`{meant(words[0], actions)}" if words else "say what to do"
    raise UsageError(f"{wrong}\n{usage}")


def _first_line(action: Action) -> str:
    return (action.__doc__ or "").partition("\n")[0]


def _without_command(word: str) -> int:
    if word in ("-h", "--help", "help", "--version"):
        print(__version__ if word == "--version" else overview())
        return 0
    if Path(word).exists():
        raise UsageError(f"no command before `{word}`: to describe photos, `face-analysis predict {word}`")
    raise UsageError(f"{wrong_command(word)}\n`face-analysis --help` tells what each command does")


def _guarded(name: str, work: Callable[[], int], *, ends_process: bool = False) -> int:
    """Do the work and write out what it printed; errors of the user or the machine become a message."""
    try:
        try:
            return work()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _silence_broken_streams()
        return 1
    except (Exception, KeyboardInterrupt) as error:
        told = _told(error)
        if told is None:
            raise
        print(f"{name}: {told}", file=sys.stderr)
        if not isinstance(error, KeyboardInterrupt):
            return getattr(error, "exit_code", 1)
        if ends_process:
            # All files are closed and unlocked by now. In the clean-up of the interpreter a native thread
            # that still computes could abort the process, and the status would be lost.
            _silence_broken_streams()
            os._exit(INTERRUPTED)
        return INTERRUPTED


def _told(error: BaseException) -> str | None:
    """What is said of an error of the user or the machine; None for any other, which is the program's own."""
    match error:
        case FaceAnalysisError():
            return str(error)
        case KeyboardInterrupt():
            return "interrupted"
        case MemoryError():
            return f"not enough memory: {error}"
        case UnicodeEncodeError():  # from a library that takes no such name
            near = error.object[max(0, error.start - 80) : error.start + 80]
            return f"`{near}` is not {error.encoding}: rename the file or folder"
        case RuntimeError() if "Symlink loop" in str(error):  # as pathlib calls links that lead in a circle
            return f"{error}: name another file or folder"
        case OSError():
            return f"{error.filename or 'writing'}: {error.strerror or error}"
    return None


def prepare_streams() -> None:
    """Let stdout and stderr take all that is printed.

    The name of a file that is not UTF-8 is printed as the bytes it is, and where that cannot be, escaped. A
    stream that was closed before the program started takes everything and keeps nothing.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif isinstance(stream, io.TextIOWrapper):
            utf8 = stream.encoding.lower().replace("-", "") == "utf8"
            stream.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")


def _silence_broken_streams() -> None:
    """Drop what is left to be printed to a reader that went away."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    sys.exit(main())
