"""The sizes that a pickle claims, held against its own before anything is made of it."""

from __future__ import annotations

_FIXED = {
    **dict.fromkeys((b"(", b")", b"]", b"l", b"t", b"a", b"e", b"0", b"1", b"2", b"N", b"R", b"b"), 0),
    **dict.fromkeys((b"\x85", b"\x86", b"\x87", b"\x88", b"\x89", b"\x93", b"\x94"), 0),
    **dict.fromkeys((b"\x80", b"K", b"h", b"q"), 1),
    b"M": 2,
    **dict.fromkeys((b"J", b"j", b"r"), 4),
    b"\x95": 8,
}
"""Opcodes for lists, tuples, calls, small numbers and the memo, and how many bytes follow each."""
_LINES = {b"c": 2, **dict.fromkeys((b"I", b"L", b"S", b"V", b"g", b"p"), 1)}
"""Those of protocol 0, and how many lines of text follow."""
_COUNTED = {
    **dict.fromkeys((b"U", b"C", b"\x8c", b"\x8a"), 1),
    **dict.fromkeys((b"B", b"X", b"T"), 4),
    **dict.fromkeys((b"\x8d", b"\x8e", b"\x96"), 8),
}
"""Those of text, bytes and long numbers, and how many bytes their length takes."""


def check_sizes(data: bytes) -> None:
    """Raise ValueError where a length reaches beyond the data, or the memo would have room for more than it.

    Unpickling takes such numbers at their word, and the memory with them. Dictionaries, sets and whatever
    makes objects otherwise than by a call are refused: hashing can be made to take for ever.
    """
    at = steps = 0
    while (code := data[at : at + 1]) != b".":
        steps += 1
        end = _after(code, data, at + 1)
        if end > len(data):
            raise ValueError("it ends too early, or claims more than the file holds")
        if code in (b"p", b"q", b"r"):
            entry = data[at + 1 : end]
            if (int(entry) if code == b"p" else int.from_bytes(entry, "little")) > steps:
                raise ValueError(f"the memo has no such entry yet, at byte {at}")
        at = end


def _after(code: bytes, data: bytes, at: int) -> int:
    """Where what follows an opcode ends."""
    if code in _FIXED:
        return at + _FIXED[code]
    if code in _COUNTED:
        begin = at + _COUNTED[code]
        return begin + int.from_bytes(data[at:begin], "little")
    if code not in _LINES:
        raise ValueError(f"no pickle of plain values, at byte {at - 1}")
    for _ in range(_LINES[code]):
        at = data.index(b"\n", at) + 1
    return at
