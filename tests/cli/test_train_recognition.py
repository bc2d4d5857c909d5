"""Recognition from the shell: the original's README command, then what its model is good for."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
COMMAND = (
    "python3 train.py --train_source ./ms1m_v2.lmdb --val_source ./path_to_val_datasets/ "
    "--val_list ['lfw', 'cpf_fp', 'agedb_30'] -a recognition --prefix arcface --multi_gpu --head arcface"
)


def shell(words: str, folder: Path) -> str:
    """What a command prints, run by a shell, which takes quotes and brackets as it does."""
    words = words.replace("python3 ", f"{sys.executable} {ROOT}/", 1)
    done = subprocess.run(words, shell=True, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_readmes_command_trains_as_it_is_written(patterns: Path, tmp_path: Path) -> None:
    rows = [line.split() for line in patterns.read_text().splitlines()[:24]]
    (tmp_path / "people.txt").write_text("".join(f"{name} {race}\n" for name, race, *_ in rows))
    shell(
        f"python3 utils/imagelist2lmdb.py -l people.txt -s {patterns.parent} -a recognition -d ms1m_v2.lmdb",
        tmp_path,
    )
    images = [(patterns.parent / name).read_bytes() for name, *_ in rows]
    sets = tmp_path / "path_to_val_datasets"
    sets.mkdir()
    for name in ("lfw", "cfp_fp", "agedb_30"):
        (sets / f"{name}.bin").write_bytes(pickle.dumps((images, [number % 2 == 0 for number in range(12)])))
    shell("python3 utils/prepare_test_sets.py -r path_to_val_datasets", tmp_path)
    printed = shell(f"{COMMAND} -e 1", tmp_path)
    assert all(f"| {name} |" in printed for name in ("lfw", "cfp_fp", "agedb_30"))
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name.startswith("arcface_")
    assert "lfw" in (run / "validation" / "verification.md").read_text()

    model = run / "model.safetensors"
    cli = "python3 src/face_analysis/cli/main.py"
    shown = shell(f"{cli} models show {model}", tmp_path)
    assert "recognition" in shown
    shell(f"{cli} extract -m {model} -s {patterns.parent} -i people.txt -d features --aligned", tmp_path)
    assert (tmp_path / "features" / "embeddings.npy").stat().st_size > 24 * 512 * 4
    table = shell(
        f"{cli} evaluate --verification lfw -s path_to_val_datasets -m {model} -d verification", tmp_path
    )
    assert table.split("| lfw |")[1].split("|")[0] == printed.split("| lfw |")[1].split("|")[0]
