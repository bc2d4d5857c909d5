from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Run


@pytest.mark.parametrize(
    ("dest", "written"),
    [
        ("new/faces.lmdb", "new/faces.lmdb"),
        ("new", "new/patterns.lmdb"),
        ("new -n other", "new/other.lmdb"),
    ],
)
def test_the_lmdb_lies_where_it_is_asked_for_beside_its_configuration(
    run: Run, patterns: Path, tmp_path: Path, dest: str, written: str
) -> None:
    status, out, _ = run(f"pack -l {patterns} -s {patterns.parent} -a age -d {tmp_path}/{dest}")
    path = tmp_path / written
    assert status == 0
    assert out.startswith(f"{path}: 60 images")
    assert path.is_file()
    config = yaml.safe_load(path.with_suffix(".yaml").read_text())
    assert config["attribute"] == "age"
    assert config["list"] == str(patterns)


def test_a_folder_of_subfolders_becomes_classes_and_needs_no_list(
    run: Run, tmp_path: Path, patterns: Path
) -> None:
    for name in ("bo", "al"):
        (tmp_path / "people" / name).mkdir(parents=True)
        (tmp_path / "people" / name / "1.jpg").write_bytes(
            (patterns.parent / "patterns/000000.jpg").read_bytes()
        )
    status, out, _ = run(f"pack -s {tmp_path}/people -d {tmp_path} -n named")
    assert status == 0
    assert out.startswith(f"{tmp_path}/named.lmdb: 2 images")
    status, _, err = run(f"pack -s {tmp_path}/people -a age -d {tmp_path}")
    assert (status, "--list" in err) == (2, True)
