"""Several processes that train together: started by torchrun, by hand or from here."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist

from face_analysis.errors import DeadProcessError, UsageError
from face_analysis.machine import device_of
from face_analysis.training.options import TrainOptions


def launched() -> bool:
    """Whether this process is one that torchrun started."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def start_processes(options: TrainOptions, arguments: Sequence[str]) -> None:
    """Become torchrun with a process for each device where several are asked for; else do nothing.

    `arguments` are the words after `train`. Raises UsageError for more GPUs than there are.
    """
    gpus = torch.cuda.device_count() if device_of(options.device).type == "cuda" else 0
    count = max(options.devices, gpus if options.multi_gpu else 1)
    if launched() or count == 1:
        return
    if gpus and count > gpus:
        raise UsageError(f"--devices {count}: this machine has {gpus} GPUs")
    if not gpus:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    command = [*torchrun, "-m", "face_analysis.cli.main", "train", *arguments]
    os.execv(sys.executable, [sys.executable, *command])


@contextmanager
def processes() -> Iterator[None]:
    """The process group of a run that torchrun started; nothing where there is but one process."""
    if not launched() or dist.is_initialized():
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group()
    if dist.get_rank() > 0:
        logging.getLogger("face_analysis").setLevel(logging.ERROR)  # the first process speaks for all
    try:
        yield
    finally:
        dist.destroy_process_group()


@contextmanager
def watched_processes() -> Iterator[None]:
    """Raises DeadProcessError where a process that loads images or trains ends while the block runs."""
    try:
        yield
    except (ConnectionError, EOFError) as error:  # it died while it handed over a batch
        raise _dead_loader(str(error) or type(error).__name__) from error
    except RuntimeError as error:  # torch raises it wherever the program is when the other ends
        reason = str(error)
        if reason.startswith("DataLoader worker"):
            raise _dead_loader(reason) from error
        if isinstance(error, dist.DistError) or "/gloo/" in reason:
            raise DeadProcessError(
                f"another process of this run does not answer ({reason.partition('. ')[0]}); if it ended, "
                "it or torchrun says why: go on with --resume"
            ) from error
        raise


def _dead_loader(reason: str) -> DeadProcessError:
    return DeadProcessError(
        f"a process that loads images has died ({reason}); memory may have run out: go on with --resume, and "
        "with fewer --workers"
    )
