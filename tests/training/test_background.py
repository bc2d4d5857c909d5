"""Checkpoints are written while the run goes on."""

from __future__ import annotations

import gc
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from face_analysis.errors import WriteError
from face_analysis.training.saving import background
from face_analysis.training.saving.background import CheckpointWriter


def test_a_checkpoint_holds_what_was_saved_though_the_weights_move_on_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = threading.Event()
    write = torch.save

    def late(*arguments: object) -> None:
        assert moved.wait(60)
        write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(background.torch, "save", late)
    weights, epochs = torch.ones(1000), [1]
    with CheckpointWriter() as files:
        files.save({"weights": weights, "epochs": epochs}, [tmp_path / "a.ckpt"])
        assert not (tmp_path / "a.ckpt").exists()
        weights.zero_()
        epochs.append(2)
        moved.set()
    content = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert content["weights"].tolist() == [1.0] * 1000
    assert content["epochs"] == [1]


def test_a_checkpoint_that_could_not_be_written_is_told_by_the_next_save_and_at_the_end(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("no folder")
    content = {"weights": torch.ones(3)}
    with CheckpointWriter() as files:
        files.save(content, [tmp_path / "file" / "a.ckpt"])
        with pytest.raises(WriteError, match=r"cannot write .*a\.ckpt: "):
            files.save(content, [tmp_path / "b.ckpt"])
        files.save(content, [tmp_path / "c.ckpt"])
    with pytest.raises(WriteError, match=r"cannot write .*d\.ckpt: "), CheckpointWriter() as files:
        files.save(content, [tmp_path / "file" / "d.ckpt"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.ckpt", "file"]


def test_an_error_of_the_run_is_not_hidden_by_one_of_the_last_save(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")

    def failing() -> None:
        with CheckpointWriter() as files:
            files.save({"weights": torch.ones(3)}, [tmp_path / "file" / "a.ckpt"])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()


def memory_not_forked() -> int:
    """How much of this process's memory, in KiB, a forked one does not get, as the kernel tells."""
    gc.collect()
    size = total = 0
    for line in Path("/proc/self/smaps").read_text(encoding="ascii").splitlines():
        if line.startswith("Size:"):
            size = int(line.split()[1])
        elif line.startswith("VmFlags:") and "dc" in line.split():
            total += size
    return total


@pytest.mark.parametrize("failed", [False, True])
def test_no_memory_that_a_forked_process_lacks_stays_after_the_block(tmp_path: Path, failed: bool) -> None:
    """Objects of it that are freed in a forked process unmap what that process has in their place."""
    before = memory_not_forked()
    weights = torch.ones(2**20)
    writer = CheckpointWriter()  # as if something went on to refer to it
    with suppress(KeyError), writer:
        writer.reserve([weights, weights])
        assert memory_not_forked() >= before + 2 * 4096
        writer.save({"weights": weights}, [tmp_path / "last.ckpt"])
        if failed:
            raise KeyError
    assert memory_not_forked() == before
