"""What a run does when it is asked to stop."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

from face_analysis.distributed import world_size
from face_analysis.errors import InterruptedRunError


class StopSignals:
    """Takes SIGINT and SIGTERM while the block runs: the run is to finish its step, save and end.

    A second signal ends it at once, by InterruptedRunError.
    """

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint
        self.process = os.getpid()
        self._received: int | None = None
        self._agreed = 0
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self.process:
            return  # Ctrl-C reaches the loader's forked workers too; they must go on until the step is done
        if self._received is not None:
            kept = (
                "the last checkpoint is kept" if self.checkpoint.exists() else "there was no checkpoint yet"
            )
            raise InterruptedRunError(number, f"stopped at once by a second signal; {kept}")
        self._received = number
        print("stopping after this step; the run can be resumed with --resume", file=sys.stderr)

    @property
    def number(self) -> int:
        """That of the signal that reached this process; 0 where none did."""
        return self._received or 0

    def agree(self, number: int) -> None:
        """Take the signal that reached any process, or 0: all stop for it at the same step."""
        self._agreed = number

    def received(self) -> bool:
        """Whether the run is to stop: one process at once, several when they have agreed."""
        return bool(self._agreed if world_size() > 1 else self._received)

    def end_run(self, step: int) -> NoReturn:
        """Raise InterruptedRunError, which says where the run stopped."""
        number = self._agreed or self.number
        raise InterruptedRunError(
            number,
            f"stopped by {signal.Signals(number).name} at step {step}; saved "
            f"{self.checkpoint}: resume it with --resume {self.checkpoint.parent.parent}",
        )
