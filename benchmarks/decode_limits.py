"""Time and memory of decoding the largest images that are not refused, one process an image.

python -m benchmarks.decode_limits
"""

from __future__ import annotations

import argparse
import csv
import io
import multiprocessing
import platform
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL
import pillow_heif
import tifffile
from numpy.typing import NDArray
from PIL import Image as Pillow

from benchmarks.process_memory import megabytes
from face_analysis.images.decode import decode
from face_analysis.images.limits import MAX_PIXELS
from tests.generators.image_rarities import interlaced_png

Pixels = NDArray[np.uint8]


def pattern(height: int, width: int) -> Pixels:
    """Gradients with a grid of dots: neither flat nor noise."""
    y, x = np.ogrid[:height, :width]
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[..., 0], pixels[..., 1], pixels[..., 2] = x // 16, y // 16, (x + y) // 32
    pixels[::7, ::5] += 9
    return pixels


def pillow(
    form: str, mode: str = "RGB", orientation: int = 1, **options: object
) -> Callable[[Pixels], bytes]:
    def encode(pixels: Pixels) -> bytes:
        buffer, image = io.BytesIO(), Pillow.fromarray(pixels).convert(mode)
        exif = Pillow.Exif()
        exif[0x0112] = orientation
        if orientation != 1:
            options["exif"] = exif
        image.save(buffer, form, **options)
        return buffer.getvalue()

    return encode


def tiff(deep: bool, rows: int) -> Callable[[Pixels], bytes]:
    def encode(pixels: Pixels) -> bytes:
        buffer = io.BytesIO()
        values = pixels.astype(np.uint16) * 257 if deep else pixels
        tifffile.imwrite(
            buffer,
            values,
            photometric="rgb",
            rowsperstrip=rows,
            compression="zlib",
            compressionargs={"level": 1},
        )
        return buffer.getvalue()

    return encode


def heic(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Pillow.fromarray(pixels)).save(buffer, enc_params={"preset": "ultrafast"})
    return buffer.getvalue()


def deep_png(pixels: Pixels) -> bytes:
    return cv2.imencode(".png", pixels.astype(np.uint16) * 257)[1].tobytes()


SIDE = int(MAX_PIXELS**0.5)
KINDS: dict[str, tuple[Callable[[Pixels], bytes], int, int]] = {
    "JPEG, turned": (pillow("JPEG", orientation=6), 2 * SIDE, SIDE),
    "JPEG, progressive, 4:4:4": (pillow("JPEG", progressive=True, subsampling=0), SIDE, SIDE),
    "JPEG, progressive, CMYK, turned": (pillow("JPEG", "CMYK", 6, progressive=True), SIDE, SIDE),
    "PNG, turned": (pillow("PNG", orientation=6, compress_level=1), SIDE, SIDE),
    "PNG, alpha": (pillow("PNG", "RGBA", compress_level=1), SIDE, SIDE),
    "PNG, 16 bits": (deep_png, SIDE, SIDE),
    "PNG, interlaced": (interlaced_png, SIDE, SIDE),
    "WebP": (pillow("WEBP", method=0), SIDE, SIDE),
    "WebP, lossless, alpha": (pillow("WEBP", "RGBA", lossless=True, method=0, quality=0), SIDE, SIDE),
    "GIF, interlaced": (pillow("GIF", "L", interlace=1), SIDE, SIDE),
    "BMP": (pillow("BMP"), SIDE, SIDE - 256),
    "TIFF, strips of 64 rows, turned": (pillow("TIFF", orientation=6, compression="tiff_lzw"), SIDE, SIDE),
    "TIFF, one strip": (tiff(False, SIDE), 7 * SIDE // 8, SIDE),
    "TIFF, 16 bits, one strip": (tiff(True, SIDE), 5 * SIDE // 8, SIDE),
    "PNM": (pillow("PPM"), SIDE, SIDE - 256),
    "AVIF, turned": (pillow("AVIF", orientation=6, speed=10), SIDE, SIDE),
    "HEIC": (heic, SIDE, SIDE),
}
"""How it is encoded, and how high and wide: the most that its format's limits of pixels and bytes allow."""


def make(kind: str, wire: Connection) -> None:
    encode, height, width = KINDS[kind]
    wire.send(encode(pattern(height, width)))


def measure(data: bytes, wire: Connection) -> None:
    cv2.setNumThreads(1)
    start = time.process_time()
    height, width, _ = decode(data, "the largest").shape
    wire.send((height * width, time.process_time() - start, megabytes("VmHWM")))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("results/decode_limits.csv"))
    options = parser.parse_args()
    versions = (
        f"python {platform.python_version()}, pillow {PIL.__version__}, pillow-heif {pillow_heif.__version__}"
    )
    rows = []
    for kind in KINDS:
        data = apart(make, kind)
        pixels, seconds, peak = apart(measure, data)
        row = {"kind": kind, "megapixels": f"{pixels / 1e6:.1f}", "file MB": f"{len(data) / 1e6:.1f}"}
        rows.append(row | {"seconds": f"{seconds:.2f}", "peak RSS MB": f"{peak:.0f}", "versions": versions})
        print(rows[-1], flush=True)
    with options.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def apart(work: Callable[[Any, Connection], None], given: object) -> Any:
    """What `work` sends, from a fresh process: its memory is then all its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=work, args=(given, there))
    process.start()
    result = here.recv()
    process.join()
    return result


if __name__ == "__main__":
    main()
