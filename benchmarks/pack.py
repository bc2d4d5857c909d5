"""Packing 20,000 encoded images: `pack`, a plain loop that does the same, and copying the files.

The images are generated, 112x112, or where FACE_ANALYSIS_DATA is set faces of UTKFace.

python -m benchmarks.pack
"""

from __future__ import annotations

import atexit
import io
import os
import shutil
import tempfile
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

import lmdb
import msgpack  # type: ignore[import-untyped]
import numpy as np
from PIL import Image as Pillow

from benchmarks.model_speed import options, report, seconds_in_turn
from face_analysis.datasets.lists.image_list import read_image_list
from face_analysis.datasets.pack import pack
from face_analysis.datasets.sources import open_source
from face_analysis.datasets.synthetic import write_patterns

DATA = os.environ.get("FACE_ANALYSIS_DATA")
WHAT = "utkface 144x144" if DATA else "patterns 112x112"


def files(count: int) -> tuple[Path, Path]:
    """A folder of `count` files, and the list of them; kept for the ways that come after."""
    folder = Path(tempfile.gettempdir()) / f"pack-{count}-{WHAT.replace(' ', '-')}"
    image_list = folder / "list.txt"
    if not image_list.exists():
        folder.mkdir(exist_ok=True)
        root = Path(DATA) / "utkface" if DATA else folder / "generated"
        listed = read_image_list(root / "train.txt" if DATA else write_patterns(root, 1000, seed=0))
        lines = []
        for row, image in enumerate(islice(cycle(listed.images), count)):
            shutil.copyfile((root / "images" if DATA else root) / image, folder / f"{row}.jpg")
            lines.append(f"{row}.jpg {row % 100}\n")
        image_list.write_text("".join(lines))
    return folder, image_list


def plain_loop(count: int) -> Callable[[], None]:
    """Open, decode, encode as msgpack, commit every 5,000."""
    folder, image_list = files(count)
    target = folder.with_suffix(".plain")

    def run() -> None:
        target.unlink(missing_ok=True)
        with lmdb.open(os.fspath(target), subdir=False, map_size=2**33, lock=False) as environment:
            transaction = environment.begin(write=True)
            keys = []
            for row, line in enumerate(image_list.read_text().splitlines()):
                name, label = line.split(" ")
                data = (folder / name).read_bytes()
                np.asarray(Pillow.open(io.BytesIO(data)).convert("RGB"))
                keys.append(str(row).encode())
                transaction.put(keys[-1], msgpack.packb([data, int(label)]))
                if (row + 1) % 5000 == 0:
                    transaction.commit()
                    transaction = environment.begin(write=True)
            transaction.put(b"__keys__", msgpack.packb(keys))
            transaction.put(b"__len__", msgpack.packb(len(keys)))
            transaction.put(b"__classnum__", msgpack.packb(100))
            transaction.commit()
            environment.sync()

    return run


def ours(count: int) -> Callable[[], None]:
    folder, image_list = files(count)
    source = open_source(folder, image_list)

    def run() -> None:
        pack(source, folder.with_suffix(".lmdb"), "recognition")

    return run


def copying(count: int) -> Callable[[], None]:
    folder, _ = files(count)
    parent = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, parent)

    def run() -> None:
        target = Path(tempfile.mkdtemp(dir=parent))  # a new one: removing the old copies takes its time
        for row in range(count):
            shutil.copyfile(folder / f"{row}.jpg", target / f"{row}.jpg")

    return run


WAYS = {"plain loop": plain_loop, "ours": ours, "copying the files": copying}


def main() -> None:
    given = options(__doc__, WAYS, batch=20_000, output="results/pack.csv")
    files(given.batch)
    seconds = seconds_in_turn(WAYS, given.batch, given.rounds)
    report(given.output, seconds, given.batch, {"images": WHAT})


if __name__ == "__main__":
    main()
