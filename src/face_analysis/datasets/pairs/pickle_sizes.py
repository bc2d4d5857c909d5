"""The sizes that a pickle claims, held against its own before anything is made of it."""

from __future__ import annotations

import pickletools

_ALLOWED = {
    opcode.code: opcode
    for opcode in pickletools.opcodes
    if opcode.code
    in "()]ltae012NRbKMJILghjpqrcSVUTCBX\x80\x85\x86\x87\x88\x89\x8a\x8c\x8d\x8e\x93\x94\x95\x96"
}
"""Opcodes for lists, tuples, calls, numbers, text, bytes and the memo."""
_LENGTH_BYTES = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}


def check_sizes(data: bytes) -> None:
    """Raise ValueError where a length reaches beyond the data, or the memo would have room for more than it.

    Unpickling takes such numbers at their word, and the memory with them. Dictionaries, sets and whatever
    makes objects otherwise than by a call are refused: hashing can be made to take for ever. The opcodes are
    walked by hand, since `pickletools.genops` cannot decode the binary strings of Python 2's protocol 0.
    """
    at = steps = 0
    while (code := data[at : at + 1]) != b".":
        steps += 1
        opcode = _ALLOWED.get(code.decode("latin1"))
        if opcode is None:
            raise ValueError(f"no pickle of plain values, at byte {at}")
        end = _end(opcode, data, at + 1)
        if end > len(data):
            raise ValueError("it ends too early, or claims more than the file holds")
        if opcode.code in "pqr":
            entry = data[at + 1 : end]
            if (int(entry) if opcode.code == "p" else int.from_bytes(entry, "little")) > steps:
                raise ValueError(f"the memo has no such entry yet, at byte {at}")
        at = end


def _end(opcode: pickletools.OpcodeInfo, data: bytes, at: int) -> int:
    """Where the argument of an opcode, which begins at `at`, ends."""
    size = opcode.arg.n if opcode.arg else 0
    if size >= 0:
        return at + size
    if size in _LENGTH_BYTES:
        begin = at + _LENGTH_BYTES[size]
        return begin + int.from_bytes(data[at:begin], "little")
    for _ in range(2 if opcode.code == "c" else 1):
        at = data.index(b"\n", at) + 1
    return at
