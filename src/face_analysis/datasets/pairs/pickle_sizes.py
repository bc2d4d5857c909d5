"""The sizes that a pickle claims, held against its own before anything is made of it."""

from __future__ import annotations

import os
import pickletools
from typing import BinaryIO

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


_LINE = 2**16
"""Bytes of a line that are read at once."""
_TOO_SHORT = "it ends too early, or claims more than the file holds"


def check_sizes(file: BinaryIO) -> None:
    """Raise ValueError where a length reaches beyond the file, or the memo would have room for more than it.

    Unpickling takes such numbers at their word, and the memory with them. Dictionaries, sets and whatever
    makes objects otherwise than by a call are refused: hashing can be made to take for ever. Only the opcodes
    are read, in little memory, so that a large file of another kind is refused at its first bytes. They are
    walked by hand, since `pickletools.genops` cannot decode the binary strings of Python 2's protocol 0.
    """
    size, steps = file.seek(0, os.SEEK_END), 0
    file.seek(0)
    while (code := file.read(1)) != b".":
        steps += 1
        opcode = _ALLOWED.get(code.decode("latin1"))
        if opcode is None:
            raise ValueError(f"no pickle of plain values, at byte {file.tell() - len(code)}")
        _skip_argument(file, opcode, steps, size)
        if file.tell() > size:
            raise ValueError(_TOO_SHORT)


def _skip_argument(file: BinaryIO, opcode: pickletools.OpcodeInfo, steps: int, size: int) -> None:
    width = opcode.arg.n if opcode.arg else 0
    if opcode.code in "pqr":  # the memo, whose entries are numbered from 0, takes a value in
        entry = int(file.readline(20)) if opcode.code == "p" else int.from_bytes(file.read(width), "little")
        if entry > steps:
            raise ValueError(f"the memo has no such entry yet, at byte {file.tell()}")
    elif width in _LENGTH_BYTES:
        length = int.from_bytes(file.read(_LENGTH_BYTES[width]), "little")
        _check_length(file, length, size)
        file.seek(length, os.SEEK_CUR)
    elif opcode.name == "FRAME":  # opcodes follow, which unpickling reads in one go
        _check_length(file, int.from_bytes(file.read(width), "little"), size)
    elif width >= 0:
        file.seek(width, os.SEEK_CUR)
    else:
        for _ in range(2 if opcode.code == "c" else 1):
            _skip_line(file)


def _check_length(file: BinaryIO, length: int, size: int) -> None:
    if file.tell() + length > size:
        raise ValueError(_TOO_SHORT)


def _skip_line(file: BinaryIO) -> None:
    while not (part := file.readline(_LINE)).endswith(b"\n"):
        if not part:
            raise ValueError(_TOO_SHORT)
