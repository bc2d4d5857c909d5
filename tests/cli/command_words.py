"""Words for every command, made from its dataclass of options."""

from __future__ import annotations

from face_analysis.cli.commands import options_of
from face_analysis.cli.option_table import CONFIG, Option, option_table

VALUES = {"int": "4", "float": "0.5", "str": "word", "Path": "path"}


def table_of(command: str) -> dict[str, Option]:
    """The options of a command but for `--config`."""
    table = option_table(options_of(command))
    return {name: option for name, option in table.items() if name != CONFIG}


def value_of(option: Option) -> str:
    """A value that the option takes."""
    return option.choices[0] if option.choices else VALUES[option.kind.__name__]


def needed_words(command: str, without: str = "") -> list[str]:
    """The words that a command cannot do without, but for those of one option."""
    words = []
    for name, option in table_of(command).items():
        if option.required and name != without:
            words.append(f"--{name}={value_of(option)}" if option.flags else value_of(option))
    return words
