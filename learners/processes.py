"""The processes of a run: one, or several that a launcher has started on one machine or many.

    torchrun --nproc_per_node 2 -m learners.reinforcepp ...
    accelerate launch --num_processes 2 -m learners.reinforcepp ...     # of GPUs; with --cpu it may start only one

All of them hold the same weights and the same library. Each plays its share of an update's episodes; what was played is
exchanged, and the rows of a gradient are shared out anew. So every process has the numbers of all, and their weights
stay equal.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as distributed
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

T = TypeVar("T")

#: Most numbers that are summed over processes at once: a bound of the memory for it.
_AT_ONCE = 2**26


class LostProcess(Exception):
    """Another process of the run has ended, so that this one cannot go on."""


def is_lost(error: BaseException) -> bool:
    """True if an error says that another process has ended, also one that a library's own exchange met."""
    if isinstance(error, LostProcess | distributed.DistBackendError):
        return True
    return isinstance(error, RuntimeError) and any(
        word in str(error) for word in ("gloo", "NCCL", "Connection closed", "Connection reset")
    )


@dataclass(frozen=True)
class Processes:
    """The processes of a run, seen from one of them.

    Attributes:
        rank: number of this one.
        count: of all.
    """

    rank: int = 0
    count: int = 1

    @property
    def main(self) -> bool:
        """True for the one that writes files and speaks."""
        return self.rank == 0

    def share(self, size: int) -> range:
        """The part of ``size`` things that is this one's: neighbours, as many as any other's or one fewer or more."""
        parts = np.array_split(np.arange(size), self.count)
        return range(int(sum(map(len, parts[: self.rank]))), int(sum(map(len, parts[: self.rank + 1]))))

    def all(self, value: T) -> list[T]:
        """The values of all processes, by rank; every process has to ask.

        Raises:
            LostProcess: one of them has ended.
        """
        if self.count == 1:
            return [value]
        found: list[Any] = [None] * self.count
        with _together():
            distributed.all_gather_object(found, value)
        return found

    def add(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Replace gradients by their sums over all processes, computed in float32; every process has to ask.

        Those of weights that are shared out (`parted`) are sums already.

        Raises:
            LostProcess: one of them has ended.
        """
        if self.count == 1:
            return
        waiting: list[torch.nn.Parameter] = []
        own = [parameter for parameter in parameters if not isinstance(parameter, DTensor)]
        for number, parameter in enumerate(own):
            waiting.append(parameter)
            last = number == len(own) - 1
            if last or sum(one.numel() for one in waiting) > _AT_ONCE:
                _add(waiting)
                waiting = []

    def seed(self, *numbers: int) -> int:
        """A seed of this process's own, of numbers that all have in common; the first number, if it is alone."""
        if self.count == 1:
            return sum(numbers)
        return int(np.random.SeedSequence((*numbers, self.rank)).generate_state(1)[0])


#: A run of one process.
ALONE = Processes()


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """The processes of this run, while the context lasts; one, unless a launcher has started several.

    Args:
        device: that they compute on.

    Raises:
        LostProcess: inside, where another process has ended.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield ALONE
        return
    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    started = not distributed.is_initialized()
    if started:
        distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size())
        with _together():
            distributed.barrier()  # one that leaves early breaks connections that others still use
    finally:
        # NCCL asks for it. Of gloo, torch 2.13 aborted 3 of 8 processes at their end on a busy machine after it.
        # A whole program ends by `leave`.
        if started and cuda and distributed.is_initialized():
            distributed.destroy_process_group()


def leave() -> None:
    """End a program of several processes that has done its work; nothing, if it is alone.

    What is registered with `atexit` is done; threads are not waited for. Python is not taken apart: a thread of gloo
    that asks for it meanwhile aborts the process (1 in 200 ends on a busy machine, torch 2.13), which the launcher
    takes for the failure of a run that has succeeded.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def own_device(device: str) -> str:
    """The device of this process: the GPU of its number on the machine, where ``cuda`` is asked for."""
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if several and device.startswith("cuda") else device


def is_parted(parameters: Sequence[Tensor]) -> bool:
    """True for weights of which each process has a part."""
    return any(isinstance(parameter, DTensor) for parameter in parameters)


def joint(value: Tensor) -> Tensor:
    """The whole of a tensor of which each process has a part, and any other as it is; every process has to ask."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def parted(value: Tensor, like: Tensor) -> Tensor:
    """This process's part of a tensor, in the way that another is shared out, if it is; every process has to ask."""
    if not isinstance(like, DTensor):
        return value
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)


@contextmanager
def _together() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, distributed.DistBackendError) as error:
        said = " ".join(str(error).split())
        raise LostProcess(f"another process of this run has ended ({said[:200]})") from error


def _add(parameters: Sequence[torch.nn.Parameter]) -> None:
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat: Tensor = torch.cat([gradient.reshape(-1).float() for gradient in gradients])
    with _together():
        distributed.all_reduce(flat)
    for gradient, total in zip(gradients, flat.split([one.numel() for one in gradients]), strict=True):
        gradient.copy_(total.view_as(gradient))
