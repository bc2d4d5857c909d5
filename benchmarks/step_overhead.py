"""A step of the training loop in this checkout against another one, in turn.

Of IR-SE-50, and of a network of one layer, whose steps are nearly all overhead of the host. The time is that
which the process computes, on one thread: other processes do not change it.

python -m benchmarks.step_overhead --before OTHER_CHECKOUT
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import patch

import torch
from torch import Tensor, nn

from benchmarks.model_speed import Way, machine, options, seconds_in_turn, write_rows

BEFORE = "STEP_OVERHEAD_BEFORE"
"""The variable that tells the processes which checkout is the other one."""
STEPS = {"IR-SE-50": 1, "one layer": 40}
"""Steps of a call that is timed."""
IMAGES = 256


def served_run(network: str, before: bool, batch: int) -> NoReturn:
    """Train; time `STEPS` steps for each line on standard input."""
    if before:
        sys.path.insert(0, str(Path(os.environ[BEFORE]) / "src"))
    from face_analysis.datasets.synthetic import write_patterns
    from face_analysis.memory import keep_freed_memory
    from face_analysis.training.loop import TrainingLoop
    from face_analysis.training.options import TrainOptions
    from face_analysis.training.run import train

    keep_freed_memory()
    method, made, seconds = TrainingLoop._train_part, 0, 0.0

    def timed(loop: TrainingLoop, images: Any) -> None:
        nonlocal made, seconds
        if made % STEPS[network] == 0:
            if made:
                print(seconds, flush=True)
            if not sys.stdin.readline():
                os._exit(0)
            seconds = 0.0
        start = time.process_time()
        method(loop, images)
        seconds += time.process_time() - start
        made += 1

    with tempfile.TemporaryDirectory() as name:
        listed = write_patterns(Path(name), IMAGES, seed=0)
        given = TrainOptions(
            ("race", "gender", "age"),
            train_list=listed,
            train_source=listed.parent,
            val_list=(str(listed),),
            val_source=listed.parent,
            output=Path(name) / "run",
            epochs=10_000,
            batch_size=batch,
            workers=0,
            precision="32-true",
            threads=1,
        )
        changes: list[Any] = [
            patch.object(TrainingLoop, "_train_part", timed),
            patch.object(TrainingLoop, "_validate", lambda *_: None),
        ]
        if network == "one layer":
            changes.append(patch("face_analysis.models.attributes.build_backbone", one_layer()))
        for change in changes:
            change.start()
        train(given)
    raise SystemExit("the run ended before it was told to")


def one_layer() -> Callable[[Any], nn.Module]:
    """A backbone that takes no time; made when the checkout is chosen."""
    from face_analysis.models.layers import Backbone

    class OneLayer(Backbone):
        def __init__(self, config: Any) -> None:
            super().__init__()
            self.layers = nn.Sequential(
                nn.AvgPool2d(8), nn.Flatten(), nn.Linear(588, 512), nn.BatchNorm1d(512)
            )

        def raw(self, images: Tensor) -> Tensor:
            return self.layers(images)  # type: ignore[no-any-return]

    return OneLayer


def way(network: str, before: bool) -> Way:
    return partial(served_run, network, before)


def main() -> None:
    if "--before" in sys.argv:
        place = sys.argv.index("--before")
        os.environ[BEFORE] = str(Path(sys.argv[place + 1]).resolve())
        del sys.argv[place : place + 2]
    ways = {
        f"{network}, {when}": way(network, when == "before")
        for network in STEPS
        for when in ("before", "now")
    }
    given = options(__doc__, ways, batch=8, output="results/step_overhead.csv")
    seconds = seconds_in_turn(ways, given.batch, given.rounds)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    rows = [
        {
            "network": network,
            "batch": str(given.batch),
            "rounds": str(given.rounds),
            "steps_a_round": str(steps),
            "before_ms_a_step": f"{1000 * medians[f'{network}, before'] / steps:.2f}",
            "now_ms_a_step": f"{1000 * medians[f'{network}, now'] / steps:.2f}",
            "now_by_before": f"{medians[f'{network}, now'] / medians[f'{network}, before']:.3f}",
            **machine(),
        }
        for network, steps in STEPS.items()
    ]
    write_rows(given.output, rows)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
