"""Vectors in two precisions, and how far a product of the lower one may be from the truth."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from magpie_hub.errors import InvalidData

if TYPE_CHECKING:
    import torch

Vectors = npt.NDArray[np.float32]
Distances = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
_NORM = 1e-4
"""How far from 1 a squared norm may be."""
_UNIT = 2.0**-24
"""Half of float32's distance from 1 to the next number."""
_PAIRS = {"cpu": 1024, "cuda": 1 << 18}
"""Pairs measured at a time."""


class Block:
    """Vectors (rows, dimensions) and the key of each row; ``InvalidData`` where a vector is not of
    length 1."""

    def __init__(self, vectors: Vectors, keys: Integers, device: str = "cpu") -> None:
        import torch

        check(vectors)
        self.keys = keys
        self.full = torch.tensor(np.ascontiguousarray(vectors), device=device)
        self.low = self.full.to(_low(device, vectors.shape[1]))
        exact = self.full.double()
        self.slant = _farthest(exact.square().sum(1) - 1)
        """How far a squared norm is from 1 at most."""
        self.loss = _farthest((exact - self.low.double()).norm(dim=1))
        """How far a vector is from its copy in half precision at most."""

    def __len__(self) -> int:
        return len(self.keys)


def check(vectors: Vectors) -> None:
    """``InvalidData`` where a vector is not finite or not of length 1."""
    norms = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    if not np.all(np.abs(norms - 1) <= _NORM):
        raise InvalidData("the vectors to compare are not all of length 1; normalise them.")


def measured(a: Block, b: Block, i: Integers, j: Integers) -> Distances:
    """The distance of each row ``i[n]`` of ``a`` from row ``j[n]`` of ``b``, in float64."""
    import torch

    step = _PAIRS[a.full.device.type]
    made = np.empty(len(i))
    for start in range(0, len(i), step):
        part = slice(start, start + step)
        at, of = (torch.from_numpy(rows[part]).to(a.full.device) for rows in (i, j))
        made[part] = (a.full[at].double() - b.full[of]).square_().sum(1).cpu().numpy()
    return made


def error_bound(a: Block, b: Block, *, low: bool) -> float:
    """How far a computed product may be from ``1 - distance / 2``.

    Of x and y with copies x' and y': |xy - x'y'| <= |x - x'| |y| + |x'| |y - y'|; then the sum in
    float32, in whatever order; then the rounding of the product to half precision; and the norms,
    which are not quite 1.
    """
    import torch

    slant = a.slant + b.slant
    sums = 2 * a.full.shape[1] * _UNIT + slant + 1e-6
    if not low or a.low.dtype == torch.float32:
        return sums
    longer = 1 + slant
    copies = a.loss * longer + (longer + a.loss) * b.loss
    return copies + sums + torch.finfo(a.low.dtype).eps / 2 * (1 + copies + sums)


def _farthest(values: torch.Tensor) -> float:
    return float(values.abs().max()) if len(values) else 0.0


@cache
def _low(device: str, dimensions: int) -> torch.dtype:
    """The precision to look in. On a CPU bfloat16 where that is faster, which the result does not
    show, and where its products are summed in float32, as the bound takes them to be."""
    import torch

    if device != "cpu":
        return torch.float16
    a = torch.nn.functional.normalize(
        torch.rand(512, dimensions, generator=torch.Generator().manual_seed(0))
    )
    low = a.bfloat16()
    exact = low.double() @ low.double().T
    with full_sums(), single_threads():
        off = ((low @ low.T).double() - exact).abs().max()
        faster = _seconds(lambda: low @ low.T) < _seconds(lambda: a @ a.T)
    faithful = float(off) <= torch.finfo(torch.bfloat16).eps / 2 + 2 * dimensions * _UNIT
    return torch.bfloat16 if faster and faithful else torch.float32


def default_device() -> str:
    """A GPU where there is one, as torch calls it."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _seconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(4):
        start = time.thread_time()
        work()
        times.append(time.thread_time() - start)
    return min(times)


@contextmanager
def full_sums() -> Iterator[None]:
    """Products are summed in float32, and those of float32 are of all its bits."""
    import torch

    matmul = torch.backends.cuda.matmul
    before = torch.get_float32_matmul_precision(), matmul.allow_fp16_reduced_precision_reduction
    torch.set_float32_matmul_precision("highest")
    matmul.allow_fp16_reduced_precision_reduction = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        matmul.allow_fp16_reduced_precision_reduction = before[1]


@contextmanager
def single_threads() -> Iterator[int]:
    """Each operation has one thread; yields how many it had."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)
