"""The memory that `face-analysis train` estimates before its first step, against the most it then takes."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.model_speed import machine, write_rows
from face_analysis.datasets.synthetic import write_patterns
from face_analysis.models.speed import cpu_name

GIB = 2**30
RUNS = {
    "IR-SE-50, batch 32": "-b 32",
    "IR-SE-50, batch 32, float32": "-b 32 --precision 32-true",
    "IR-SE-50, batch 64, checkpointing": "-b 64 --checkpointing",
    "IR-SE-18 of a quarter of the width, batch 128": "--depth 18 --width 0.25 -b 128",
    "MobileNet, batch 64": "--backbone mobilenet -b 64",
    "MobileFaceNet, batch 64, AdamW, average": "--backbone mobilefacenet -b 64 --optimizer adamw --ema 0.9",
}
README = "README: IR-SE-50, batch 384, 600 images"
ESTIMATE = re.compile(r"memory: about ([0-9.]+) GiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=8.0, help="GiB by `ulimit -v` for the README's run")
    parser.add_argument("--only", nargs="+", help="names of runs, or parts of them")
    parser.add_argument("--output", type=Path, default=Path("results/train_memory.csv"))
    given = parser.parse_args()
    runs = {name: (words, 2, None) for name, words in RUNS.items()}
    rows: list[dict[str, str]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for what, (words, steps, limit) in {**runs, README: ("-b 384", 0, given.limit)}.items():
            if given.only and not any(part in what for part in given.only):
                continue
            batch = int(re.findall(r"-b (\d+)", words)[0])
            images = write_patterns(folder / f"train{len(rows)}", steps * batch or 600, seed=1)
            rows.append({"run": what, **taken(folder / f"run{len(rows)}", images, words, limit), **facts()})
    write_rows(given.output, rows)


def facts() -> dict[str, str]:
    return {"cpu_name": cpu_name(), **machine()}


def taken(output: Path, images: Path, words: str, limit: float | None) -> dict[str, str]:
    """Train an epoch; the estimate of its stderr and the most memory it had, with its workers, in GiB."""
    where = f"-t {images} -ts {images.parent} -v {images} -vs {images.parent} -o {output}"
    train = f"{sys.executable} -m face_analysis.cli.main train --preset original -a gender -e 1"
    shell = f"ulimit -v {int(limit * 2**20)}; " if limit else ""
    log = output.with_suffix(".log")
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            ["bash", "-c", f"{shell}exec {train} --validations 1 {where} {words}"],
            stderr=file,
            stdout=file,
        )
        peak = max(watched(process))
    said = log.read_text(encoding="utf-8")
    assert process.returncode == 0, said
    estimate = float(ESTIMATE.findall(said)[0])
    parts = re.findall(r"^accumulate: (\d+)$", (output / "config.yaml").read_text(encoding="utf-8"), re.M)
    return {
        "parts_of_a_step": parts[0],
        "limit_gib": f"{limit or ''}",
        "estimated_gib": f"{estimate:.2f}",
        "most_gib": f"{peak:.2f}",
        "estimate_over_most": f"{estimate / peak:.2f}",
    }


def watched(process: subprocess.Popen[bytes]) -> Iterator[float]:
    """The memory of the process and of those it started, in GiB, each shared page once, until it ends."""
    while process.poll() is None:
        yield sum(map(proportional, tree(process.pid))) / GIB
        time.sleep(0.1)


def tree(root: int) -> list[int]:
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            after = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        parents[int(path.parent.name)] = int(after[1])
    found = [root]
    for process in found:
        found.extend(child for child, parent in parents.items() if parent == process)
    return found


def proportional(process: int) -> int:
    """Its pages, of those shared by n processes the n-th part, in bytes."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    main()
