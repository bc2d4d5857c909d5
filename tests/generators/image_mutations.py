"""Damage done to encoded images, for `fuzz_decode.py` and the test that runs the same."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from random import Random

_BOXES = re.compile(
    rb"[\s\S]{4}(?:ftyp|meta|hdlr|pitm|iloc|iinf|infe|iprp|ipco|ipma|ispe|pixi|av1C|hvcC|colr|irot|imir|mdat|Exif)"
)
MARKS = {
    "JPEG": re.compile(rb"\xff[\xc0-\xfe]"),
    "PNG": re.compile(rb"[\s\S]{4}(?:IHDR|PLTE|tRNS|IDAT|IEND|eXIf|iCCP|tEXt|acTL|fcTL|fdAT)"),
    "WebP": re.compile(rb"RIFF|WEBP|VP8[ LX]|ALPH|ANIM|ANMF|EXIF|ICCP"),
    "GIF": re.compile(rb"GIF8|\x21[\xf9\xfe\xff]|\x2c"),
    "BMP": re.compile(rb"BM|[\x0c\x28]\0\0\0"),
    "TIFF": re.compile(rb"II\*\0|MM\0\*|[\0-\x5e]\x01[\x03\x04]\0|\x01[\0-\x5e]\0[\x03\x04]"),
    "PNM": re.compile(rb"P[1-6]\s|\s\d+"),
    "AVIF": _BOXES,
    "HEIC": _BOXES,
}
"""Where the parts of a file begin: markers, chunks, blocks, entries of a directory, numbers of a header."""
EXTREMES = [0, 1, 2, 3, 7, 8, 255, 256, 8191, 8192, 65535, 2**24 - 1, 2**26, 2**31 - 1, 2**31, 2**32 - 1]

Mutation = Callable[[bytes, str, Random], bytes]


def mutated(data: bytes, others: list[bytes], form: str, random: Random) -> bytes:
    """One to five mutations of `data`; at times spliced with one of `others`, of the same format."""
    for _ in range(random.choice((1, 1, 1, 2, 3, 5))):
        if random.random() < 0.1:
            data = spliced(data, random.choice(others), form, random)
        else:
            data = random.choice(MUTATIONS)(data, form, random)
    # Without right checksums libpng would never come to see most of the damage.
    return with_checksums(data) if form == "PNG" and random.random() < 0.7 else data


def position(data: bytes, form: str, random: Random) -> int:
    """A byte of the head, one near the beginning of a part, or any."""
    kind = random.randrange(3)
    if kind == 0:
        at = random.randrange(64)
    elif kind == 1:
        at = random.choice(parts(data, form)) + random.randrange(24)
    else:
        at = random.randrange(max(1, len(data)))
    return min(at, max(0, len(data) - 1))


def parts(data: bytes, form: str) -> list[int]:
    """Where the parts of a file begin, with its two ends."""
    return [0, *(match.start() for match in MARKS[form].finditer(data)), len(data)]


def flip_bits(data: bytes, form: str, random: Random) -> bytes:
    changed = bytearray(data or b"\0")
    for _ in range(random.choice((1, 2, 4, 16))):
        changed[position(data, form, random)] ^= 1 << random.randrange(8)
    return bytes(changed)


def overwrite(data: bytes, form: str, random: Random) -> bytes:
    """A run of bytes becomes zeros, ones, noise, or a run from elsewhere in the file."""
    at, length = position(data, form, random), random.choice((1, 2, 4, 16, 64, 1000))
    return data[:at] + filling(data, length, random) + data[at + length :]


def insert(data: bytes, form: str, random: Random) -> bytes:
    at = position(data, form, random)
    return data[:at] + filling(data, random.choice((1, 2, 4, 16, 64, 1000)), random) + data[at:]


def delete(data: bytes, form: str, random: Random) -> bytes:
    at = position(data, form, random)
    return data[:at] + data[at + random.choice((1, 2, 4, 16, 64, 1000)) :]


def filling(data: bytes, length: int, random: Random) -> bytes:
    at = random.randrange(max(1, len(data)))
    runs: tuple[bytes, ...] = (
        bytes(length),
        b"\xff" * length,
        random.randbytes(length),
        data[at : at + length],
    )
    return random.choice(runs)


def truncate(data: bytes, form: str, random: Random) -> bytes:
    return data[: position(data, form, random)]


def extreme_field(data: bytes, form: str, random: Random) -> bytes:
    """A number of one to four bytes, as lengths and sizes are, becomes very large, very small or odd."""
    at, width = position(data, form, random), random.choice((1, 2, 2, 3, 4, 4))
    value = random.choice(EXTREMES) % (1 << 8 * width)
    return data[:at] + value.to_bytes(width, random.choice(("big", "little"))) + data[at + width :]


def extreme_size(data: bytes, form: str, random: Random) -> bytes:
    """The width or the height that the header claims, where it stands at a fixed place."""
    frames = [match.start() for match in re.finditer(rb"\xff[\xc0-\xc2]", data)]
    sides = [match.end() + 4 + side for match in re.finditer(b"ispe", data) for side in (0, 4)]
    places: dict[str, tuple[str, list[int]]] = {
        "JPEG": (">H", [at + side for at in frames for side in (5, 7)]),
        "PNG": (">I", [16, 20]),
        "WebP": ("<H", [24, 26, 27, 28]),
        "GIF": ("<H", [6, 8]),
        "BMP": ("<I", [18, 22]),
        "TIFF": ("<H", [at + 8 for at in parts(data, form)]),
        "PNM": ("<H", [3]),
        "AVIF": (">I", sides),
        "HEIC": (">I", sides),
    }
    code, offsets = places[form]
    if not offsets:
        return data
    at, size = random.choice(offsets), struct.calcsize(code)
    value = random.choice((*EXTREMES, 300, 4000, 8192, 16383, 40000)) % (1 << 8 * size)
    return data[:at] + struct.pack(code, value) + data[at + size :]


def move_part(data: bytes, form: str, random: Random) -> bytes:
    """A part is deleted, doubled, repeated many times, or moved elsewhere."""
    marks = parts(data, form)
    first = random.randrange(len(marks) - 1)
    start, end = marks[first], marks[first + 1]
    part, rest = data[start:end][:50_000], data[:start] + data[end:]
    to, times = random.choice(marks), random.choice((0, 1, 5, 50, 500_000 // (500 + len(part))))
    if random.random() < 0.3:
        return rest[:to] + part + rest[to:]
    return rest if times == 0 else data[:end] + part * times + data[end:]


def spliced(data: bytes, other: bytes, form: str, random: Random) -> bytes:
    """The head of one file and the tail of another, mostly cut where parts begin."""
    return data[: random.choice(parts(data, form))] + other[random.choice(parts(other, form)) :]


def with_checksums(data: bytes) -> bytes:
    """A PNG whose chunks, as far as they can be followed, have the checksum of what they hold."""
    whole, at = bytearray(data), 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            break
        struct.pack_into(">I", whole, end, zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return bytes(whole)


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits,
    overwrite,
    insert,
    delete,
    truncate,
    extreme_field,
    extreme_size,
    move_part,
)
