"""Damaged images of every format against the decoder: it must answer with pixels or with its named error.

Each format has a process of its own, whose death or silence is noticed, and which is then started anew.

python -m benchmarks.fuzz_decode --count 100000
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import os
import platform
import resource
import sys
import time
from collections import Counter
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random

import cv2
import PIL
import pillow_heif
import simplejpeg

from benchmarks.process_memory import megabytes
from face_analysis.errors import UnreadableImageError
from face_analysis.images.decode import decode
from tests.generators.image_mutations import mutated
from tests.generators.image_seeds import seeds

SHARES = {"JPEG": 4, "PNG": 4, "WebP": 4, "GIF": 2, "BMP": 1, "TIFF": 2, "PNM": 1, "AVIF": 1, "HEIC": 1}
"""Most of the files are of the formats of most photos."""
PATIENCE = 60.0
"""Seconds of waiting after which a file counts as hanging; other work may share the machine."""
ADDRESS_SPACE = 6 * 2**30
"""Far over the limit that is measured; only keeps a mistake from taking the whole machine."""
ANSWERS = ("pixels", "named errors")


def damaged(form: str, images: list[bytes], seed: int, number: int) -> bytes:
    """The file of that number; the same bytes on every call."""
    random = Random(f"{seed} {form} {number}")
    return mutated(random.choice(images), images, form, random)


def worker(form: str, seed: int, wire: Connection) -> None:
    """Decode the files whose numbers come over the wire; answer with outcome, seconds and megabytes."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff writes its errors there
    cv2.setNumThreads(1)
    images = seeds()[form]
    wire.send("ready")
    while True:
        data = damaged(form, images, seed, wire.recv())
        start = time.process_time()
        outcome = outcome_of(data)
        wire.send((outcome, time.process_time() - start, megabytes("VmHWM")))


def outcome_of(data: bytes) -> str:
    try:
        pixels = decode(data, "damaged")
    except UnreadableImageError:
        return "named errors"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "pixels" if pixels.ndim == 3 and pixels.shape[2] == 3 else f"shape {pixels.shape}"


def start_worker(form: str, seed: int) -> tuple[BaseProcess, Connection]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=worker, args=(form, seed, there), daemon=True)
    process.start()
    there.close()
    here.recv()
    return process, here


def fuzz(form: str, count: int, seed: int) -> dict[str, object]:
    """Decode `count` damaged files of one format: the row of the table."""
    counts: Counter[str] = Counter()
    slowest = most = 0.0
    process, wire = start_worker(form, seed)
    for number in range(count):
        try:
            wire.send(number)
            outcome, seconds, peak = wire.recv() if wire.poll(PATIENCE) else ("hang", PATIENCE, 0.0)
        except (EOFError, OSError):
            process.join()
            outcome, seconds, peak = f"death by {process.exitcode}", 0.0, 0.0
        slowest, most = max(slowest, seconds), max(most, peak)
        counts[outcome if outcome in ANSWERS else "crashes"] += 1
        if outcome not in ANSWERS:
            print(f"{form} {number}: {outcome}", file=sys.stderr, flush=True)
            process.kill()
            process, wire = start_worker(form, seed)
    process.kill()
    figures = {name: counts[name] for name in (*ANSWERS, "crashes")}
    return {
        "format": form,
        "files": count,
        **figures,
        "slowest ms": round(slowest * 1000),
        "peak RSS MB": round(most),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("results/fuzz_decode.csv"))
    parser.add_argument("--count", type=int, default=100_000, help="files over all formats")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", nargs="+", default=list(SHARES), choices=list(SHARES))
    options = parser.parse_args()
    versions = (
        f"python {platform.python_version()}, pillow {PIL.__version__}, simplejpeg {simplejpeg.__version__}, "
        f"pillow-heif {pillow_heif.__version__}"
    )
    shares = sum(SHARES[form] for form in options.formats)
    rows = []
    for form in options.formats:
        rows.append(fuzz(form, options.count * SHARES[form] // shares, options.seed))
        print(rows[-1], flush=True)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with options.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*rows[0], "seed", "versions"])
        writer.writeheader()
        writer.writerows(row | {"seed": options.seed, "versions": versions} for row in rows)


if __name__ == "__main__":
    main()
