"""`face-analysis predict`: race, gender and age of aligned faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from face_analysis.cli.parser import parse
from face_analysis.errors import UsageError
from face_analysis.files import write_text
from face_analysis.options import Opt, to_yaml


@dataclass(frozen=True)
class PredictOptions:
    """What a prediction is told."""

    dest: Annotated[Path, Opt("folder for the predictions", "-d")]
    source: Annotated[Path | None, Opt("folder of aligned faces, or an LMDB", "-s")] = None
    image_list: Annotated[Path | None, Opt("list of images; without it, all of the source", "-i")] = None
    model: Annotated[Path | None, Opt("one model for all the attributes it has", "-m")] = None
    race_model: Annotated[Path | None, Opt("model for race", "-rm")] = None
    gender_model: Annotated[Path | None, Opt("model for gender", "-gm")] = None
    age_model: Annotated[Path | None, Opt("model for age", "-am")] = None
    batch_size: Annotated[int, Opt("images a forward pass", "-b")] = 96
    net_mode: Annotated[Literal["ir", "ir_se"], Opt("of original .pth models", "-n")] = "ir_se"
    depth: Annotated[int, Opt("of original .pth models: 50, 100, 152", "-dp")] = 50
    workers: Annotated[int, Opt("threads that decode images", "-w")] = 4
    format: Annotated[Literal["csv", "original"], Opt("CSV with probabilities, or the original's text")] = (
        "csv"
    )


def main(arguments: Sequence[str]) -> int:
    """Exit status 0, or 1 when images could not be read; the file's path goes to stdout."""
    options = parse("predict", PredictOptions, arguments)
    if options.batch_size < 1 or options.workers < 0:
        raise UsageError("--batch_size must be at least 1, and --workers at least 0")
    from tqdm import tqdm

    from face_analysis.datasets.prediction_files import PredictionWriter
    from face_analysis.datasets.sources import open_source
    from face_analysis.files import FailureLog
    from face_analysis.inference.attributes import AttributePredictor
    from face_analysis.inference.networks import open_networks
    from face_analysis.memory import keep_freed_memory

    keep_freed_memory()
    separate = {"race": options.race_model, "gender": options.gender_model, "age": options.age_model}
    networks = open_networks(options.model, separate, options.depth, options.net_mode)  # type: ignore[arg-type]
    source = open_source(options.source, options.image_list)
    predictor = AttributePredictor(networks)
    name = (options.image_list or source.origin).stem
    path = options.dest / f"{name}_predictions.{'csv' if options.format == 'csv' else 'txt'}"
    write_text(options.dest / "config.yaml", to_yaml(options))
    failures = FailureLog(options.dest / f"{name}_errors.csv")
    with (
        PredictionWriter(path, predictor.attributes, options.format) as writer,
        tqdm(total=len(source), unit=" images", desc="predict") as bar,
    ):
        for batch in predictor.predict(source, options.batch_size, options.workers):
            writer.write(batch.predictions)
            failures.add(batch.failures)
            bar.update(len(batch.predictions) + len(batch.failures))
    print(path)
    return failures.report()
