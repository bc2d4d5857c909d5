"""Memory (resident set) of one process along thousands of photos.

python -m benchmarks.photos_memory --photos 5000
"""

from __future__ import annotations

import argparse
import csv
from itertools import cycle, islice
from pathlib import Path

from benchmarks.process_memory import megabytes
from face_analysis import FaceAnalyzer
from face_analysis.memory import keep_freed_memory
from tests.generators.portraits import portrait_photos

STEP = 250
FILES = 200


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=5000)
    parser.add_argument("--output", type=Path, default=Path("results/photos_memory.csv"))
    options = parser.parse_args()
    keep_freed_memory()
    paths = islice(cycle(portrait_photos(FILES)), options.photos)
    rows = []
    for done, photo in enumerate(FaceAnalyzer().analyze_many(paths), 1):
        assert len(photo.faces) == 1
        if done % STEP == 0:
            rows.append({"photos": done, "resident_MiB": round(megabytes("VmRSS"))})
            print(rows[-1], flush=True)
    early, late = rows[len(rows) // 10]["resident_MiB"], rows[-1]["resident_MiB"]
    print(f"from {rows[len(rows) // 10]['photos']} photos to the end: {(late / early - 1):+.1%}")
    with options.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
