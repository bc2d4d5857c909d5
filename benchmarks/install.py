"""What an installation takes: seconds from `pip install` to the first answer, and the size on disk.

A fresh virtual environment for each extra; the wheel is built first. pip may take packages from its cache.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.model_speed import write_rows

ROOT = Path(__file__).parents[1]
ANSWER = """
import sys
from face_analysis import FaceAnalyzer, compare
photo = sys.argv[1]
(face,) = FaceAnalyzer().analyze(photo)
print(face.gender.label, round(face.age.years), compare(photo, photo).same)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--extras", nargs="*", default=["", "all"])
    parser.add_argument("--output", type=Path, default=Path("results/install.csv"))
    given = parser.parse_args()
    import matplotlib

    photo = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder / "wheel", ROOT)
        (wheel,) = (folder / "wheel").glob("face_analysis-*.whl")
        rows = [installed(folder / f"env_{extra}", wheel, extra, photo) for extra in given.extras]
    write_rows(given.output, rows)


def installed(place: Path, wheel: Path, extra: str, photo: Path) -> dict[str, str]:
    """Install the wheel with an extra into a new environment, and ask it for one face."""
    run(sys.executable, "-m", "venv", place)
    python = place / "bin" / "python"
    empty = size(place)
    start = time.perf_counter()
    pip = (python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt")
    run(*pip, "torch")
    run(*pip, f"{wheel}[{extra}]" if extra else wheel)
    ready = time.perf_counter()
    answer = run(python, "-c", ANSWER, photo)
    end = time.perf_counter()
    torch = size(next(place.glob("lib/python*/site-packages/torch")))
    return {
        "extra": extra or "none",
        "packages": str(len(run(python, "-m", "pip", "list", "--format=freeze").split())),
        "install_seconds": f"{ready - start:.0f}",
        "first_answer_seconds": f"{end - ready:.1f}",
        "installed_mib": f"{(size(place) - empty) / 2**20:.0f}",
        "of_which_torch_mib": f"{torch / 2**20:.0f}",
        "answer": answer.strip(),
    }


def run(*words: object) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def size(folder: Path) -> int:
    """Bytes of all files below."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


if __name__ == "__main__":
    main()
