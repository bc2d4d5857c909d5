"""Packs that are stopped, killed and resumed, and what else may lie in the place of what they left."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import lmdb
import numpy as np
import onnx
import pytest

from face_analysis.datasets.encoding import Encoding
from face_analysis.datasets.lmdb.reader import LmdbReader
from face_analysis.datasets.lmdb.writer import LmdbWriter
from face_analysis.datasets.pack import PackSettings, pack
from face_analysis.datasets.sources import FolderSource, ImageSource, open_source
from face_analysis.errors import OutputError, UsageError
from face_analysis.images.chips import ChipMaker
from face_analysis.images.detect import YuNet
from face_analysis.parallel import in_order
from tests.datasets.test_pack import listed

YUNET = ChipMaker.with_detector("centre", whole=True)
KILLED = """
import random, os, sys, threading, time
from pathlib import Path
import face_analysis.datasets.lmdb.unfinished as lmdb_unfinished
import face_analysis.datasets.lmdb.writer as lmdb_writer
from face_analysis.datasets.pack import PackSettings, pack
from face_analysis.datasets.sources import open_source
from face_analysis.errors import FaceAnalysisError
lmdb_writer.BATCH_RECORDS, lmdb_unfinished.FIRST_MAP_SIZE = 16, 65536
print("ready", flush=True)
try:
    source = open_source(Path(sys.argv[1]), Path(sys.argv[2]))
    pack(source, Path(sys.argv[3]), "race", PackSettings(resume=True))
except FaceAnalysisError as error:
    sys.exit(print(error) or error.exit_code)
"""


def packing(folder: Path, image_list: Path, target: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", KILLED, str(folder), str(image_list), str(target)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def workers_end(word: str) -> bool:
    """Whether within ten seconds no process is left whose command line has the word."""
    for _ in range(100):
        lines = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # it may have ended meanwhile
                lines.append(path.read_bytes())
        if not any(word.encode() in line for line in lines):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
def test_a_pack_killed_twenty_times_is_never_half_there_and_ends_with_the_same_bytes(
    patterns: Path, tmp_path: Path
) -> None:
    lines = patterns.read_text().splitlines()
    broken = [f"gone{n}.jpg 1 1 1" for n in range(5)]
    image_list = listed(tmp_path, [line for n in range(60) for line in (*lines, broken[n % 5])])
    whole, target = tmp_path / "whole.lmdb", tmp_path / "p.lmdb"
    process = packing(patterns.parent, image_list, whole)
    start = time.monotonic()
    assert process.wait(60) == 0
    seconds = time.monotonic() - start
    generator, kills, begun = np.random.default_rng(0), 0, 0
    while kills < 20:
        process = packing(patterns.parent, image_list, target)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(generator.uniform(0, seconds / 8))
        process.kill()
        ended = process.wait(60) == 0
        assert target.exists() == ended
        begun += (tmp_path / ".p.lmdb.unfinished").exists()
        if ended:
            assert target.read_bytes() == whole.read_bytes()
            target.unlink()
        kills += not ended
    assert begun >= 10
    assert workers_end(str(target))
    assert packing(patterns.parent, image_list, target).wait(60) == 0
    assert target.read_bytes() == whole.read_bytes()
    assert not (tmp_path / ".p.lmdb.unfinished").exists()
    LmdbReader(target).verify()


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """The processes that a process has started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(word) for word in children.split()]


def test_a_killed_worker_is_said_so_and_what_is_done_is_kept(patterns: Path, tmp_path: Path) -> None:
    image_list = listed(tmp_path, patterns.read_text().splitlines() * 60)
    whole, target, hidden = tmp_path / "w.lmdb", tmp_path / "p.lmdb", tmp_path / ".p.lmdb.unfinished"
    assert packing(patterns.parent, image_list, whole).wait(60) == 0
    process = packing(patterns.parent, image_list, target)
    while not hidden.exists() or hidden.stat().st_size < 200_000:
        time.sleep(0.001)
    os.kill(workers_of(process)[0], signal.SIGKILL)
    told = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert told.startswith(f"{target}: a process that reads images was killed; memory may have run out")
    assert "--resume, and with fewer --workers" in told
    kept = hidden.stat().st_size
    assert kept > 200_000
    assert not target.exists()
    assert packing(patterns.parent, image_list, target).wait(60) == 0
    assert target.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (PackSettings(), "quality, size, whole, faces, align, detector, threshold, rotations"),
        (PackSettings(Encoding(YUNET, 90)), "quality"),
        (PackSettings(Encoding(replace(YUNET, size=64, which="largest"))), "size, faces"),
        (
            PackSettings(
                Encoding(ChipMaker.with_detector("centre", whole=True, threshold=0.6, rotations=True))
            ),
            "threshold, rotations",
        ),
    ],
)
def test_what_differs_from_the_pack_to_resume_is_named(
    patterns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: PackSettings, names: str
) -> None:
    begin(patterns, tmp_path, monkeypatch)
    source = open_source(patterns.parent, patterns)
    with pytest.raises(UsageError, match=f"begun with other {names}; give"):
        pack(source, tmp_path / "p.lmdb", "race", replace(options, resume=True))
    with pytest.raises(UsageError, match=f"begun with other attribute, {names}; give"):
        pack(source, tmp_path / "p.lmdb", "age", replace(options, resume=True))


def test_a_detector_counts_by_its_content(
    patterns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(patterns, tmp_path, monkeypatch)
    assert isinstance(YUNET.detector, YuNet)
    copy, other = tmp_path / "copy.onnx", tmp_path / "other.onnx"
    copy.write_bytes(YUNET.detector.model.read_bytes())
    network = onnx.load(copy)
    network.doc_string = "another"
    onnx.save(network, other)
    source, target = open_source(patterns.parent, patterns), tmp_path / "p.lmdb"
    begun = [replace(YUNET, detector=YuNet(path)) for path in (other, copy)]
    with pytest.raises(UsageError, match="begun with other detector; give"):
        pack(source, target, "race", PackSettings(Encoding(begun[0]), resume=True))
    assert pack(source, target, "race", PackSettings(Encoding(begun[1]), resume=True)).written == 60


def begin(patterns: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave a pack of aligned chips, stopped after the first 16 images, in `folder`."""
    monkeypatch.setattr("face_analysis.datasets.lmdb.writer.BATCH_RECORDS", 16)
    monkeypatch.setattr("face_analysis.datasets.pack.in_order_by_processes", in_order)  # none keeps the lock
    source = open_source(patterns.parent, patterns)
    stopped = Stopped(source, 40)
    with pytest.raises(KeyboardInterrupt):
        pack(stopped, folder / "p.lmdb", "race", PackSettings(Encoding(YUNET)))


class Stopped(FolderSource):
    """A source at one of whose images Ctrl-C is pressed."""

    def __init__(self, source: ImageSource, at: int) -> None:
        assert isinstance(source, FolderSource)
        super().__init__(source.image_list, source.root)
        self.at = at

    def read(self, index: int) -> bytes:
        if index == self.at:
            raise KeyboardInterrupt
        return super().read(index)


def foreign(kind: str, place: Path) -> None:
    """Something at `place` that no pack left there."""
    elsewhere = place.with_name("elsewhere")
    elsewhere.write_bytes(b"of the user" * 1000)
    if kind == "link":
        place.symlink_to(elsewhere)
    elif kind == "dangling link":
        place.symlink_to(place.with_name("nowhere"))
    elif kind == "folder":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "text":
        place.write_bytes(elsewhere.read_bytes())
    else:
        with lmdb.open(str(place), subdir=False, lock=False) as environment:
            for number in range(100):
                with environment.begin(write=True) as transaction:
                    transaction.put(b"%d" % number, b"of the user" * 100)
        if kind == "LMDB cut short":
            os.truncate(place, place.stat().st_size // 2)


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize(
    "kind", ["link", "dangling link", "folder", "pipe", "text", "LMDB of something else", "LMDB cut short"]
)
def test_what_no_pack_left_is_neither_followed_nor_changed(
    patterns: Path, tmp_path: Path, kind: str, resume: bool
) -> None:
    hidden = tmp_path / ".p.lmdb.unfinished"
    foreign(kind, hidden)
    before = {path.name: content(path) for path in tmp_path.iterdir()}
    source = open_source(patterns.parent, patterns)
    with pytest.raises(OutputError, match=r"\.p\.lmdb\.unfinished is .*: remove it"):
        pack(source, tmp_path / "p.lmdb", "race", PackSettings(resume=resume))
    assert {path.name: content(path) for path in tmp_path.iterdir()} == before


def content(path: Path) -> tuple[int, bytes]:
    status = path.lstat()
    return status.st_mode, path.read_bytes() if stat.S_ISREG(status.st_mode) else b""


def test_a_pack_is_not_resumed_with_other_images_or_options(patterns: Path, tmp_path: Path) -> None:
    source, target = open_source(patterns.parent, patterns), tmp_path / "p.lmdb"
    with pytest.raises(KeyboardInterrupt), LmdbWriter(target, "race", ["race"], {"one": 1}) as writer:  # noqa: PT012
        for row in range(3000):
            writer.add(f"{row}", b"image", {"race": 1})
        raise KeyboardInterrupt
    assert (tmp_path / ".p.lmdb.unfinished").exists()
    with pytest.raises(UsageError, match=r"begun with other images, labels, one; .*--overwrite"):
        pack(source, target, "race", PackSettings(resume=True))
    with LmdbWriter(target, "race", ["race"], {"one": 1}, resume=True) as writer:
        assert writer.done == 2048
        for row in range(writer.done):
            writer.recall(f"{row}", {"race": 1})
    assert len(LmdbReader(target)) == 2048
