"""Work done ahead by threads or processes, while the results come in the order of the inputs."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from itertools import islice
from multiprocessing import parent_process
from threading import Thread
from typing import Any, TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")
LOOK_EVERY = 2.0
"""Seconds after which a result that has not come makes one look whether its worker is alive."""


def in_order(
    function: Callable[[Given], Made], inputs: Iterable[Given], workers: int, ahead: int
) -> Iterator[Made]:
    """`function` of each input, in their order, from `workers` threads that are at most `ahead` in advance.

    An exception is raised where its result would have come. Inputs are taken as they are needed, so they may
    never end; when the reader goes away, what has not begun is given up.
    """
    return _in_order(ThreadPoolExecutor(max(workers, 1)), function, inputs, ahead)


def in_order_by_processes(
    function: Callable[[Given], Made], inputs: Iterable[Given], workers: int, ahead: int
) -> Iterator[Made]:
    """The same from processes, for work that is mostly Python; `function` is sent to each of them once."""
    pool = ProcessPoolExecutor(max(workers, 1), initializer=_bind, initargs=(function,))
    return _in_order(pool, _call, inputs, ahead)


def _in_order(
    pool: Executor, function: Callable[[Given], Made], inputs: Iterable[Given], ahead: int
) -> Iterator[Made]:
    coming = iter(inputs)
    with pool:
        waiting: deque[Future[Made]] = deque(pool.submit(function, given) for given in islice(coming, ahead))
        try:
            while waiting:
                done = _result(pool, waiting.popleft())
                waiting.extend(pool.submit(function, given) for given in islice(coming, 1))
                yield done
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _result(pool: Executor, future: Future[Made]) -> Made:
    """The result of a future; a worker process that dies breaks the pool, whatever it was doing."""
    while not wait([future], LOOK_EVERY).done:
        if isinstance(pool, ProcessPoolExecutor):
            _break_if_dead(pool)
    return future.result()


def _break_if_dead(pool: ProcessPoolExecutor) -> None:
    """Let a pool notice a worker that was killed while it wrote a result: it waits for the rest for ever.

    The rest never comes, but the end of the pipe does once nobody can write to it.
    """
    workers = list((pool._processes or {}).values())
    if all(worker.is_alive() for worker in workers):
        return
    for worker in workers:
        worker.kill()
    pool._result_queue._writer.close()  # type: ignore[attr-defined]


_bound: Callable[[Any], Any]


def _bind(function: Callable[[Any], Any]) -> None:
    global _bound
    _bound = function
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A pool's processes wait for work for ever when their parent is killed."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _call(given: Any) -> Any:
    return _bound(given)
