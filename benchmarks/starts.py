"""Seconds until a recognition training has its first batch, at the first start and the second, and the memory
that its eight workers do not share.

The images are a `.rec` of a million small records of 100,000 people, or a list of a million lines. With
`--before PATH`, the `src` of an older version, its rows stand beside.

python -m benchmarks.starts
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import platform
import struct
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg

WORKERS, BATCH, BATCHES = 8, 512, 200
IMAGES_OF_A_PERSON = 10
DIFFERENT = 1000
"""Pictures; the records and the lines of the list repeat them."""
MAGIC = struct.pack("<I", 0xCED7230A)


def pictures() -> list[bytes]:
    """Encoded pictures of a few hundred bytes."""
    generator = np.random.default_rng(0)
    return [
        simplejpeg.encode_jpeg(generator.integers(0, 256, (8, 8, 3), np.uint8), 50) for _ in range(DIFFERENT)
    ]


def write_records(path: Path, count: int) -> None:
    """A `.rec` with its index as InsightFace writes them; record 0 has the range of the images."""
    images, at = pictures(), 0
    payloads = (
        struct.pack("<IfQQ", 0, row // IMAGES_OF_A_PERSON, row, 0) + images[row % DIFFERENT]
        for row in range(count)
    )
    with path.open("wb") as file, path.with_suffix(".idx").open("w", encoding="ascii") as index:
        for key in range(count + 1):
            payload = next(payloads) if key else struct.pack("<IfQQ2f", 2, 0, 0, 0, 1, count + 1)
            index.write(f"{key}\t{at}\n")
            at += file.write(MAGIC + struct.pack("<I", len(payload)) + payload + bytes(-len(payload) % 4))


def write_list(path: Path, count: int) -> None:
    """A list `path class` beside the folders of its images."""
    names = [f"people/{number:04d}/photograph_{number:07d}.jpg" for number in range(DIFFERENT)]
    for name, image in zip(names, pictures(), strict=True):
        (path.parent / name).parent.mkdir(parents=True)
        (path.parent / name).write_bytes(image)
    with path.open("w", encoding="ascii") as file:
        file.writelines(f"{names[row % DIFFERENT]} {row // IMAGES_OF_A_PERSON}\n" for row in range(count))


def private_mebibytes() -> float:
    """What the workers have each for itself, together (MiB)."""
    kibibytes = 0
    for worker in multiprocessing.active_children():
        lines = Path(f"/proc/{worker.pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        kibibytes += sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
    return kibibytes / 1024


def start(path: Path) -> dict[str, float]:
    """Open the images, number their people and take batches, as a training does; in a process of its own."""
    from face_analysis.training.data import people_dataset, train_loader
    from face_analysis.training.options import TrainOptions
    from face_analysis.training.recognition_data import number_people

    source, listed = (path.parent, path) if path.suffix == ".txt" else (path, None)
    options = TrainOptions(
        attribute=("recognition",), train_source=source, train_list=listed, workers=WORKERS, batch_size=BATCH
    )
    begun, computed = time.perf_counter(), time.process_time()
    dataset = people_dataset(options)
    number_people(dataset)
    opened, computed = time.perf_counter() - begun, time.process_time() - computed
    batches = iter(train_loader(dataset, options))
    next(batches)
    first_batch, first_private = time.perf_counter() - begun, private_mebibytes()
    for _ in islice(batches, BATCHES):
        pass
    return {
        "people_numbered_seconds": round(opened, 2),
        "people_numbered_cpu_seconds": round(computed, 2),
        "first_batch_seconds": round(first_batch, 2),
        "private_MiB_of_8_workers": round(first_private),
        f"private_MiB_after_{BATCHES}_batches": round(private_mebibytes()),
    }


def started(path: Path, source: Path) -> dict[str, Any]:
    """The measures of a fresh process that imports the package from the folder `source`."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.starts", "--start", str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(source), str(Path(__file__).parents[1])])},
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--output", type=Path, default=Path("results/starts.csv"))
    parser.add_argument("--start", type=Path, help="measure one start, of this file")
    options = parser.parse_args()
    if options.start:
        print(json.dumps(start(options.start)))
        return
    versions = {"now": Path(__file__).parents[1] / "src"}
    if options.before:
        versions = {"before": options.before.resolve(), **versions}
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        files = {"records": Path(folder, "train.rec"), "list": Path(folder, "list.txt")}
        write_records(files["records"], options.images)
        write_list(files["list"], options.images)
        for kind, path in files.items():
            for version, source in versions.items():
                for number in ("first", "second"):
                    about = {"images": options.images, "of": kind, "version": version, "start": number}
                    machine = {"python": platform.python_version(), "cores": os.cpu_count()}
                    rows.append({**about, **started(path, source), **machine})
                    print("  ".join(f"{key}={value}" for key, value in rows[-1].items()), flush=True)
    with options.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
