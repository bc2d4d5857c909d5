from __future__ import annotations

import gc
import os
import signal
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.queues import SimpleQueue

import pytest

from face_analysis.parallel import in_order_by_processes


def dying_in_mid_result(number: int) -> int:
    """The fourth call ends its process in mid-result, as a kill does: half of one is in the pipe."""
    if number == 3:
        for queue in gc.get_objects():
            if isinstance(queue, SimpleQueue):
                os.write(queue._writer.fileno(), b"\0\1\0\0half")
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_worker_killed_while_it_writes_a_result_breaks_the_pool_and_does_not_hang_it() -> None:
    with pytest.raises(BrokenProcessPool):
        list(in_order_by_processes(dying_in_mid_result, range(10), 2, 4))


def test_results_come_in_the_order_of_their_inputs() -> None:
    assert list(in_order_by_processes(abs, range(-50, 50), 2, 4)) == [abs(n) for n in range(-50, 50)]
