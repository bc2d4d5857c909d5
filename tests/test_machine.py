from __future__ import annotations

import os
from pathlib import Path

import cv2
import pytest
import torch

from face_analysis.errors import UsageError
from face_analysis.machine import Form, MachineOptions, all_threads, check_machine, device_of, use_threads


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two GPUs, as far as torch is asked."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)


@pytest.mark.parametrize(
    ("name", "device"),
    [("auto", "cuda:0"), ("cuda", "cuda:0"), ("cuda:1", "cuda:1"), ("cpu", "cpu")],
)
@pytest.mark.usefixtures("gpus")
def test_a_device_is_found_by_its_name(name: str, device: str) -> None:
    assert device_of(name) == torch.device(device)


def test_auto_is_the_cpu_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert device_of("auto") == device_of("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda:-1", "cpu:1", "auto:0", "mps", "", "cuda:1:2"])
def test_a_device_of_another_name_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(UsageError, match=f"--device {name}: give auto, cpu, cuda, or cuda:N"):
        device_of(name)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:7"])
def test_a_gpu_is_refused_where_there_is_none(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UsageError, match=f"--device {name}: this machine has no GPU"):
        check_machine(MachineOptions(device=name))


@pytest.mark.usefixtures("gpus")
def test_a_gpu_over_those_there_are_is_refused() -> None:
    with pytest.raises(UsageError, match="cuda:2: this machine has 2 GPUs, numbered from 0"):
        device_of("cuda:2")


def test_float16_without_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UsageError, match="--precision 16-mixed needs a GPU"):
        check_machine(MachineOptions(precision="16-mixed"))


@pytest.mark.parametrize(
    ("quota", "told", "threads"),
    [
        ("max 100000", "", 6),
        ("200000 100000", "", 2),
        ("150000 100000", "", 2),
        ("10000 100000", "", 1),
        ("nonsense", "", 6),
        ("max 100000", "3", 3),
        ("max 100000", "4,2", 4),
        ("max 100000", "64", 6),
        ("max 100000", "0", 6),
        ("max 100000", "many", 6),
    ],
)
def test_threads_are_the_cores_that_the_process_may_use(
    quota: str, told: str, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr("face_analysis.machine.CPU_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)), raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert all_threads() == threads


def test_torch_and_opencv_work_on_the_threads_they_are_told() -> None:
    before, detector = torch.get_num_threads(), cv2.getNumThreads()
    use_threads(2)
    assert (torch.get_num_threads(), cv2.getNumThreads()) == (2, 2)
    use_threads(before)
    cv2.setNumThreads(detector)


def test_a_form_says_its_format_in_the_fields_words() -> None:
    assert Form("bf16-true", 2).text == "bf16 on 2 threads"
    assert Form("32-true", 1, channels_last=False).text == "float32 in NCHW order on 1 thread"
    assert Form("16-mixed").format == "float16"
