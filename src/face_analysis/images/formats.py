"""Which picture formats are read, and how a file of each is recognised without decoding it."""

from __future__ import annotations

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".heic", ".heif", ".hif"}
)
"""Suffixes of picture files in lower case. A folder is searched for them; the content decides the format."""
READ = "JPEG, PNG, WebP, GIF, BMP, TIFF, PNM, AVIF or HEIC"
HEAD = 64
"""How many of a file's first bytes `sniff` needs."""

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    *((b"P%d" % kind + space, "PNM") for kind in range(1, 7) for space in (b" ", b"\t", b"\n", b"\r", b"#")),
)
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}


def sniff(head: bytes) -> str | None:
    """The format of a picture by its first HEAD bytes, such as "JPEG" or "HEIC"; None for anything else.

    A format that is told is not yet a picture that can be read: the rest of the file is not looked at.
    """
    if head[:4] == b"RIFF":
        return "WebP" if head[8:12] == b"WEBP" else None
    if head[4:8] == b"ftyp":
        # The box gives its length, the major brand, a version, and the brands it is compatible with.
        end = min(int.from_bytes(head[:4], "big"), HEAD)
        brands = {head[at : at + 4] for at in (8, *range(16, end, 4))}
        return "AVIF" if brands & _AVIF_BRANDS else "HEIC" if brands & _HEIC_BRANDS else None
    return next((name for signature, name in _SIGNATURES if head.startswith(signature)), None)
