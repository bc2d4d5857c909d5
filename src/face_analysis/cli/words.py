"""Which words of a command line belong to which option, and which options the files of `--config` hold."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from face_analysis.cli.option_table import CONFIG, Option
from face_analysis.cli.wrong_words import WrongWords
from face_analysis.errors import MissingFileError, UsageError
from face_analysis.inputs import check_input

MAX_CONFIG = 2**20
"""Bytes of a file of options."""


@dataclass
class Words:
    """The values given to each option by name, words without an option, and the configuration files."""

    values: dict[str, list[str]] = field(default_factory=dict)
    loose: list[str] = field(default_factory=list)
    configs: list[str] = field(default_factory=list)

    def add(self, option: Option, values: list[str]) -> None:
        """Give an option values: more of them where it takes many, otherwise the last is meant."""
        if option.name == CONFIG:
            self.configs += values
        else:
            self.values[option.name] = (self.values.get(option.name, []) if option.many else []) + values


def sort_words(table: Mapping[str, Option], words: Sequence[str], wrong: WrongWords) -> Words:
    """Sort the words by option, in any order. Raises UsageError for one that is out of place."""
    found, rest = Words(), deque(words)
    while rest:
        word = rest.popleft()
        if word == "--":
            found.loose += rest
            break
        if not is_flag(word):
            found.loose.append(word)
            continue
        option, value = _resolve(table, word, wrong)
        found.add(option, _values(option, value, rest, wrong))
    most = [option for option in table.values() if option.opt.positional]
    if len(found.loose) > len(most) and not any(option.many for option in most):
        raise wrong.loose_word(found.loose[len(most)], words)
    return found


def is_flag(word: str) -> bool:
    """Whether a word is meant as an option: it starts with a dash and is no number."""
    try:
        float(word)
    except ValueError:
        return word.startswith("-") and word != "-"
    return False


def _resolve(table: Mapping[str, Option], word: str, wrong: WrongWords) -> tuple[Option, str | None]:
    """The option that a word starting with a dash names, and the value glued to it."""
    flags = {flag: option for option in table.values() for flag in option.flags}
    name, equals, value = word.partition("=")
    if name.startswith("--"):
        name = name.replace("-", "_").replace("__", "--", 1)
    if name in flags:
        return flags[name], value if equals else None
    longer = [flag for flag in flags if flag.startswith("--") and flag.startswith(name)]
    if len(longer) == 1 and len(name) > 2:
        return flags[longer[0]], value if equals else None
    if len(longer) > 1:
        raise wrong.several(name, longer)
    short, glued = flags.get(word[:2]), word[2:]
    if short is None or short.switch or any(flag.startswith(f"-{name}") for flag in flags):
        raise wrong.unknown(name)
    if short.kind in (int, float) and not glued[:1].isdigit():
        raise wrong.unknown(name)
    return short, glued


def _values(option: Option, value: str | None, rest: deque[str], wrong: WrongWords) -> list[str]:
    """The values of an option: the one glued to it, or those that follow."""
    if option.switch:
        if value not in (None, "true", "false"):
            raise wrong.value_of_switch(option, value)
        return [value or "true"]
    if value is not None:
        return [value]
    following = list(takewhile(lambda word: not is_flag(word), rest))[: None if option.many else 1]
    if not following:
        raise wrong.no_value(option)
    for _ in following:
        rest.popleft()
    return following


def read_configs(
    files: Sequence[str], table: Mapping[str, Option], wrong: WrongWords
) -> dict[str, tuple[str, Any]]:
    """The file and the value of each option that the files give; the last file counts.

    Raises MissingFileError, and UsageError for a file that is not YAML or names no option of the command.
    """
    found = {}
    for file in files:
        for key, value in _read(file).items():
            if key not in table or key == CONFIG:
                raise wrong.unknown_key(str(key), file)
            if value is not None:
                found[key] = (file, value)
    return found


def _read(file: str) -> dict[Any, Any]:
    path = Path(file)
    if not path.exists():
        raise MissingFileError(path, "file of --config")
    check_input(path, MAX_CONFIG)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise UsageError(f"{path}{line}: not YAML; --config takes lines `option: value`") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"{path}: --config takes lines `option: value`, and this file holds none")
    return content
