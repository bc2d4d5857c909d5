"""Bad input through the commands: what is said, the exit status, and that nothing is lost."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.fixture
def train_words(patterns: Path, tmp_path: Path) -> str:
    data = f"-v {patterns} -vs {patterns.parent}"
    return f"train -a race {data} --depth 18 --width 0.125 -w 0 -o {tmp_path}/run"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "image list not found"),
        ("", "the image list is empty"),
        ("a.jpg 0 1 20\nb.jpg 0 one 20\n", "faces.txt:2:"),
        ("a.jpg 0 1 20\nb.jpg 0 1\n", "faces.txt:2:"),
        ("a.jpg -1 1 20\nb.jpg 7 1 30\n", "no row has a known race"),
    ],
)
def test_a_wrong_list_is_named_with_its_line(
    run: Run, train_words: str, tmp_path: Path, content: str | None, message: str
) -> None:
    image_list = tmp_path / "faces.txt"
    if content is not None:
        image_list.write_text(content)
    status, out, err = run(f"{train_words} -t {image_list}")
    assert (status, out) == (2, "")
    assert message in err
    assert str(image_list) in err
    assert not (tmp_path / "run").exists()


def test_a_csv_with_an_unknown_column_names_it_and_the_known_ones(
    run: Run, train_words: str, tmp_path: Path
) -> None:
    image_list = tmp_path / "faces.csv"
    image_list.write_text("path,rase,gender\na.jpg,0,1\n")
    status, _, err = run(f"{train_words} -t {image_list}")
    assert status == 2
    assert "faces.csv:1:" in err
    assert "rase" in err
    assert "race" in err


def test_an_lmdb_cut_short_is_refused(run: Run, train_words: str, patterns: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed.lmdb"
    assert run(f"pack -l {patterns} -s {patterns.parent} -a race -d {packed}")[0] == 0
    packed.write_bytes(packed.read_bytes()[: packed.stat().st_size // 2])
    status, _, err = run(f"{train_words} -ts {packed}")
    assert status == 2
    assert str(packed) in err


def test_packing_to_a_full_disk_says_so_and_keeps_the_file_that_was_there(
    run: Run, patterns: Path, tmp_path: Path
) -> None:
    packed = tmp_path / "packed.lmdb"
    words = f"pack -l {patterns} -s {patterns.parent} -a race -d {packed}"
    assert run(words)[0] == 0
    before, there = packed.read_bytes(), sorted(tmp_path.iterdir())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        status, _, err = run(f"{words} --overwrite")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert status == 1
    assert "cannot write" in err
    assert packed.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == there


def test_pack_lists_what_does_not_decode_and_packs_the_rest(run: Run, patterns: Path, tmp_path: Path) -> None:
    good = sorted((patterns.parent / "patterns").glob("*.jpg"))[:3]
    (tmp_path / "cut.jpg").write_bytes(good[0].read_bytes()[:400])
    image_list = tmp_path / "faces.txt"
    image_list.write_text(
        "".join(f"{path} 1 0 {age}\n" for age, path in enumerate([*good, tmp_path / "cut.jpg"]))
    )
    status, out, err = run(f"pack -l {image_list} -a age -d {tmp_path}/out.lmdb")
    assert status == 1
    assert "3 images" in out
    assert "out.lmdb.errors.csv" in err
    assert str(tmp_path / "cut.jpg") in (tmp_path / "out.lmdb.errors.csv").read_text()


def test_resuming_from_another_tasks_run_is_refused(
    run: Run, train_words: str, patterns: Path, tmp_path: Path
) -> None:
    words = f"{train_words} -t {patterns} -ts {patterns.parent} -e 1 -b 30 --validations 1"
    assert run(words)[0] == 0
    status, _, err = run(f"{words.replace('-a race', '-a age')} -e 2 -r {tmp_path}/run")
    assert status == 2
    assert "['race'], not of ['age']" in err


def test_evaluate_counts_and_names_images_without_a_prediction(
    run: Run, models: dict[str, Path], patterns: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shorter = tmp_path / "shorter.txt"
    shorter.write_text("\n".join(patterns.read_text().splitlines()[:50]))
    run(f"predict --aligned -s {patterns.parent} -i {shorter} -m {models['joint']} -d {tmp_path}")
    predictions = tmp_path / "shorter_predictions.csv"
    assert run(f"evaluate -p {predictions} -l {shorter} -d {tmp_path}/all")[0] == 0
    status, out, err = run(f"evaluate -p {predictions} -l {patterns} -d {tmp_path}/some")
    assert status == 1
    assert "evaluate: " in err
    assert "10 listed images have no prediction" in caplog.text
    assert "(n = 50)" in out
    assert (tmp_path / "some" / "metrics.json").exists()


def test_evaluate_takes_what_predict_writes_of_photos_with_several_faces(
    run: Run, models: dict[str, Path], photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels = tmp_path / "l.csv"
    names = ["both.jpg", "empty.png", "hopper.jpg", "sub/broken.jpg"]
    labels.write_text("path,race,gender,age\n" + "".join(f"{name},0,1,50\n" for name in names))
    predict = f"predict -s {photos} -i {labels} -m {models['joint']}"
    run(f"{predict} -d {tmp_path}/all")
    run(f"{predict} -d {tmp_path}/largest --faces largest --format jsonl")
    words = f"evaluate -p {tmp_path}/all/l_predictions.csv -l {labels}"
    status, _, err = run(f"{words} -d {tmp_path}/e")
    assert (status, "both.jpg" in err, "--faces largest" in err) == (2, True, True)
    assert run(f"{words} -d {tmp_path}/e1 --faces largest")[0] == 1
    assert "1 faces are left out" in caplog.text
    assert "2 listed images have no prediction" in caplog.text
    again = f"evaluate -p {tmp_path}/largest/l_predictions.jsonl -l {labels} -d {tmp_path}/e2"
    assert run(again)[0] == 1
    labels.write_text("path,age\n" + "".join(f"{name},50\n" for name in names))
    assert run(f"{words} -d {tmp_path}/e3 --faces largest")[0] == 1
    assert "no labels of it: gender, race" in caplog.text
    one, two = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("e1", "e2"))
    assert one == two
    assert (one["images"], one["missing"]) == (2, 2)


@pytest.fixture
def unreadable(tmp_path: Path) -> Path:
    """A list of five images, none of which is one, beside their folder."""
    (tmp_path / "broken").mkdir()
    for number in range(5):
        (tmp_path / "broken" / f"{number}.jpg").write_bytes(b"no image" * 40)
    lines = [f"broken/{number}.jpg 0 1 20\n" for number in range(5)]
    (tmp_path / "broken.txt").write_text("".join(lines))
    return tmp_path / "broken.txt"


@pytest.mark.parametrize(
    "words",
    [
        "predict -s {0} -i {1} -m {2} -d {3}",
        "predict -s {0} -i {1} -m {2} --aligned -d {3}",
        "extract -s {0} -i {1} -d {3}",
        "align {0}/broken {3}",
        "audit {1} -s {0} -d {3}",
        "pack -l {1} -s {0} -a race -d {3}/x.lmdb",
        "pack -s {0} -d {3}/x.lmdb",
        "train -a race -t {1} -ts {0} -v {1} -vs {0} --depth 18 --width 0.125 -w 0 -o {3}",
    ],
)
def test_where_no_image_can_be_read_the_first_reasons_are_told(
    run: Run, unreadable: Path, models: dict[str, Path], tmp_path: Path, words: str
) -> None:
    status, _, err = run(words.format(unreadable.parent, unreadable, models["joint"], tmp_path / "made"))
    assert status != 0
    reasons = [line for line in err.splitlines() if line.startswith("  ") and ".jpg: " in line]
    assert len(reasons) == 3
    assert [reason.split(".jpg")[0][-1] for reason in reasons] == ["0", "1", "2"]
