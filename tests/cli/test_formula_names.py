"""Names that a spreadsheet would take for formulas, through what commands hand on to each other."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Run
from tests.reports.test_tables import cells


def test_data_that_commands_read_back_keeps_such_names_exactly(
    run: Run, patterns: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    """Through lists, predictions, an LMDB, a feature set and the groups of copies."""
    pictures = sorted((patterns.parent / "patterns").glob("*.jpg"))
    names = ["=1+1.jpg", "-x/@a.jpg", "+b.jpg", "same.jpg"]
    for name, picture in zip(names, [*pictures[:3], pictures[0]], strict=True):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(picture.read_bytes())
    listed = tmp_path / "=list.csv"
    listed.write_text("path,race,subject\n" + "".join(f"{name},1,=s\n" for name in names))
    words = f"-s {tmp_path}/in -i {listed} --aligned"
    assert run(f"predict {words} -m {models['race']} -d {tmp_path}/p")[0] == 0
    predicted = tmp_path / "p" / "=list_predictions.csv"
    assert [row[0] for row in cells(predicted)[1:]] == names
    assert run(f"evaluate -p {predicted} -l {listed} -d {tmp_path}/e")[0] == 0
    assert run(f"extract {words} -d {tmp_path}/f")[0] == 0
    index = cells(tmp_path / "f" / "index.csv")
    assert [row[index[0].index("path")] for row in index[1:]] == names
    assert run(f"audit {listed} -s {tmp_path}/in -d {tmp_path}/a --fix first")[0] == 0
    assert [row[1] for row in cells(tmp_path / "a" / "groups.csv")[1:]] == ["=1+1.jpg", "same.jpg"]
    assert [row[2] for row in cells(tmp_path / "a" / "copies.csv")[1:]] == ["=1+1.jpg", "same.jpg"]
    assert [row[0] for row in cells(tmp_path / "a" / "cleaned" / "=list.csv")[1:]] == names[:3]
    groups = f"--by group --groups {tmp_path}/a/groups.csv --names a b --shares 0.5 0.5"
    assert run(f"annotations split {listed} -d {tmp_path}/split {groups}")[0] == 0
    parts = [{row[0] for row in cells(tmp_path / "split" / f"{part}.csv")[1:]} for part in "ab"]
    assert sorted(parts[0] | parts[1]) == sorted(names)
    assert {"=1+1.jpg", "same.jpg"} <= parts[0] or {"=1+1.jpg", "same.jpg"} <= parts[1]
