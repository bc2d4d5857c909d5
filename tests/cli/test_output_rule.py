"""Every command that writes keeps one rule: see `outputs.py`."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from face_analysis.cli.main import main
from face_analysis.models.iresnet import IResNet
from tests.cli.conftest import Run
from tests.cli.killed_runs import tree
from tests.matching.feature_sets import people
from tests.test_outputs import holder

FOLDERS = {
    "align": "align {shots} {out}",
    "predict annotate": "predict {photo} -m {joint} --annotate {out}",
    "extract": "extract -s {patterns} -i {list} -m {faces} --aligned -d {out}",
    "extract original": "extract -s {patterns} -i {list} -m {faces} --aligned --format original -d {out}",
    "match": "match {features} -o {out} --fmr 0.1",
    "search": "search {features} {features} -o {out}",
    "report": "report {match} -d {out}",
    "evaluate": "evaluate -p {predictions} -l {list} -d {out}",
    "evaluate verification": "evaluate --verification {bin} -m {faces} -d {out}",
    "calibrate": "calibrate -m {joint} -s {patterns} -i {list} -d {out}",
    "annotations split": "annotations split {list} -d {out}",
    "annotations count": "annotations count {list} -d {out}",
    "audit": "audit {list} -s {patterns} -d {out}",
    "train": "train -a race -ts {patterns} -t {list} -vs {patterns} -v {list} -b 20 -e 1 -w 0 "
    "--validations 1 --backbone mobilefacenet --width 0.125 --embedding_size 16 -o {out}",
}
"""Commands that write a folder."""

FILES = {
    "predict": ("predict -s {patterns} -i {list} -m {joint} --aligned -d {out}", "list_predictions.csv"),
    "pack": ("pack -l {list} -s {patterns} -a race -d {out}/p.lmdb", "p.lmdb"),
    "pairs build": ("pairs build -s {bin} -d {out}", "set"),
    "annotations folder": ("annotations folder -s {patterns} -d {out}/f.csv", "f.csv"),
    "annotations normalize": ("annotations normalize utkface -s {utkface} -d {out}/u.csv", "u.csv"),
    "models import": (
        "models import -m {original} -d {out}/m.safetensors -n ir -a recognition",
        "m.safetensors",
    ),
}
"""Commands that write into a folder which others may use too, with what they write there."""

EVERY = {**{name: (words, "") for name, words in FOLDERS.items()}, **FILES}


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory,
    patterns: Path,
    photos: Path,
    models: dict[str, Path],
    recognition_model: Path,
) -> dict[str, Path]:
    """What the commands read."""
    top = tmp_path_factory.mktemp("world")
    chips = [next(patterns.parent.rglob("*.jpg")).read_bytes()] * 40
    (top / "set.bin").write_bytes(pickle.dumps((chips, [row % 2 == 0 for row in range(20)])))
    (top / "utkface").mkdir()
    Image.new("RGB", (8, 8)).save(top / "utkface" / "20_0_0_20170117.jpg")
    torch.save(IResNet(50, "ir").state_dict(), top / "model_x.pth")
    shutil.copytree(patterns.parent, top / "patterns")
    (top / "lists").mkdir()
    (top / "shots").mkdir()
    listed = shutil.copy(patterns, top / "lists" / "list.txt")
    found = {
        "shots": top / "shots",
        "photo": Path(shutil.copy(photos / "hopper.jpg", top / "shots" / "photo.jpg")),
        "patterns": top / "patterns",
        "list": Path(listed),
        "joint": models["joint"],
        "faces": recognition_model,
        "features": people(60, seed=1).write(top / "features"),
        "match": top / "match",
        "predictions": top / "predicted" / "list_predictions.csv",
        "bin": top / "set.bin",
        "utkface": top / "utkface",
        "original": top / "model_x.pth",
    }
    for words in (f"match {found['features']} -o {found['match']} --fmr 0.1", FILES["predict"][0]):
        assert main(words.format(**found, out=top / "predicted").split()) == 0
    return found


@pytest.fixture
def command(run: Run, world: dict[str, Path], tmp_path: Path) -> Iterator[Callable[..., tuple[int, str]]]:
    """Run a command by its name, into `out` or another folder; nothing it reads is changed by it."""
    top = world["list"].parents[1]
    before = tree(top)

    def call(name: str, more: str = "", out: Path | None = None) -> tuple[int, str]:
        words = f"{EVERY[name][0]} {more}".format(**world, out=out or tmp_path / "out")
        status, _, err = run(words)
        return status, err

    yield call
    assert tree(top) == before


@pytest.mark.parametrize("name", EVERY)
def test_a_result_is_replaced_only_when_told(
    command: Callable[..., tuple[int, str]], tmp_path: Path, name: str
) -> None:
    assert command(name)[0] == 0
    before = tree(tmp_path / "out")
    assert before
    status, err = command(name)
    assert (status, "--overwrite" in err, str(tmp_path / "out") in err) == (2, True, True)
    assert tree(tmp_path / "out") == before
    status, err = command(name, "--overwrite")
    assert (status, err if status else "") == (0, "")
    assert {*map(plain, tree(tmp_path / "out"))} == {*map(plain, before)}


def plain(name: str) -> str:
    """The name without the time that TensorBoard puts into its own."""
    return name.split("tfevents")[0]


@pytest.mark.parametrize("name", EVERY)
def test_a_second_run_on_one_output_says_who_is_at_work(
    command: Callable[..., tuple[int, str]], tmp_path: Path, name: str
) -> None:
    output = tmp_path / "out" / EVERY[name][1]
    output.parent.mkdir(exist_ok=True)
    first = holder("folder" if name in FOLDERS or name == "pairs build" else "file", output)
    before = tree(tmp_path / "out")
    status, err = command(name, "--overwrite")
    assert (status, f"another run is writing it (process {first.pid} on " in err) == (2, True)
    assert tree(tmp_path / "out") == before
    first.communicate("")
    assert command(name, "--overwrite")[0] == 0


@pytest.mark.parametrize("name", [name for name in FOLDERS if name != "extract original"])
def test_a_folder_that_holds_an_input_is_refused(
    command: Callable[..., tuple[int, str]], world: dict[str, Path], name: str
) -> None:
    top = world["list"].parents[1]
    status, err = command(name, "--overwrite", top)
    assert (status, "input" in err) == (2, True)


def test_no_file_beside_an_output_takes_the_place_of_a_file_of_the_user(
    command: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    commands = ("pack", "predict", "annotations normalize", "annotations folder")
    for name in commands:
        assert command(name)[0] == 0
    made = set(tree(out)) | {f"{FILES[name][1]}.errors.csv" for name in ("pack", "annotations normalize")}
    for one in made:
        shutil.rmtree(out)
        out.mkdir()
        (out / one).write_text("of the user")
        refused = [name for name in commands if command(name)[0] == 2]
        assert len(refused) == 1
        assert (out / one).read_text() == "of the user"


def test_a_split_beside_its_list_takes_the_place_of_no_file_of_the_user(
    run: Run, world: dict[str, Path], tmp_path: Path
) -> None:
    listed = Path(shutil.copy(world["list"], tmp_path / "faces.txt"))
    words = f"annotations split {listed}"
    assert run(words)[0] == 0
    made = set(tree(tmp_path)) - {listed.name}
    assert made == {"faces_split.config.yaml", *(f"faces_{part}.csv" for part in ("train", "val", "test"))}
    for one in made:
        for name in made:
            (tmp_path / name).unlink(missing_ok=True)
        (tmp_path / one).write_text("of the user")
        status, _, err = run(words)
        assert (status, f"{one} exists already" in err) == (2, True)
        assert set(tree(tmp_path)) == {listed.name, one}
        assert (tmp_path / one).read_text() == "of the user"


@pytest.mark.parametrize("name", ["pack", "annotations normalize", "annotations folder"])
def test_files_with_the_name_of_an_output_and_another_suffix_stay(
    command: Callable[..., tuple[int, str]], tmp_path: Path, name: str
) -> None:
    out, stem = tmp_path / "out", Path(FILES[name][1]).stem
    out.mkdir()
    kept = {f"{stem}.{suffix}" for suffix in ("yaml", "txt", "rec", "config.yaml", "errors.csv")}
    for one in kept:
        (out / one).write_text("of the user")
    assert command(name)[0] == 0
    assert command(name, "--overwrite")[0] == 0
    assert {(out / one).read_text() for one in kept} == {"of the user"}


def test_photos_with_equal_names_give_a_chip_and_a_copy_each(run: Run, photos: Path, tmp_path: Path) -> None:
    source = tmp_path / "photos"
    names = ["x.jpg", "x.png", "a/x.jpg", "x.tif", "x.tif.png", "x_0.jpg"]
    with Image.open(photos / "hopper.jpg") as photo:
        for name in names:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            photo.save(source / name)
    assert run(f"align {source} {tmp_path}/chips --faces all")[0] == 0
    assert run(f"predict -s {source} -d {tmp_path}/p --annotate {tmp_path}/drawn")[0] == 0
    for folder in ("chips", "drawn"):
        pictures = [path for path in (tmp_path / folder).rglob("*") if path.suffix in (".jpg", ".png")]
        assert len(pictures) == len(names)
        for path in pictures:
            assert np.asarray(Image.open(path)).std() > 10


def test_sources_whose_names_differ_after_a_dot_write_two_files(
    run: Run, models: dict[str, Path], patterns: Path, tmp_path: Path
) -> None:
    for name in ("set.a", "set.b"):
        (tmp_path / name).mkdir()
        shutil.copy(next(patterns.parent.rglob("*.jpg")), tmp_path / name / "x.jpg")
        words = f"predict -s {tmp_path / name} -m {models['joint']} --aligned -d {tmp_path}/out"
        assert run(words)[0] == 0
    assert {"set.a_predictions.csv", "set.b_predictions.csv"} <= tree(tmp_path / "out").keys()
