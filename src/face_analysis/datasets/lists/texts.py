"""Many strings in one buffer."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import overload


class Texts(Sequence[str]):
    """Strings one after the other in one buffer, which forked processes share.

    They do not share a list of strings: Python counts the users of a string beside it, so a process that
    reads one changes its page of memory, and gets a copy. Slices are lists. Lone surrogates, which stand for
    bytes of file names that are not UTF-8, are kept.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._bytes, self._ends = bytearray(), array("q")
        for text in texts:
            self.append(text)

    def append(self, text: str) -> None:
        """Add one string at the end."""
        self._bytes += text.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._bytes))

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        rows = range(len(self))[index]
        if isinstance(rows, range):
            return [self._text(row) for row in rows]
        return self._text(rows)

    def __iter__(self) -> Iterator[str]:
        return map(self._text, range(len(self)))

    def __eq__(self, other: object) -> bool:
        """Whether another sequence, such as a list, has the same strings in the same order."""
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == its for mine, its in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # it can grow

    def __repr__(self) -> str:
        return f"Texts({list(self)})"

    def _text(self, row: int) -> str:
        start = self._ends[row - 1] if row else 0
        return self._bytes[start : self._ends[row]].decode("utf-8", "surrogatepass")
