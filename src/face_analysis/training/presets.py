"""Values for the options of a training that are not given, by the machine it runs on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from face_analysis.machine import all_threads, device_of
from face_analysis.training.options import PresetName, TrainOptions

NETWORK = ("backbone", "depth", "net_mode", "width", "embedding_size")
"""The options that say which network it is: one that is loaded has its own."""


def fitting_preset(device: str) -> PresetName:
    """The preset for the device that `--device` names."""
    return "gpu" if device_of(device).type == "cuda" else "laptop"


def preset_values(name: PresetName, *, recognition: bool, pretrained: bool) -> Mapping[str, Any]:
    """The preset's values by option; `original` has none, for the options' own are the original system's.

    `laptop` is for two to eight cores and an hour or a night, `gpu` for a network of published size. One that
    starts from a `pretrained` network says nothing of which network it is.
    """
    if name == "original":
        return {}
    values = _laptop(recognition) if name == "laptop" else _gpu(recognition)
    return {option: value for option, value in values.items() if not (pretrained and option in NETWORK)}


def preset_of(given: TrainOptions) -> tuple[PresetName, Mapping[str, Any]]:
    """The preset that the options name, or else that fits the machine, and its values that go with them."""
    name = given.preset or fitting_preset(given.device)
    values = preset_values(name, recognition=given.recognition, pretrained=given.pretrained is not None)
    return name, compatible_values(values, given)


def compatible_values(values: Mapping[str, Any], given: TrainOptions) -> Mapping[str, Any]:
    """The values without those that contradict the options that are given, whose others are defaults."""
    aside = set()
    if given.head == "adacos":  # it finds its scale
        aside.add("scale")
    if given.lr_plateau or given.lr_cosine or given.lr_steps != TrainOptions.lr_steps:
        aside |= {"lr_cosine", "lr_steps"}
    return {option: value for option, value in values.items() if option not in aside}


def _laptop(recognition: bool) -> dict[str, Any]:
    """As the trainings on two cores in results/README.md: a narrow network, and rates it can take."""
    workers = max(1, min(4, all_threads() - 1))
    common = {"depth": 18, "lr": 0.1, "workers": workers, "validations": 1}
    if recognition:
        own = {"width": 0.125, "embedding_size": 128, "dropout": 0.2, "batch_size": 64, "lr_cosine": True}
        return {**common, **own, "scale": 32.0, "margin_warmup": 5.0, "jitter": 0.5, "epochs": 20}
    own = {"width": 0.25, "batch_size": 128}
    rates = {"lr_steps": (12, 16, 19), "head_lr": 10.0, "jitter": 0.6}
    return {**common, **own, **rates, "epochs": 20}


def _gpu(recognition: bool) -> dict[str, Any]:
    """IR-SE-50 with the rate that recognition is published with, for each 512 images of a step."""
    common = {"lr": 0.1, "lr_batch": 512, "lr_cosine": True, "workers": max(2, min(16, all_threads()))}
    own = {"epochs": 20} if recognition else {"head_lr": 10.0, "jitter": 0.5, "epochs": 30}
    return {**common, "batch_size": 512, **own}
