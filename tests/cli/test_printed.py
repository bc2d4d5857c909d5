"""Faces on stdout in the formats of files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.mark.parametrize("layout", ["jsonl", "csv", "original"])
def test_stdout_holds_what_the_file_holds_and_nothing_else(
    run: Run, models: dict[str, Path], photos: Path, tmp_path: Path, layout: str
) -> None:
    words = f"predict -s {photos} -m {models['joint']} --format {layout}"
    printed, out, err = run(words)
    written, _, _ = run(f"{words} -d {tmp_path}")
    suffix = "txt" if layout == "original" else layout
    assert out == (tmp_path / f"{photos.name}_predictions.{suffix}").read_text(encoding="utf-8")
    assert (printed, written) == (1, 1)
    assert "empty.png: no face found" in err
    assert "sub/broken.jpg: broken JPEG" in err


def test_a_name_that_is_not_utf8_is_json_all_the_same(
    run: Run, models: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    name = "\udcff\u00e9\n.jpg"
    (tmp_path / name).write_bytes((photos / "hopper.jpg").read_bytes())
    words = ["predict", "-m", str(models["joint"]), "--format", "jsonl"]
    _, out, _ = run([*words, str(tmp_path / name)])
    run([*words, "-s", str(tmp_path), "-d", str(tmp_path / "made")])
    file = next((tmp_path / "made").glob("*.jsonl")).read_bytes()
    assert Path(json.loads(out.encode())["path"]).name == name
    assert json.loads(file.decode("utf-8"))["path"] == name
    assert len(out.splitlines()) == 1


def test_parquet_is_not_printed(run: Run, photos: Path) -> None:
    status, out, err = run(f"predict {photos} --format parquet")
    assert (status, out) == (2, "")
    assert "give --dest" in err
