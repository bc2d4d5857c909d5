from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch

from face_analysis.errors import UsageError
from face_analysis.images.chips import ChipMaker
from face_analysis.inference import form
from face_analysis.inference import loading as loading_module
from face_analysis.inference.form import FormChoice, begun_form, form_facts, library_choice
from face_analysis.inference.loading import BackgroundLoading, loading, loading_threads
from face_analysis.machine import Form, MachineOptions, ThreadOptions
from face_analysis.models.backbone import build_backbone
from face_analysis.models.layers import Backbone
from face_analysis.zoo.card import BackboneConfig

Asked = list[dict[str, Any]]


@pytest.fixture(scope="module")
def network() -> Backbone:
    return build_backbone(BackboneConfig(depth=18, mode="ir", width=0.125)).eval()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What is asked for to be measured, on four cores, where bf16 and two threads are fastest."""
    seen: Asked = []

    def answer(what: dict[str, Any], measure: Callable[[], object]) -> dict[str, float]:
        seen.append(what)
        return {text: 9.0 * ("bf16" in text) + 5.0 * ("4 threads" in text) + 1 for text in what["forms"]}

    monkeypatch.setattr(form, "remembered", answer)
    monkeypatch.setattr(loading_module, "all_threads", lambda: 4)
    monkeypatch.setattr(form, "all_threads", lambda: 4)
    return seen


def test_threads_and_then_the_format_are_measured_and_said_once(
    network: Backbone, asked: Asked, caplog: pytest.LogCaptureFixture
) -> None:
    job = BackgroundLoading("job", lambda: None, 2)
    with caplog.at_level(logging.INFO):
        taken = FormChoice(MachineOptions(), 8, job).form([network], "faces")
    assert taken == Form("bf16-true", 4)
    assert [what["beside"] for what in asked] == [["job", 2], None]
    assert [record.message for record in caplog.records] == [
        "faces runs in bf16 on 4 threads: measured 15 images/s; float32 6, float32 in NCHW order 6; "
        "by threads, with the loading beside, 1 on 1, 6 on 4"
    ]


def test_an_exact_network_is_measured_in_float32_alone(network: Backbone, asked: Asked) -> None:
    taken = FormChoice(MachineOptions(threads=4)).form([network], "faces", exact=True)
    assert taken.precision == "32-true"
    assert asked[0]["forms"] == ["float32 on 4 threads", "float32 in NCHW order on 4 threads"]


def test_a_network_that_does_not_stand_bf16_stays_in_float32(asked: Asked) -> None:
    network = build_backbone(BackboneConfig("mobilefacenet", width=0.25))
    assert FormChoice(MachineOptions()).form([network], "faces").precision == "32-true"


def test_what_is_told_is_taken_unmeasured(network: Backbone, asked: Asked) -> None:
    choice = FormChoice(MachineOptions(precision="64-true", threads=3))
    assert choice.form([network], "faces", exact=True) == Form("64-true", 3)
    assert asked == []


def test_more_threads_than_cores_are_as_many_as_cores(network: Backbone, asked: Asked) -> None:
    assert FormChoice(MachineOptions(precision="32-true", threads=99)).form([network], "faces").threads == 4


@pytest.mark.parametrize(
    ("told", "taken"),
    [
        (MachineOptions(), Form("32-true", 2, channels_last=False)),
        (MachineOptions(threads=1), Form("32-true", 1, channels_last=False)),
        (MachineOptions(precision="32-true"), Form("32-true", 2, channels_last=False)),
        (MachineOptions(precision="bf16-true", threads=1), Form("bf16-true", 1)),
    ],
)
def test_a_resumed_run_keeps_its_form_and_measures_nothing(
    network: Backbone, asked: Asked, told: MachineOptions, taken: Form
) -> None:
    begun = Form("32-true", 2, channels_last=False)
    assert FormChoice(told, begun=begun).form([network], "faces") == taken
    assert asked == []


def test_a_journal_gives_a_form_back() -> None:
    one = Form("bf16-true", 3, channels_last=False)
    assert begun_form({"photos": "x", **form_facts(one)}) == one
    assert begun_form({"photos": "x"}) is None
    assert form_facts(Form("bf16-true", 1), one)["threads"] == 3


def test_a_network_with_its_own_format_takes_no_other() -> None:
    assert FormChoice(MachineOptions(threads=1)).own_form("net.onnx") == Form("32-true", 1)
    with pytest.raises(UsageError, match=r"--precision bf16-true: net\.onnx has a number format of its own"):
        FormChoice(MachineOptions(precision="bf16-true")).own_form("net.onnx")


def test_python_keeps_the_threads_of_its_process(network: Backbone) -> None:
    before = torch.get_num_threads()
    taken = library_choice().form([network], "faces")
    assert taken.threads == torch.get_num_threads() == before
    assert library_choice(precision="32-true").form([network], "faces") == Form("32-true", before)


def test_a_form_whose_numbers_overflow_is_not_measured() -> None:
    class Loud(Backbone):
        def raw(self, images: torch.Tensor) -> torch.Tensor:
            return (images.flatten(1)[:, :4] + 2) * 1e5

    cpu = torch.device("cpu")
    assert form._way([Loud()], Form("16-mixed"), cpu, 2, None) is None
    assert form._way([Loud()], Form("32-true"), cpu, 2, None) is not None


def test_the_jobs_beside_run_in_threads_while_the_work_does() -> None:
    done: list[str] = []
    together = threading.Barrier(3, timeout=10)

    def job() -> None:
        together.wait()
        done.append("job")

    BackgroundLoading("job", job, 2).run(2, together.wait)
    assert done == ["job", "job"]


def test_an_error_of_a_job_is_raised() -> None:
    def job() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        BackgroundLoading("job", job, 1).run(1)


def test_the_threads_of_a_detector_are_the_faster_number(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loading_module, "all_threads", lambda: 4)
    monkeypatch.setattr(loading_module, "remembered", lambda what, measure: {"1": 30.0, "4": 20.0})
    work = loading(ChipMaker(), 3)
    with caplog.at_level(logging.INFO):
        assert loading_threads(ThreadOptions(), work) == 1
    assert (
        "each of 3 workers detects on 1 threads: measured 30 photos/s on 1, 20 photos/s on 4" in caplog.text
    )
    assert loading_threads(ThreadOptions(threads=3), work) == 3


def test_loading_chips_searches_none() -> None:
    work = loading(ChipMaker(), 1)
    work.run(2)
    assert work.name == "112x112, searched 0 times"
