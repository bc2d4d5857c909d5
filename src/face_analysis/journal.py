"""What a long run has done, kept so that a killed run can be taken up again to the same end."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from face_analysis.errors import UsageError, WriteError
from face_analysis.files import hidden_name
from face_analysis.json_files import json_text


def journal_path(output: Path) -> Path:
    """Where the journal of the run that writes `output` is kept."""
    return output.with_name(hidden_name(output.name, "journal"))


def begun(output: Path) -> dict[str, Any]:
    """What the journal beside the output is of, or nothing where there is none, or not a whole line of it."""
    try:
        with journal_path(output).open("rb") as file:
            line = file.readline()
        facts = json.loads(line) if line.endswith(b"\n") else {}
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


class Journal:
    """A hidden file of JSON lines beside the output: records, and after each block how many inputs are done.

    Records after the last block's mark are of a run that was cut off, and are dropped. `identity` says what
    the run is of; a journal of something else is refused with UsageError. Without `resume` an old journal is
    replaced. Every failed write raises WriteError. `remove` it when the output is whole.
    """

    def __init__(self, output: Path, identity: dict[str, Any], *, resume: bool) -> None:
        self.path = journal_path(output)
        self.done = 0
        self._pending: list[str] = []
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            begun = resume and self.path.exists() and self._take_up(identity)
            self._file = self.path.open("ab" if begun else "wb")
            if not begun:
                self._put([json_text(identity, sort_keys=True)])
        except OSError as error:
            raise WriteError(self.path, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, record: dict[str, Any]) -> None:
        """Note a record; it counts once its block is marked."""
        self._pending.append(json_text(record))

    def mark(self, done: int) -> None:
        """End a block: the first `done` inputs are done."""
        self.done = done
        self._put([*self._pending, str(done)])
        self._pending = []

    def records(self) -> Iterator[dict[str, Any]]:
        """All records of marked blocks, in order."""
        with self.path.open("rb") as file:
            next(file)
            for line in file:
                value = json.loads(line)
                if isinstance(value, dict):
                    yield value

    def remove(self) -> None:
        """Close and delete the journal."""
        self._file.close()
        self.path.unlink()

    def _put(self, lines: list[str]) -> None:
        try:
            self._file.write("".join(line + "\n" for line in lines).encode())
            self._file.flush()
        except OSError as error:
            raise WriteError(self.path, error) from error

    def _take_up(self, identity: dict[str, Any]) -> bool:
        """Cut the file after its last mark; False where not even the first line is whole."""
        position = end = 0
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                position += len(line)
                if end == 0:
                    self._check(line, identity)
                    end = position
                elif line.strip().isdigit():
                    self.done, end = int(line), position
        os.truncate(self.path, end)
        return end > 0

    def _check(self, line: bytes, identity: dict[str, Any]) -> None:
        begun = json.loads(line)
        differing = [key for key in identity if begun.get(key) != identity[key]]
        if differing:
            raise UsageError(
                f"{self.path.parent}: the run to resume was begun with other {', '.join(differing)}; give "
                "the same options, or start anew without --resume"
            )
