"""Loading faces on one core, against the textbook way with Pillow; and opening a large packed file.

FACE_ANALYSIS_DATA=FOLDER python -m benchmarks.loading
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
import torch
from PIL import Image as Pillow
from torch import Tensor

from face_analysis.datasets.faces import FaceDataset
from face_analysis.datasets.lists.image_list import ImageList, read_image_list
from face_analysis.datasets.lmdb.reader import LmdbReader
from face_analysis.datasets.lmdb.writer import LmdbWriter
from face_analysis.datasets.pack import pack
from face_analysis.datasets.packed import LmdbSource
from face_analysis.datasets.sources import FolderSource
from face_analysis.datasets.synthetic import write_patterns
from face_analysis.images.normalise import normalise

MEAN = torch.tensor([0.5, 0.5, 0.5]).view(3, 1, 1)
BATCH = 96


def textbook_pixels(data: bytes) -> Pillow.Image:
    with Pillow.open(io.BytesIO(data)) as opened:
        image = opened.convert("RGB")
    return image if image.size == (112, 112) else image.resize((112, 112), Pillow.Resampling.BILINEAR)


def textbook_batch(reader: LmdbReader, rows: range) -> Tensor:
    """Each image by itself: decode, resize, flip, to float, normalise; then stack."""
    images = []
    for row in rows:
        image = textbook_pixels(reader.record(row)[0])
        if torch.rand(1).item() < 0.5:
            image = image.transpose(Pillow.Transpose.FLIP_LEFT_RIGHT)
        tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)
        images.append(tensor.sub_(MEAN).div_(MEAN))
    return torch.stack(images)


def our_batch(dataset: FaceDataset, rows: range) -> Tensor:
    """The same through FaceDataset: one uint8 batch, flipped and normalised as a whole."""
    images = dataset.__getitems__(rows).images
    flipped = torch.rand(len(images)) < 0.5
    images[flipped] = images[flipped].flip(3)
    return normalise(images)


def packed_faces(folder: Path, count: int) -> dict[str, Path]:
    """Packed files to read: generated 112x112 pictures, and real faces where there are any."""
    listed = write_patterns(folder, count, seed=0)
    lists = {"patterns 112x112": (read_image_list(listed), folder)}
    data = os.environ.get("FACE_ANALYSIS_DATA")
    if data:
        faces = read_image_list(Path(data) / "utkface" / "train.txt")
        step = len(faces) // count
        labels = {name: column[::step][:count] for name, column in faces.labels.items()}
        chosen = ImageList(faces.path, faces.images[::step][:count], labels)
        lists["utkface 144x144"] = (chosen, Path(data) / "utkface" / "images")
    packed = {}
    for number, (name, (image_list, root)) in enumerate(lists.items()):
        packed[name] = folder / f"{number}.lmdb"
        pack(FolderSource(image_list, root), packed[name], "gender")
    return packed


def seconds_in_turn(
    ways: Mapping[str, Callable[[range], Tensor]], count: int, rounds: int
) -> dict[str, float]:
    """Median seconds to read all images once; every round runs each way, after one round to warm up.

    Seconds of processor time: all runs on one core, which other work may share.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            start = time.process_time()
            for first in range(0, count, BATCH):
                way(range(first, min(first + BATCH, count)))
            if number:
                seconds[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def loading_row(name: str, path: Path, rounds: int) -> dict[str, str]:
    dataset = FaceDataset(LmdbSource(path), ["gender"])
    reader, count = LmdbReader(path), len(dataset)
    ways = {
        "textbook": lambda rows: textbook_batch(reader, rows),
        "ours": lambda rows: our_batch(dataset, rows),
    }
    seconds = seconds_in_turn(ways, count, rounds)
    pixels = dataset.__getitems__(range(count)).images.permute(0, 2, 3, 1).numpy()
    expected = np.stack([np.asarray(textbook_pixels(reader.record(row)[0])) for row in range(count)])
    difference = np.abs(pixels.astype(np.int16) - expected)
    return {
        "what": f"load {name}",
        "count": str(count),
        "ours_per_second": f"{count / seconds['ours']:.0f}",
        "textbook_per_second": f"{count / seconds['textbook']:.0f}",
        "times_as_fast": f"{seconds['textbook'] / seconds['ours']:.2f}",
        "mean_pixel_difference": f"{difference.mean():.3f}",
        "pixels_over_8_levels": f"{(difference > 8).mean():.5f}",
    }


def opening_row(folder: Path, count: int, rounds: int) -> dict[str, str]:
    generator = np.random.default_rng(0)
    images = [
        simplejpeg.encode_jpeg(generator.integers(0, 256, (16, 16, 3)).astype(np.uint8)) for _ in range(50)
    ]
    path = folder / "many.lmdb"
    with LmdbWriter(path, "race", ["race", "gender", "age"]) as writer:
        for row in range(count):
            labels = {"race": row % 5, "gender": row % 2, "age": row % 101}
            writer.add(f"images/{row:07d}.jpg", images[row % len(images)], labels)
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        reader = LmdbReader(path)
        assert len(reader.labels["age"]) == count
        seconds.append(time.perf_counter() - start)
        del reader
    median = statistics.median(seconds)
    return {"what": "open and read all labels", "count": str(count), "median_seconds": f"{median:.4f}"}


def write(path: Path, rows: list[dict[str, str]]) -> None:
    versions = f"python {platform.python_version()}, torch {torch.__version__}, opencv {cv2.__version__}"
    columns = list(dict.fromkeys(name for row in rows for name in row))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*columns, "cores", "versions"])
        writer.writeheader()
        writer.writerows(row | {"cores": "1", "versions": versions} for row in rows)
    print(path.read_text(encoding="utf-8"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("results/loading.csv"))
    parser.add_argument("--images", type=int, default=960, help="images read a round")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--records", type=int, default=100_000, help="records of the file that is opened")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        packed = packed_faces(Path(folder), options.images)
        rows = [loading_row(name, path, options.rounds) for name, path in packed.items()]
        rows.append(opening_row(Path(folder), options.records, 15))
    write(options.output, rows)


if __name__ == "__main__":
    main()
