"""Without the packages of an extra: photos are described, and what needs more names the extra at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from face_analysis.cli.commands import COMMANDS, NEEDS
from face_analysis.extras import EXTRAS
from tests.matching.feature_sets import people

OPTIONAL = sorted(
    {module for modules in EXTRAS.values() for module in modules}
    | {"pandas", "pyarrow", "onnxruntime", "faiss", "shtab", "pillow_heif"}
)
HIDE = f"""
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {OPTIONAL!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
import importlib.util
real = importlib.util.find_spec
def find_spec(name, package=None):
    try:
        return real(name, package)
    except ModuleNotFoundError:
        return None
importlib.util.find_spec = find_spec
"""


def bare(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python code as if no optional package were installed."""
    return subprocess.run(
        [sys.executable, "-c", HIDE + code, *words], capture_output=True, text=True, timeout=120, check=False
    )


def shell(*words: object) -> subprocess.CompletedProcess[str]:
    code = "from face_analysis.cli.main import main\nsys.exit(main(sys.argv[1:]))"
    return bare(code, *map(str, words))


@pytest.mark.parametrize(
    "words", ["predict {photos}", "align {photos} {out}", "extract -s {photos} -d {out}"]
)
def test_photos_are_worked_on_without_any_extra(words: str, photos: Path, tmp_path: Path) -> None:
    done = shell(*words.format(photos=photos, out=tmp_path / "out").split())
    assert done.returncode == 1, done.stderr  # one photo of the folder is broken
    assert "Traceback" not in done.stderr
    assert done.stdout


def test_a_photo_is_searched_without_any_extra(photos: Path, tmp_path: Path) -> None:
    done = shell("search", photos / "hopper.jpg", photos, "-o", tmp_path / "found")
    assert done.returncode == 0, done.stderr
    assert "hopper.jpg: 1. both.jpg" in done.stdout


def test_a_search_of_known_people_names_the_extra_before_it_works(tmp_path: Path) -> None:
    folder = people(20, seed=1).write(tmp_path / "set")
    done = shell("search", folder, folder, "-o", tmp_path / "found")
    assert done.returncode == 2
    assert "its extra `reports`" in done.stderr
    assert not (tmp_path / "found").exists()


def test_two_photos_are_compared_and_drawn_without_any_extra(photos: Path) -> None:
    code = """
import face_analysis as fa
both = sys.argv[1]
faces = fa.FaceAnalyzer(embeddings=True).analyze(both)
print(fa.compare(both, both).same, fa.draw(both, faces).shape)
"""
    done = bare(code, str(photos / "both.jpg"))
    assert done.stdout.strip() == "True (606, 1024, 3)", done.stderr


@pytest.mark.parametrize("command", sorted(NEEDS.keys() & COMMANDS))
def test_a_command_that_needs_more_names_the_extra_before_it_works(command: str) -> None:
    done = shell(command, "-o", "somewhere")
    assert done.returncode == 2
    assert f"its extra `{NEEDS[command]}`" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help_without_any_extra(command: str) -> None:
    done = shell(command, "--help")
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout


@pytest.mark.parametrize(("name", "extra"), [("match", "reports"), ("audit", "reports"), ("train", "train")])
def test_a_function_that_needs_more_names_the_extra(name: str, extra: str) -> None:
    done = bare(f"import face_analysis\nface_analysis.{name}")
    assert done.returncode == 1
    assert f"face_analysis.{name} needs the package" in done.stderr
    assert f"its extra `{extra}`" in done.stderr


def test_an_lmdb_names_the_extra(tmp_path: Path) -> None:
    (tmp_path / "x.lmdb").write_bytes(bytes(16) + (0xBEEFC0DE).to_bytes(4, sys.byteorder) + bytes(100))
    done = shell("predict", "-s", tmp_path / "x.lmdb")
    assert done.returncode == 2
    assert "an LMDB needs the package lmdb" in done.stderr
