"""Commands stopped in mid-run, for the tests of `--resume`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import FACES_OF


def many_photos(photos: Path, folder: Path) -> Path:
    """600 small photos in an order that mixes those with one, two, and no faces, and broken ones."""
    folder.mkdir()
    small = folder.with_name("small")
    small.mkdir()
    sources = [small / Path(name).name for name in FACES_OF]
    for name, path in zip(FACES_OF, sources, strict=True):
        with Image.open(photos / name) as photo:
            photo.resize((photo.width // 3, photo.height // 3)).save(path, exif=photo.getexif())
    sources.append(photos / "sub" / "broken.jpg")
    for number in range(600):
        source = sources[number * number // 5 % len(sources)]
        (folder / f"{number:03d}{source.suffix}").symlink_to(source)
    return folder


STOPS = pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
CODE = """
import sys, threading, time
from pathlib import Path
from face_analysis.cli.main import main

ready, size, replace = Path(sys.argv.pop(1)), int(sys.argv.pop(1)), Path.replace

def waits():
    alone = threading.current_thread() is threading.main_thread() and sys.exception() is None
    return alone and ready.exists() and ready.stat().st_size > size

def replace_or_wait(self, target):
    while Path(target) != ready and waits():
        time.sleep(0.01)
    return replace(self, target)

Path.replace = replace_or_wait
sys.exit(main())
"""


def stopped_when(words: str, ready: Path, size: int, stop: int) -> None:
    """Run a command, and stop it by a signal once the file at `ready` has grown over `size`.

    A command that comes to its output first waits there for the signal: on a busy machine the file may be
    seen late. SIGINT goes to all of its processes, as a terminal sends it; the command must then say how to
    go on.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, str(ready), str(size), *words.split()],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if ready.exists() and ready.stat().st_size > size:
            break
        time.sleep(0.002)
    if stop == signal.SIGINT:
        os.killpg(process.pid, stop)
    else:
        os.kill(process.pid, stop)
    err = process.communicate()[1]
    if stop == signal.SIGINT:
        assert (process.returncode, "--resume to go on" in err, "Traceback" in err) == (130, True, False), err
    else:
        assert process.returncode == -stop


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
