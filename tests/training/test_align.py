from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import FACES_OF

CODE = """
import multiprocessing, sys
if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv.pop(1))
    from face_analysis.cli.main import main
    sys.exit(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_photos_are_aligned_in_four_workers_however_they_start(
    photos: Path, tmp_path: Path, start: str
) -> None:
    image_list = tmp_path / "people.txt"
    names = [*FACES_OF, "sub/broken.jpg"]
    image_list.write_text("".join(f"{name} {n % 5} {n % 2} {20 + n}\n" for n, name in enumerate(names)))
    script = tmp_path / "run.py"
    script.write_text(CODE)
    words = (
        f"train -a race gender age --align -t {image_list} -ts {photos} -v {image_list} -vs {photos} "
        f"-w 4 -b 4 -e 2 --validations 1 --depth 18 --width 0.125 -o {tmp_path}/run"
    )
    done = subprocess.run(
        [sys.executable, str(script), start, *words.split()], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 1, done.stderr  # for the broken photo
    assert (tmp_path / "run" / "model.safetensors").exists()
    with (tmp_path / "run" / "errors.csv").open(newline="") as file:
        assert [row["path"] for row in csv.DictReader(file)] == ["sub/broken.jpg"]
