from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_measurements_of_a_gpu_run_to_their_end_on_the_cpu_in_tiny_sizes(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(ROOT / "benchmarks" / "gpu.sh"), "--dry_run"],
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, "PYTHON": sys.executable, "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    written = {
        Path(name).stem: Path(name) for name in re.findall(r"^written: (.*)$", done.stderr, re.MULTILINE)
    }
    assert set(written) == {"gpu_tests", "gpu_inference", "gpu_training"}
    for name in ("gpu_inference", "gpu_training"):
        with written[name].open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == (8 if name == "gpu_training" else 3)
        assert all(float(row["images_per_second"]) > 0 for row in rows)
        assert {row["card"] for row in rows} == {"CPU (dry run)"}
