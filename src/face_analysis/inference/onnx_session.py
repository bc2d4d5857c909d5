"""An ONNX file opened by onnxruntime, with errors that say what is wrong with the file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from face_analysis.errors import MissingPackageError, ModelMismatchError, UsageError
from face_analysis.models.file_kind import kind_of

SILENT = 4
"""Severity from which onnxruntime prints: its errors are raised too, and told once."""
SHOWN = 200
"""Characters shown of what onnxruntime says."""


class RunError(Exception):
    """onnxruntime's own reason why a network cannot run on what it was given."""


class OnnxSession:
    """A session of onnxruntime. It is opened anew in a process that was forked or was sent it.

    A session's threads stay behind in the parent when a process is forked. Raises MissingPackageError, and
    ModelMismatchError for a file that onnxruntime cannot load.
    """

    def __init__(self, path: Path, device: str = "auto", threads: int = 0) -> None:
        self.path, self.device, self.threads = path, device, threads
        self._sessions: dict[int, Any] = {}
        self._session()

    def inputs(self) -> Sequence[Any]:
        """What the network takes, each with name, type and shape."""
        found: Sequence[Any] = self._session().get_inputs()
        return found

    def outputs(self) -> Sequence[Any]:
        """What the network gives, as `inputs`."""
        found: Sequence[Any] = self._session().get_outputs()
        return found

    def run(self, names: Sequence[str], values: Mapping[str, Any]) -> list[Any]:
        """The outputs of these names. Raises RunError."""
        session = self._session()
        try:
            answers: list[Any] = session.run(list(names), dict(values))
        except Exception as error:  # onnxruntime raises kinds of its own, one a cause
            raise RunError(_short(str(error))) from error
        return answers

    def _session(self) -> Any:
        # Those of the parent are kept: to close one would wait for threads that are not there.
        process = os.getpid()
        if process not in self._sessions:
            self._sessions[process] = _open(self.path, self.device, self.threads)
        return self._sessions[process]

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "device": self.device, "threads": self.threads}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _sessions={})


def _open(path: Path, device: str, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise MissingPackageError(f"{path}: running ONNX", "onnxruntime", "onnx") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT
    options.intra_op_num_threads = threads
    providers = _providers(onnxruntime.get_available_providers(), device)
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime raises kinds of its own, one a cause
        reason = _fault(path, str(error), f"onnxruntime {onnxruntime.__version__}")
        raise ModelMismatchError(f"{path}: {reason}") from error


def _providers(there: list[str], device: str) -> list[Any]:
    """What onnxruntime may run on. Raises UsageError where it has no part for the device."""
    kind, _, number = device.partition(":")
    if kind == "auto":
        return there
    wanted = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[kind]
    if wanted not in there:
        raise UsageError(f"--device {device}: the onnxruntime that is installed cannot run on it")
    return [(wanted, {"device_id": number})] if number else [wanted]


def _fault(path: Path, said: str, runtime: str) -> str:
    """What is wrong with a file that onnxruntime does not load."""
    kind = kind_of(path)
    if kind.name != "onnx":
        return f"is {kind.words}, not an ONNX network"
    import onnx

    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception:  # a damaged protobuf may raise anything
        return "is a damaged ONNX file, or cut short: fetch it again"
    missing = _missing_data(path, model)
    if missing:
        return f"keeps its weights in {missing}, which is not beside it: put it there"
    versions = ", ".join(
        f"opset {one.version}{f' of {one.domain}' if one.domain else ''}" for one in model.opset_import
    )
    if "IR version" in said or "opset" in said.lower():
        return (
            f"is in a form of ONNX that {runtime} does not read (IR version {model.ir_version}, {versions}): "
            "update onnxruntime, or export the network in an older form"
        )
    return f"{runtime} cannot load it: {_short(said)}"


def _missing_data(path: Path, model: Any) -> str:
    """The first file of weights that is not there, "" if all are."""
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location" and not (path.parent / entry.value).is_file():
                return str(entry.value)
    return ""


def _short(said: str) -> str:
    """The first line of what onnxruntime says, without its codes and places in its source."""
    text = said.rpartition("Status Message: ")[2].strip().split("\n")[0]
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    text = re.sub(r"^Load model from .* failed:", "", text)
    return re.sub(r"^/onnxruntime_src/.*\) ", "", text)[:SHOWN]
