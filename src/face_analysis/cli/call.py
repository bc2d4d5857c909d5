"""A command called from Python, with its options by name."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

from face_analysis.cli.commands import NEEDS, OPTIONS, options_of
from face_analysis.cli.option_table import CONFIG, option_table
from face_analysis.errors import UsageError
from face_analysis.extras import require

Value = str | int | float | bool | Path | Sequence[str | int | float | Path] | None
"""What an option can be: True for a switch, several for one that takes several, None for its default."""


def call(command: str, /, **options: Value) -> int:
    """Run a command of `face-analysis` in this process, with its options by name.

    It reads and writes the same files as the command of the shell, and prints its results on stdout. It can
    be interrupted and resumed in the same way. `face_analysis.train`, `match` and others return objects.

    Args:
        command: such as "predict", "extract", "pack" or "annotations split".
        options: the options that `face-analysis COMMAND --help` lists, with `_` as written there. A word
            without a flag has the name that the help shows in capitals, such as `photos`.

    Returns:
        0, or 1 if a part failed, for example because a photo cannot be read.

    Raises:
        UsageError: if the command, an option or a value does not exist.
        FaceAnalysisError: if the command stops. The message has the reason.

    Examples:
        >>> from face_analysis import call
        >>> call("align", source=portrait, dest=folder)
        /...
        0
    """
    if command not in OPTIONS:
        raise UsageError(f"no command {command!r}; the commands are {', '.join(sorted(OPTIONS))}")
    table = option_table(options_of(command))
    unknown = sorted(set(options) - set(table))
    if unknown:
        raise UsageError(f"{command} has no option {', '.join(unknown)}; it has {', '.join(table)}")
    name, *action = command.split()
    if name in NEEDS:
        require(NEEDS[name], f"`face-analysis {name}`")
    loose: list[str] = []
    words: list[str] = []
    for option in (option for option in table.values() if option.name in options):
        value = options[option.name]
        if value is None or value is False:
            continue
        several = [value] if isinstance(value, str | int | float | Path) else list(value)
        if option.opt.positional:
            loose += map(str, several)
        elif option.switch and option.name != CONFIG:
            words.append(f"--{option.name}")
        else:
            words += [f"--{option.name}", *map(str, several)]
    module = importlib.import_module(f"face_analysis.cli.{name}")
    return int(module.main([*action, *loose, *words]))
