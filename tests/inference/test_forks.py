from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from face_analysis.errors import UsageError
from face_analysis.inference.embedder import TorchEmbedder
from face_analysis.inference.forks import check_fork
from face_analysis.models.backbone import build_backbone
from face_analysis.zoo.card import BackboneConfig
from tests.inference.onnx_files import model, saved

LIMIT = 120
"""Seconds after which processes are taken to hang; they need some ten."""
MADE = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
import numpy as np
from torch.utils.data import DataLoader, Dataset
from face_analysis import FaceAnalyzer
from face_analysis.inference.embedder import open_embedder
from face_analysis.inference.onnx_form import ModelInput

PHOTO, NETWORK = sys.argv[1:]
CHIPS = np.random.default_rng(0).integers(0, 256, (20, 112, 112, 3), np.uint8)

def ages(analyzer, path):
    return [face.age.years for face in analyzer.analyze(path)]

def many(analyzer, path):
    (photo,) = analyzer.analyze_many([path])
    return [face.age.years for face in photo.faces]

def sums(embedder):
    return embedder.embed(CHIPS).sum(axis=1).tolist()

def told(found, expected):
    print(np.allclose(found, expected, atol=0.05))

class Photos(Dataset):
    def __init__(self, analyzer): self.analyzer = analyzer
    def __len__(self): return 2
    def __getitem__(self, row): return ages(self.analyzer, PHOTO)
"""
FORKED = """
analyzer = FaceAnalyzer()
embedders = [open_embedder(path, ModelInput()) for path in ("sface", NETWORK)]
expected = ages(analyzer, PHOTO) + sums(embedders[0]) + sums(embedders[1])
fork = multiprocessing.get_context("fork")

def own(path):
    return ages(FaceAnalyzer(), path)

def job(number):
    return ages(analyzer, PHOTO) + sums(embedders[0]) + sums(embedders[1])

with fork.Pool(2) as pool:
    told(pool.map(job, range(2)), [expected] * 2)
    told(pool.map(own, [PHOTO]), [expected[:1]])
with ProcessPoolExecutor(1, fork) as pool:
    told(pool.submit(many, analyzer, PHOTO).result(), expected[:1])
told(list(DataLoader(Photos(analyzer), 1, num_workers=2, collate_fn=list)), [[expected[:1]]] * 2)
told(job(0), expected)
"""
SPAWNED = """
if __name__ == "__main__":
    analyzer = FaceAnalyzer()
    embedders = [open_embedder(path, ModelInput()) for path in ("sface", NETWORK)]
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(1) as pool:
        told(pool.apply(ages, (analyzer, PHOTO)), ages(analyzer, PHOTO))
        for embedder in embedders:
            told(pool.apply(sums, (embedder,)), sums(embedder))
"""


def printed(code: str, folder: Path, photos: Path) -> list[str]:
    """What a program prints that runs torch on two threads, as most machines do."""
    script = folder / "program.py"
    script.write_text(MADE + code)
    network = saved(model(["N", 3, 112, 112]), folder / "n.onnx")
    command = [sys.executable, str(script), str(photos / "hopper.jpg"), str(network)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_models_of_a_parent_work_in_the_processes_that_it_forks(tmp_path: Path, photos: Path) -> None:
    assert printed(FORKED, tmp_path, photos) == ["True"] * 5


def test_models_can_be_sent_to_processes_that_are_spawned(tmp_path: Path, photos: Path) -> None:
    assert printed(SPAWNED, tmp_path, photos) == ["True"] * 3


def test_a_forked_process_is_told_that_it_cannot_use_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: True)
    check_fork(torch.device("cpu"))
    with pytest.raises(UsageError, match="spawn"):
        check_fork(torch.device("cuda"))


def test_a_process_keeps_its_threads_when_it_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    TorchEmbedder(build_backbone(BackboneConfig("mobilefacenet", width=0.125, embedding_size=16)))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        child = os.fork()
        if not child:
            os._exit(torch.get_num_threads())
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
