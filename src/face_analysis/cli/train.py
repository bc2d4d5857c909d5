"""`face-analysis train`: train, keep the best model with its card, measure it on the validation images."""

from __future__ import annotations

import logging
import os
from argparse import ArgumentParser
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from face_analysis.cli.parser import parse
from face_analysis.options import with_defaults
from face_analysis.training.options import TrainOptions
from face_analysis.training.saving.run_folder import RunFolder


def main(arguments: Sequence[str]) -> int:
    """Exit status 0, or 1 when images could not be read."""
    arguments = [*_words_of_the_folder(arguments), *arguments]
    options = _parsed(arguments)
    from face_analysis.distributed import rank
    from face_analysis.memory import keep_freed_memory
    from face_analysis.training.checked import check
    from face_analysis.training.launch import processes, start_processes
    from face_analysis.training.run import train

    check(options)
    start_processes(options, arguments)
    keep_freed_memory()
    with ExitStack() as held:
        with processes():
            run = train(options, held)
            first = rank() == 0
        if not first:
            return 0
        from face_analysis.api.training import finish

        print(finish(run).summary)
    print(f"model: {run.folder.weights}")
    return run.failures.report()


def _words_of_the_folder(arguments: Sequence[str]) -> list[str]:
    """What `--resume RUN` stands for: the options that the run has in its folder, which others override.

    Where a checkpoint is named and not a folder, the run goes on in a new one unless --output says otherwise.
    """
    parser = ArgumentParser(add_help=False)
    parser.add_argument("-r", "--resume", type=Path, nargs="?")
    resume = parser.parse_known_args(arguments)[0].resume
    if resume is None:
        return []
    folder = RunFolder(resume if resume.is_dir() else resume.absolute().parent.parent)
    if not folder.config.is_file():
        return []
    words = ["--config", str(folder.config), "--precision", "auto"]
    return [*words, "--output", str(resume)] if resume.is_dir() else words


def _parsed(arguments: Sequence[str]) -> TrainOptions:
    """The options, with the values of the preset for those that are not given.

    A resumed run has its own: none is given it.
    """
    options = parse("train", TrainOptions, arguments)
    if options.resume is not None:
        return options
    from face_analysis.training.presets import preset_of

    name, values = preset_of(options)
    options = parse("train", with_defaults(TrainOptions, {**values, "preset": name}), arguments)
    taken = {option: getattr(options, option) for option in values}
    shown = ", ".join(f"{option} {_plain(value)}" for option, value in taken.items())
    if os.environ.get("RANK", "0") == "0":  # of several processes the first speaks for all
        logging.getLogger(__name__).info("preset %s: %s", name, shown or "the original system's values")
    return options


def _plain(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
