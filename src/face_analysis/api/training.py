"""Training from Python."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from face_analysis.api.evaluation import AttributeEvaluation, VerificationEvaluation
from face_analysis.errors import UsageError
from face_analysis.reports.attributes.report import write_report
from face_analysis.reports.page import Table
from face_analysis.reports.result import Result, TableRows
from face_analysis.reports.verification import write_verification
from face_analysis.training.finish import finish_attributes, finish_recognition
from face_analysis.training.options import TrainOptions
from face_analysis.training.presets import preset_of
from face_analysis.training.run import TrainedRun
from face_analysis.training.run import train as train_network

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class Training(Result):
    """A finished training: its folder, its model, and the measures of the model on the validation images."""

    run: TrainedRun
    evaluation: AttributeEvaluation | VerificationEvaluation

    @property
    def folder(self) -> Path:
        """The run folder: config.yaml, metrics.csv, checkpoints, the model, and `validation`."""
        return self.run.folder.path

    @property
    def model(self) -> Path:
        """The weights with their card, for FaceAnalyzer(model) and every command."""
        return self.run.folder.weights

    @property
    def title(self) -> str:
        """The run folder."""
        return str(self.folder)

    @property
    def summary(self) -> str:
        """The measures on the validation images."""
        return self.evaluation.summary

    def table_rows(self) -> Mapping[str, TableRows]:
        """Those of the evaluation."""
        return self.evaluation.table_rows()

    def shown_tables(self) -> Mapping[str, Table]:
        """Those of the evaluation."""
        return self.evaluation.shown_tables()

    def figures(self) -> Mapping[str, Figure]:
        """Those of the evaluation."""
        return self.evaluation.figures()


def train(options: TrainOptions | None = None, /, **values: Any) -> Training:
    """Train a model in this process. Several processes are started from the shell.

    Args:
        options: all options of the run.
        values: the options by name, in place of `options`; `face-analysis train --help` lists them. Other
            options have the values of `preset`, or of the preset that fits the machine.

    Returns:
        The finished run. If the run stops early, an error is raised. The run folder then keeps the last
        checkpoint, and `resume=FOLDER` continues.

    Raises:
        UsageError: if options contradict each other, or if a name is not an option.
        FaceAnalysisError: as `face-analysis train`.

    Examples:
        >>> from face_analysis import train
        >>> data = {"train_list": patterns, "train_source": patterns.parent}
        >>> data |= {"val_list": patterns, "val_source": patterns.parent}
        >>> small = {"epochs": 1, "width": 0.125, "batch_size": 20}
        >>> trained = train(attribute="gender", output=folder, **data, **small)
        >>> trained.model.name
        'model.safetensors'
    """
    if (options is None) == (not values):
        raise UsageError("give TrainOptions, or the options by name")
    options = options or preset_options(values)
    if options.devices > 1 or options.multi_gpu:
        raise UsageError(
            "train runs in this process: start several from the shell with `face-analysis train`"
        )
    with ExitStack() as held:
        return finish(train_network(options, held))


def finish(run: TrainedRun) -> Training:
    """Measure the best network of a run, and write its model and the report on the validation images."""
    folder = run.folder.path / "validation"
    if run.options.recognition:
        reports = finish_recognition(run)
        write_verification(reports, folder)
        return Training(run, VerificationEvaluation(reports, ()))
    done = finish_attributes(run)
    write_report(done.report, done.labels, done.predictions, folder)
    return Training(run, AttributeEvaluation(done.report, done.labels, done.predictions))


def preset_options(values: Mapping[str, Any]) -> TrainOptions:
    """The options that are given by name, and those of a preset for the others.

    Raises UsageError for a name that is none, and for a value of another kind.
    """
    given = option_values(TrainOptions, values)
    if "attribute" not in given:
        raise UsageError("attribute: say what to train: race, gender, age, several of them, or recognition")
    plain = TrainOptions(**given)
    if plain.resume is not None:
        return plain
    name, preset = preset_of(plain)
    return TrainOptions(**{**preset, "preset": name, **given})


def option_values(options: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as an options dataclass holds them: paths as Path, one word of several as a tuple.

    Raises UsageError for a name that is no option, and for a word that is not one of the option's.
    """
    hints = get_type_hints(options)
    unknown = sorted(set(values) - {field.name for field in fields(options)})
    if unknown:
        raise UsageError(f"{options.__name__} has no {', '.join(unknown)}")
    return {name: _converted(name, value, hints[name]) for name, value in values.items()}


def _converted(name: str, value: Any, hint: Any) -> Any:
    if value is None:
        return None
    kinds = [hint]
    if get_origin(hint) in (Union, UnionType):
        kinds = [kind for kind in get_args(hint) if kind is not NoneType]
    (kind,) = kinds
    if get_origin(kind) is tuple:
        several = (value,) if isinstance(value, str | Path) else tuple(value)
        return tuple(_converted(name, item, get_args(kind)[0]) for item in several)
    if get_origin(kind) is Literal and value not in get_args(kind):
        raise UsageError(f"{name}={value!r}: must be one of {', '.join(map(repr, get_args(kind)))}")
    return Path(value) if kind is Path else str(value) if kind is str else value
