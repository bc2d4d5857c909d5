"""Whether a run that is resumed has something left to do."""

from __future__ import annotations

from face_analysis.errors import FinishedRunError, UsageError
from face_analysis.training.options import TrainOptions
from face_analysis.training.saving.checkpoints import ResumePoint
from face_analysis.training.saving.run_folder import RunFolder


def epochs_left(checkpoint: ResumePoint, folder: RunFolder, options: TrainOptions) -> bool:
    """Whether there is something to train; if not, the folder lacks but the model of its best network.

    Raises UsageError for fewer epochs than the run has begun, and where a finished run is to go on in another
    folder; FinishedRunError where nothing at all is left.
    """
    begun, made = checkpoint.begun, _epochs(checkpoint.done)
    if options.epochs < begun:
        part = " and a part of the next one" if begun > checkpoint.done else ""
        raise UsageError(
            f"--epochs {options.epochs}: {checkpoint.path} has made {made}{part}; give more epochs to go on"
        )
    stopped = options.early_stop and checkpoint.stopped_early
    if checkpoint.done < options.epochs and not stopped:
        return True
    finished = f"{checkpoint.path} is of a finished run: {made} of {options.epochs} made"
    more = "give more --epochs to go on"
    if stopped:
        finished += ", then stopped early"
        more = f"set `early_stop: false` in {folder.config} to go on"
    if folder.weights.is_file():
        raise FinishedRunError(f"{finished}; its model is {folder.weights}; {more}")
    if not folder.best.is_file():
        raise UsageError(f"{finished}, so there is nothing to do in {folder.path}; {more}")
    return False


def _epochs(count: int) -> str:
    return f"{count} epoch" + "s" * (count != 1)
