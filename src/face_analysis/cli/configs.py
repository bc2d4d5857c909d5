"""Files of `--config`: which options they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from face_analysis.cli.option_table import CONFIG, Option
from face_analysis.cli.wrong_words import WrongWords
from face_analysis.errors import MissingFileError, UsageError
from face_analysis.inputs import check_input

MAX_CONFIG = 2**20
"""Bytes of a file of options."""


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
