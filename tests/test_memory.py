from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from face_analysis import memory

MIB = 2**20


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of a system with 1,000 MiB available, whose process is in the group /job/step."""
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "meminfo").write_text(f"MemTotal: 4096000 kB\nMemAvailable: {1000 * 1024} kB\n")
    (tmp_path / "proc" / "self" / "cgroup").write_text("0::/job/step\n")
    (tmp_path / "cgroup" / "job" / "step").mkdir(parents=True)
    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "cgroup")
    return tmp_path


def limit(folder: Path, most: str, now: int, cached: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{most}\n")
    (folder / "memory.current").write_text(f"{now}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {cached}\n")


def test_what_is_available_is_free(system: Path) -> None:
    assert memory.free_memory() == 1000 * MIB


def test_a_control_group_leaves_its_limit_without_what_it_uses_but_for_files_it_can_give_up(
    system: Path,
) -> None:
    limit(system / "cgroup" / "job" / "step", str(500 * MIB), 300 * MIB, cached=50 * MIB)
    assert memory.free_memory() == 250 * MIB


def test_the_group_around_the_group_counts_too(system: Path) -> None:
    limit(system / "cgroup" / "job" / "step", "max", 300 * MIB)
    limit(system / "cgroup" / "job", str(400 * MIB), 300 * MIB)
    assert memory.free_memory() == 100 * MIB


def test_a_container_sees_its_own_group_at_the_root(system: Path) -> None:
    (system / "proc" / "self" / "cgroup").write_text("0::/\n")
    limit(system / "cgroup", str(400 * MIB), 380 * MIB)
    assert memory.free_memory() == 20 * MIB


def test_groups_of_the_first_version_are_read(system: Path) -> None:
    (system / "proc" / "self" / "cgroup").write_text("5:cpu,memory:/old\n0::/\n")
    folder = system / "cgroup" / "memory" / "old"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text(str(700 * MIB))
    (folder / "memory.usage_in_bytes").write_text(str(200 * MIB))
    (folder / "memory.stat").write_text(f"cache 1\ntotal_inactive_file {10 * MIB}\n")
    assert memory.free_memory() == 510 * MIB


def test_a_group_over_its_limit_leaves_nothing(system: Path) -> None:
    limit(system / "cgroup" / "job" / "step", str(100 * MIB), 300 * MIB)
    assert memory.free_memory() == 0


@pytest.mark.parametrize("kind", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_the_limit_of_the_process_counts(kind: str) -> None:
    code = (
        "import resource, face_analysis.memory as memory; before = memory.free_memory();"
        f"resource.setrlimit(resource.{kind}, (2**29, 2**29)); print(before, memory.free_memory())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert 0 < after < 2**29
    assert after < before


def test_the_most_that_was_held_is_what_the_system_counted() -> None:
    block = bytearray(64 * MIB)
    counted = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert memory.held_memory("VmHWM:") == pytest.approx(counted, rel=0.02)
    assert memory.held_memory() >= len(block)
