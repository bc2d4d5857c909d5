from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from torch import nn

from face_analysis.machine import Form
from face_analysis.models.backbone import build_backbone
from face_analysis.models.speed import architecture, images_per_second, measured, remembered
from face_analysis.zoo.card import BackboneConfig


class Clock:
    """Time that goes by only where a way works."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[tuple[str, int]] = []

    def __call__(self) -> float:
        return self.now

    def way(self, name: str, a_call: float, an_image: float) -> Callable[[int], None]:
        def run(count: int) -> None:
            self.calls.append((name, count))
            self.now += a_call + count * an_image

        return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("face_analysis.models.speed.time.perf_counter", clock)
    return clock


def test_the_rates_are_those_of_as_many_images_as_are_asked_for(clock: Clock) -> None:
    """At 16 images the way with the long start is the faster one, at 1 it is not."""
    ways = {"start": clock.way("start", 0.0035, 0.001), "even": clock.way("even", 0, 0.002)}
    rates = images_per_second(ways, 16, seconds=10, clock=clock)
    assert rates == pytest.approx({"start": 16 / 0.0195, "even": 16 / 0.032})


def test_a_slow_way_is_left_behind_and_keeps_its_rate(clock: Clock) -> None:
    ways = {
        "fast": clock.way("fast", 0, 0.001),
        "slow": clock.way("slow", 0, 0.1),
        "mid": clock.way("mid", 0, 0.0012),
    }
    rates = images_per_second(ways, 16, seconds=10, clock=clock)
    assert rates == pytest.approx({"fast": 1000, "slow": 10, "mid": 1 / 0.0012})
    assert ("slow", 4) not in clock.calls
    assert {("fast", 16), ("mid", 16)} <= set(clock.calls)


def test_the_race_ends_when_its_time_is_over(clock: Clock) -> None:
    ways = {"one": clock.way("one", 0, 1.0), "two": clock.way("two", 0, 1.1)}
    images_per_second(ways, 16, seconds=1, clock=clock)
    assert clock.now == pytest.approx(2 * 2.1), "a call unmeasured and one measured, of one image"


def test_each_way_is_called_once_before_it_is_timed(clock: Clock) -> None:
    started: set[str] = set()

    def way(name: str) -> Callable[[int], None]:
        def run(count: int) -> None:
            clock.now += count * (0.001 if name in started else 5.0)
            started.add(name)

        return run

    rates = images_per_second({"a": way("a"), "b": way("b")}, 1, seconds=100, clock=clock)
    assert rates == pytest.approx({"a": 1000, "b": 1000})


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACE_ANALYSIS_SPEED_CACHE", str(tmp_path / "speed"))
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))
    return tmp_path / "speed"


def counted() -> tuple[Callable[[], dict[str, float]], list[int]]:
    calls: list[int] = []

    def measure() -> dict[str, float]:
        calls.append(1)
        return {"bf16": 2.5, "float32": 1.0}

    return measure, calls


def test_what_was_measured_is_not_measured_again(cache: Path) -> None:
    measure, calls = counted()
    for _ in range(3):
        assert remembered({"network": "a"}, measure) == {"bf16": 2.5, "float32": 1.0}
    assert len(calls) == 1
    assert [path.suffix for path in cache.iterdir()] == [".json"]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("face_analysis.models.speed.cpu_name", "another CPU"),
        ("face_analysis.models.speed.all_threads", 64),
        ("face_analysis.models.speed.torch.__version__", "9.9"),
    ],
)
def test_another_machine_or_torch_measures_anew(
    cache: Path, place: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure, calls = counted()
    remembered({"network": "a"}, measure)
    monkeypatch.setattr(place, value if place.endswith("__") else lambda: value)
    remembered({"network": "a"}, measure)
    assert len(calls) == 2


def test_another_network_or_batch_measures_anew(cache: Path) -> None:
    measure, calls = counted()
    for what in ({"network": "a", "batch": 1}, {"network": "a", "batch": 2}, {"network": "b", "batch": 1}):
        remembered(what, measure)
    assert len(calls) == 3


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"facts": 1}', b'{"measured": {"a": "x"}}'],
)
def test_a_broken_file_is_measured_anew_and_replaced(cache: Path, content: bytes) -> None:
    measure, calls = counted()
    remembered({"network": "a"}, measure)
    (file,) = cache.iterdir()
    file.write_bytes(content)
    for _ in range(2):
        assert remembered({"network": "a"}, measure)["bf16"] == 2.5
    assert len(calls) == 2
    assert json.loads(file.read_text())["measured"]["float32"] == 1.0


@pytest.mark.parametrize("rate", [0, -1, "NaN", "Infinity"])
def test_rates_that_cannot_be_are_measured_anew(cache: Path, rate: float | str) -> None:
    measure, calls = counted()
    remembered({"network": "a"}, measure)
    (file,) = cache.iterdir()
    file.write_text(file.read_text().replace("2.5", str(rate)))
    assert remembered({"network": "a"}, measure)["bf16"] == 2.5
    assert len(calls) == 2


def test_the_cache_can_be_switched_off(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACE_ANALYSIS_SPEED_CACHE", "0")
    measure, calls = counted()
    remembered({"network": "a"}, measure)
    remembered({"network": "a"}, measure)
    assert len(calls) == 2
    assert not cache.exists()


def test_a_folder_that_cannot_be_written_hinders_nothing(cache: Path) -> None:
    cache.write_text("a file in its place")
    measure, calls = counted()
    assert remembered({"network": "a"}, measure)["bf16"] == 2.5
    assert len(calls) == 1


@pytest.mark.parametrize(("load", "times"), [(99.0, 2), (0.0, 1)])
def test_what_is_measured_on_a_busy_machine_counts_for_an_hour(
    cache: Path, load: float, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (load, 0.0, 0.0))
    measure, calls = counted()
    remembered({"network": "a"}, measure)
    remembered({"network": "a"}, measure)
    assert len(calls) == 1
    (file,) = cache.iterdir()
    made = file.stat().st_mtime
    os.utime(file, (made - 3601, made - 3601))
    remembered({"network": "a"}, measure)
    assert len(calls) == times


def test_without_a_home_nothing_is_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home(path: Path) -> Path:
        raise RuntimeError("no home")

    for name in ("FACE_ANALYSIS_SPEED_CACHE", "FACE_ANALYSIS_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "expanduser", no_home)
    assert remembered({"network": "a"}, counted()[0])["bf16"] == 2.5


F32, NCHW, BF16 = Form(), Form(channels_last=False), Form("bf16-true")


def by_name(rates: dict[str, float]) -> Callable[..., dict[Form, float]]:
    return lambda forms, clock=None: {form: rates[form.text] for form in forms}


@pytest.mark.parametrize(
    ("threads", "formats", "taken"),
    [
        ({1: 10, 2: 15}, {"float32": 15, "float32 in NCHW order": 14, "bf16": 30}, "bf16 on 2 threads"),
        ({1: 10, 2: 15}, {"float32": 15, "float32 in NCHW order": 14, "bf16": 11}, "float32 on 2 threads"),
        (
            {1: 10, 2: 5},
            {"float32": 10, "float32 in NCHW order": 14, "bf16": 11},
            "float32 in NCHW order on 1 thread",
        ),
        ({1: 10, 2: 5}, {"float32": 10, "float32 in NCHW order": 9, "bf16": 10.2}, "float32 on 1 thread"),
    ],
    ids=["fast bf16", "slow bf16", "NCHW", "bf16 not worth its digits"],
)
def test_the_fastest_threads_and_then_the_fastest_format_are_taken(
    threads: dict[int, float], formats: dict[str, float], taken: str
) -> None:
    on_threads = {f"float32 on {count} thread{'s' * (count > 1)}": rate for count, rate in threads.items()}
    best = max(threads, key=lambda count: threads[count])
    in_formats = {f"{name} on {best} thread{'s' * (best > 1)}": rate for name, rate in formats.items()}
    forms = [form for form in (F32, NCHW, BF16) if form.format in formats]
    found = measured(forms, list(threads), by_name(on_threads), by_name(in_formats))
    assert found.best.text == taken
    assert all(name in found.text for name in formats if name != found.best.format)


def test_nothing_is_measured_where_there_is_no_choice() -> None:
    def never(*_: object) -> dict[Form, float]:
        raise AssertionError

    found = measured([BF16], [2], never, never)
    assert (found.best.text, found.text) == ("bf16 on 2 threads", "")


def test_an_architecture_is_its_layers_and_shapes_not_its_weights() -> None:
    config = BackboneConfig(depth=18, width=0.125)
    one, same = build_backbone(config), build_backbone(config)
    wider = build_backbone(BackboneConfig(depth=18, width=0.25))
    assert architecture([one]) == architecture([same]) != architecture([wider])
    assert architecture([one]) != architecture([one, same])
    strided = [nn.Sequential(nn.Conv2d(3, 8, 3, stride)) for stride in (1, 2)]
    assert architecture(strided[:1]) != architecture(strided[1:]), "the shapes alone are the same"


@pytest.mark.parametrize(("one", "threads"), [(10.5, 2), (12.0, 1)])
def test_fewer_threads_have_to_be_worth_it(one: float, threads: int) -> None:
    on_threads = {"float32 on 1 thread": one, "float32 on 2 threads": 10.0}
    assert measured([F32], [1, 2], by_name(on_threads), by_name({})).best.threads == threads
