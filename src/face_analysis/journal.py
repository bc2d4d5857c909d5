"""What a long run has done, kept so that a run that was stopped can go on to the same end."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from face_analysis.errors import UsageError, WriteError
from face_analysis.files import hidden_name, open_hidden
from face_analysis.json_files import json_text
from face_analysis.types import ImageFailure


def journal_path(output: Path) -> Path:
    """Where the journal of the run that writes `output` is kept."""
    return output.with_name(hidden_name(output.name, "journal"))


def begun(output: Path) -> dict[str, Any]:
    """The facts of the journal beside the output; empty where there is none, or no whole line of it."""
    try:
        with journal_path(output).open("rb") as file:
            line = file.readline()
        facts = json.loads(line) if line.endswith(b"\n") else {}
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def check_same_run(begun: Mapping[str, Any], facts: Mapping[str, Any], place: Path) -> None:
    """Raise UsageError where a run that is to be resumed was begun with other facts, fewer or more."""
    differing = [name for name in dict.fromkeys([*facts, *begun]) if begun.get(name) != facts.get(name)]
    if differing:
        raise UsageError(
            f"{place}: the run to resume was begun with other {', '.join(differing)}; give "
            "the same options, or start anew with --overwrite"
        )


class Journal:
    """A hidden file of JSON lines beside the output: facts, records, failures, and marks.

    The first line has the facts that the run is of. A record is an object, a failure a list, and a mark the
    number of inputs that are done. What stands after the last mark is of a run that was stopped, and is
    dropped. With `resume` a journal of other facts is refused with UsageError; without, an old journal is
    replaced. Every failed write raises WriteError. `remove` it when the output is whole.
    """

    def __init__(self, output: Path, facts: Mapping[str, Any], *, resume: bool) -> None:
        self.path = journal_path(output)
        self.done = 0
        self._pending: list[str] = []
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            begun = resume and self.path.exists() and self._resume(facts)
            self._file = open_hidden(self.path, "ab" if begun else "wb")
            if not begun:
                self._put([json_text(facts, sort_keys=True)])
        except OSError as error:
            raise WriteError(self.path, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, record: Mapping[str, Any]) -> None:
        """Note a record; it counts once its block is marked."""
        self._pending.append(json_text(record))

    def add_failure(self, failure: ImageFailure) -> None:
        """Note an image that could not be used; it counts once its block is marked."""
        self._pending.append(json_text(list(failure)))

    def mark(self, done: int) -> None:
        """End a block: the first `done` inputs are done."""
        self.done = done
        self._put([*self._pending, str(done)])
        self._pending = []

    def records(self) -> Iterator[dict[str, Any]]:
        """All records of marked blocks, in order."""
        return (value for value in self._values() if isinstance(value, dict))

    def kept(self) -> tuple[int, list[ImageFailure]]:
        """How many records the marked blocks have, and their failures, in order; the file is read once."""
        records, failures = 0, []
        for value in self._values():
            if isinstance(value, dict):
                records += 1
            elif isinstance(value, list):
                failures.append(ImageFailure(*value))
        return records, failures

    def remove(self) -> None:
        """Close and delete the journal."""
        self._file.close()
        self.path.unlink()

    def _values(self) -> Iterator[Any]:
        with self.path.open("rb") as file:
            next(file)
            yield from map(json.loads, file)

    def _put(self, lines: list[str]) -> None:
        try:
            self._file.write("".join(line + "\n" for line in lines).encode())
            self._file.flush()
        except OSError as error:
            raise WriteError(self.path, error) from error

    def _resume(self, facts: Mapping[str, Any]) -> bool:
        """Cut the file after its last mark; False where not even the first line is whole."""
        position = end = 0
        with open_hidden(self.path, "r+b") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                position += len(line)
                if end == 0:
                    check_same_run(json.loads(line), facts, self.path.parent)
                    end = position
                elif line.strip().isdigit():
                    self.done, end = int(line), position
            os.ftruncate(file.fileno(), end)
        return end > 0
