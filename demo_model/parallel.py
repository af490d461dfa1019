"""Several processes train one model on one machine: weights in shared memory, no network.

On small matrices two processes of one thread are nearly twice as fast as one process of two
threads. Each process takes part of every batch and owns part of the parameters: it sums the
gradients of all for its own part, and updates it.
"""

import ctypes
import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")

# Longer than the slowest step, shorter than a person's patience with a process that died.
_TIMEOUT_S = 300
# Options of glibc's mallopt.
_M_TRIM, _M_TOP_PAD, _M_MMAP = -1, -2, -3


@dataclass(frozen=True)
class Team:
    """One process's view of the team. `gradients` is [workers, parameters + 1], loss last."""

    rank: int
    gradients: Tensor
    barrier: Barrier | None = None
    mail: tuple["Queue[Any]", ...] = ()

    @property
    def workers(self) -> int:
        return len(self.gradients)

    def share(self, items: Sequence[T]) -> list[T]:
        """This process's part of `items`."""
        return list(items[self.rank :: self.workers])

    def wait(self) -> None:
        if self.barrier is not None:
            self.barrier.wait(_TIMEOUT_S)

    def gather(self, items: list[T]) -> list[T]:
        """The items of all processes, in the order of their ranks, on every process."""
        if self.workers == 1:
            return items
        for box in self.mail:
            box.put((self.rank, items))
        received = dict(self.mail[self.rank].get(timeout=_TIMEOUT_S) for _ in self.mail)
        return [item for rank in sorted(received) for item in received[rank]]

    def exchange(self, model: nn.Module, loss: float) -> float:
        """Leaves the summed gradient in every parameter; returns the summed loss.

        The caller must `wait` after its update, before anybody reads the weights again.
        """
        parameters = list(model.parameters())
        mine = self.gradients[self.rank]
        position = 0
        for p in parameters:
            part = mine[position : position + p.numel()]
            part.copy_(p.grad.reshape(-1)) if p.grad is not None else part.zero_()
            position += p.numel()
        mine[-1] = loss
        self.wait()
        total = self.gradients.sum(0)
        position = 0
        for p in parameters:
            p.grad = total[position : position + p.numel()].view_as(p)
            position += p.numel()
        return float(total[-1])


def solo(model: nn.Module) -> Team:
    return Team(rank=0, gradients=torch.zeros(1, _size(model) + 1))


def together(model: nn.Module, *, workers: int, work: Callable[[Team], None]) -> None:
    """Runs `work` in `workers` processes; this one is the first of them."""
    if workers == 1:
        work(solo(model))
        return
    # Forked, because the children need the weights and the corpus that are in memory already.
    context = multiprocessing.get_context("fork")
    model.share_memory()
    gradients = torch.zeros(workers, _size(model) + 1).share_memory_()
    barrier = context.Barrier(workers)
    mail = tuple(context.Queue() for _ in range(workers))
    teams = [Team(rank=r, gradients=gradients, barrier=barrier, mail=mail) for r in range(workers)]
    children = [context.Process(target=work, args=(team,), daemon=True) for team in teams[1:]]
    for child in children:
        child.start()
    work(teams[0])
    for child in children:
        child.join(_TIMEOUT_S)


def _size(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def keep_freed_memory() -> None:
    """Asks glibc not to return memory to the system between steps: a fifth of the time is saved.

    Without glibc nothing happens, and training is only slower.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, size in ((_M_TRIM, 2**31 - 1), (_M_TOP_PAD, 2**28), (_M_MMAP, 2**25)):
            mallopt(option, size)
