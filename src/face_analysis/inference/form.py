"""In which form a network runs: as told, as a resumed run began, or what is measured fastest."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from face_analysis.errors import UsageError
from face_analysis.inference.loading import LEAST, BackgroundLoading, thread_counts, threads_kept
from face_analysis.machine import Form, MachineOptions, Precision, all_threads, device_of, use_threads
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.layers import Backbone
from face_analysis.models.precision import CPU_BATCH, backbone_of, for_inference
from face_analysis.models.speed import architecture, images_per_second, measured, remembered

log = logging.getLogger(__name__)

Networks = Sequence[AttributeNetwork] | Sequence[Backbone]


@dataclass(frozen=True)
class FormChoice:
    """Chooses forms for `batch_size` images a pass; a resumed run keeps the form it was `begun` in.

    Without `own_threads` the number of threads is the process's, when the form is chosen: a process that was
    forked must not use more than it was left with.
    """

    asked: MachineOptions = field(default_factory=MachineOptions)
    batch_size: int = 96
    background: BackgroundLoading | None = None
    begun: Form | None = None
    own_threads: bool = True

    @property
    def device(self) -> torch.device:
        """What runs the networks. Raises UsageError for one that is not there."""
        return device_of(self.asked.device)

    def form(self, networks: Networks, name: str, *, exact: bool = False) -> Form:
        """The form of networks that run one after the other, which are called `name` on stderr.

        Unless another format is told, `exact` ones run in float32.
        """
        threads = thread_counts(self.asked) if self.own_threads else (torch.get_num_threads(),)
        if self.begun is not None and self.asked.precision in ("auto", self.begun.precision):
            form = replace(
                self.begun,
                threads=threads[0] if self.asked.threads else min(self.begun.threads, all_threads()),
            )
            log.info("%s runs in %s, as it began", name, form.text)
            return form
        with threads_kept():
            found = measured(
                self._formats(networks, exact),
                threads,
                lambda forms: self._rates(networks, forms, self.background, time.perf_counter),
                lambda forms, clock: self._rates(networks, forms, None, clock),
            )
        if found.text:
            log.info("%s runs in %s: %s", name, found.best.text, found.text)
        return found.best

    def own_form(self, name: str) -> Form:
        """That of a network with a number format of its own. Raises UsageError where another one is told."""
        if self.asked.precision not in ("auto", "32-true"):
            raise UsageError(
                f"--precision {self.asked.precision}: {name} has a number format of its own; leave it out"
            )
        if not self.own_threads:
            return Form(threads=torch.get_num_threads())
        threads = self.asked.threads or (self.begun.threads if self.begun else all_threads())
        return Form(threads=min(threads, all_threads()))

    def _formats(self, networks: Networks, exact: bool) -> list[Form]:
        if self.asked.precision != "auto":
            return [Form(self.asked.precision)]
        formats = [Form(), Form(channels_last=False)]
        if exact or not all(backbone_of(network).stands_bfloat16 for network in networks):
            return formats
        formats.append(Form("bf16-true"))
        return [*formats, Form("16-mixed")] if self.device.type == "cuda" else formats

    def _rates(
        self,
        networks: Networks,
        forms: list[Form],
        background: BackgroundLoading | None,
        clock: Callable[[], float],
    ) -> dict[Form, float]:
        """Images a second in each form."""
        device, by_text = self.device, {form.text: form for form in forms}
        most = self.batch_size if device.type == "cuda" else min(self.batch_size, CPU_BATCH)
        what = {
            "what": "inference",
            "networks": architecture(networks),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "batch": self.batch_size,
            "forms": list(by_text),
            "beside": None if background is None else [background.name, background.workers],
        }

        def measure() -> dict[str, float]:
            ways = {form.text: _way(networks, form, device, most, background) for form in forms}
            able = {text: way for text, way in ways.items() if way is not None}
            least = 1 if background is None else min(LEAST, most)
            return images_per_second(able, most, least, clock=self._clock(clock)) if able else {}

        found = remembered(what, measure)
        # A network without finite numbers in any format is as good in the first: that is told of its answers.
        return {form: found[text] for text, form in by_text.items() if text in found} or {forms[0]: 0.0}

    def _clock(self, clock: Callable[[], float]) -> Callable[[], float]:
        """A GPU computes while the thread waits."""
        return time.perf_counter if self.device.type == "cuda" else clock


def library_choice(device: str = "auto", precision: Precision = "auto") -> FormChoice:
    """For use from Python: the number of threads of the process, which is its owner's, stays as it is."""
    return FormChoice(MachineOptions(device=device, precision=precision), own_threads=False)


def form_facts(form: Form, begun: Form | None = None) -> dict[str, Any]:
    """What a journal keeps of a form. The threads of a resumed run may be others than those it began with."""
    threads = form.threads if begun is None else begun.threads
    return {"precision": form.precision, "channels_last": form.channels_last, "threads": threads}


def begun_form(facts: Mapping[str, Any]) -> Form | None:
    """The form that a journal keeps, or None."""
    names = ("precision", "threads", "channels_last")
    return Form(*(facts[name] for name in names)) if all(name in facts for name in names) else None


def _way(
    networks: Networks, form: Form, device: torch.device, most: int, background: BackgroundLoading | None
) -> Callable[[int], object] | None:
    """The form's work of so many images; None for a form whose numbers overflow."""
    formed: list[AttributeNetwork | Backbone] = [for_inference(network, device, form) for network in networks]
    images = torch.rand(most, 3, 112, 112, generator=torch.Generator().manual_seed(0)).to(device) * 2 - 1

    @torch.inference_mode()
    def run(count: int) -> bool:
        use_threads(form.threads)
        # To look at the numbers waits for a GPU too.
        return all(_finite(network(images[:count])) for network in formed)

    def run_with_loading(count: int) -> None:
        assert background is not None
        background.run(count, lambda: run(count))

    if not run(1):
        return None
    return run if background is None else run_with_loading


def _finite(output: Any) -> bool:
    values = output.values() if isinstance(output, dict) else [output]
    return all(bool(value.isfinite().all()) for value in values)
