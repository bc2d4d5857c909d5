"""A folder of mixed photos decoded: milliseconds a photo by format, and the largest difference from Pillow.

With `--before PATH`, the `src` of an older version, its times stand beside.

python -m benchmarks.image_formats
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import pickle
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL
import tifffile
from PIL import Image as Pillow
from PIL import ImageOps
from pillow_heif import register_heif_opener

from tests.generators.image_seeds import ICC, encoded, turned
from tests.generators.portraits import astronaut

SIZES = ((640, 480), (1600, 1200))
ROUNDS = 3


def mixed_photos() -> dict[str, list[bytes]]:
    """For each kind a photo of each size; of JPEG also chips."""
    register_heif_opener()
    whole = astronaut()
    photos = [whole.resize(size, Pillow.Resampling.BICUBIC) for size in SIZES]
    chips = [whole.resize((112, 112))] * 3

    def deep(photo: Pillow.Image) -> Any:
        return np.asarray(photo).astype(np.uint16) * 257

    def tiff(photo: Pillow.Image) -> bytes:
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, deep(photo), photometric="rgb")
        return buffer.getvalue()

    return {
        "JPEG, chips": [encoded(chip, "JPEG", quality=92) for chip in chips],
        "JPEG": [encoded(photo, "JPEG", quality=90) for photo in photos],
        "JPEG, turned, sRGB profile": [
            encoded(photo, "JPEG", quality=90, exif=turned(6), icc_profile=ICC) for photo in photos
        ],
        "JPEG, progressive": [encoded(photo, "JPEG", quality=90, progressive=True) for photo in photos],
        "PNG": [encoded(photo, "PNG") for photo in photos],
        "PNG, alpha": [encoded(photo.convert("RGBA"), "PNG") for photo in photos],
        "PNG, palette": [encoded(photo.quantize(200), "PNG") for photo in photos],
        "PNG, 16 bits": [cv2.imencode(".png", deep(photo)[:, :, ::-1])[1].tobytes() for photo in photos],
        "WebP": [encoded(photo, "WEBP", quality=80) for photo in photos],
        "GIF": [encoded(photo, "GIF") for photo in photos],
        "BMP": [encoded(photo, "BMP") for photo in photos],
        "TIFF, LZW": [encoded(photo, "TIFF", compression="tiff_lzw") for photo in photos],
        "TIFF, 16 bits": [tiff(photo) for photo in photos],
        "PNM": [encoded(photo, "PPM") for photo in photos],
        "AVIF": [encoded(photo, "AVIF", speed=10) for photo in photos],
        "HEIC": [encoded(photo, "HEIF") for photo in photos],
    }


def milliseconds(path: str) -> None:
    """Print the processor time a photo takes of each kind in the pickled photos; empty where refused."""
    from face_analysis.errors import UnreadableImageError
    from face_analysis.images.decode import decode

    cv2.setNumThreads(1)
    for kind, files in pickle.loads(Path(path).read_bytes()).items():
        times = []
        try:
            for _ in range(ROUNDS):
                start = time.process_time()
                for data in files:
                    decode(data, kind)
                times.append((time.process_time() - start) / len(files) * 1000)
        except UnreadableImageError:
            times = []
        print(kind, f"{min(times):.2f}" if times else "", sep=";")


def measured(photos: dict[str, list[bytes]], source: Path) -> dict[str, str]:
    with tempfile.NamedTemporaryFile() as file:
        file.write(pickle.dumps(photos))
        file.flush()
        command = [sys.executable, "-m", "benchmarks.image_formats", "--times", file.name]
        environment = os.environ | {"PYTHONPATH": str(source)}
        lines = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return dict(line.rsplit(";", 1) for line in lines.splitlines())


def difference(data: bytes) -> int:
    """The largest, in levels of 256, between our pixels and Pillow's."""
    from face_analysis.images.decode import decode

    with Pillow.open(io.BytesIO(data)) as image:
        theirs = np.asarray(ImageOps.exif_transpose(image).convert("RGB")).astype(int)
    return int(np.abs(decode(data, "photo") - theirs).max())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("results/image_formats.csv"))
    parser.add_argument("--before", type=Path, help="the `src` folder of an older version")
    parser.add_argument("--times", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.times:
        milliseconds(options.times)
        return
    photos = mixed_photos()
    now = measured(photos, Path(__file__).parents[1] / "src")
    before = measured(photos, options.before) if options.before else {}
    versions = f"python {platform.python_version()}, pillow {PIL.__version__}, opencv {cv2.__version__}"
    rows = [
        {
            "kind": kind,
            "largest difference from Pillow": max(difference(data) for data in files),
            "ms a photo before": before.get(kind, ""),
            "ms a photo": now[kind],
            "versions": versions,
        }
        for kind, files in photos.items()
    ]
    common = [kind for kind in photos if before.get(kind)]
    sums = [sum(float(times[kind]) for kind in common) for times in (before, now)]
    rows.append(
        {
            "kind": "sum of what both read",
            "largest difference from Pillow": "",
            "ms a photo before": f"{sums[0]:.2f}",
            "ms a photo": f"{sums[1]:.2f}",
            "versions": versions,
        }
    )
    with options.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        print(*list(row.values())[:-1], sep=", ")


if __name__ == "__main__":
    main()
