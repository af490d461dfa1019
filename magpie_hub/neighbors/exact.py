"""Exact nearest neighbours between two blocks of vectors, most of it in half precision.

A product of half-precision vectors differs from the true one by at most a bound that is computed
here. Pairs that this bound cannot tell from a row's best, or from the threshold, are measured in
float64; no other pair can matter. So the result is that of float64 whatever the precision, the
size of a tile or the number of threads.

Distance is squared L2, which is 2 - 2 cos and what FAISS's flat L2 index and the Magpie datasets'
``min_neighbor_distance`` hold.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from magpie_hub.errors import InvalidData

if TYPE_CHECKING:
    import torch

Vectors = npt.NDArray[np.float32]
Distances = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
NOBODY = int(np.iinfo(np.int64).max)
"""The key of no row."""
_NORM = 1e-4
"""How far from 1 a squared norm may be."""
_UNIT = 2.0**-24
"""Half of float32's distance from 1 to the next number."""
TILE = {"cpu": 1536, "cuda": 8192}
"""Rows and columns of a tile; on a CPU its products (5 MiB) and its vectors stay in the caches."""
_NO_PRODUCT = -4.0
"""So far below -1 that it is taken for none."""
_DENSE = 64
"""A tile with more than one pair in so many in doubt is looked at once more in float32."""
_PAIRS = {"cpu": 1024, "cuda": 1 << 18}
"""Pairs measured at a time."""


class Best:
    """What is known of each row so far: the distance of its nearest other row (inf: none) and that
    one's key, and how many are nearer than the threshold. Of equally near ones the lowest key."""

    def __init__(self, rows: int) -> None:
        self.distance: Distances = np.full(rows, np.inf)
        self.key: Integers = np.full(rows, NOBODY)
        self.repeats: Integers = np.zeros(rows, np.int64)

    def improve(self, rows: Integers, distance: Distances, key: Integers) -> None:
        """``rows[i]`` has a neighbour ``key[i]`` at ``distance[i]``."""
        order = np.lexsort((key, distance, rows))
        rows, distance, key = rows[order], distance[order], key[order]
        first = np.flatnonzero(np.diff(rows, prepend=-1))
        rows, distance, key = rows[first], distance[first], key[first]
        known = self.distance[rows]
        nearer = (distance < known) | ((distance == known) & (key < self.key[rows]))
        rows = rows[nearer]
        self.distance[rows], self.key[rows] = distance[nearer], key[nearer]

    def repeat(self, rows: Integers, times: Integers | int) -> None:
        np.add.at(self.repeats, rows, times)


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


def compare(
    a: Block, b: Block, best_a: Best, best_b: Best, *, threshold: float, tile: int | None = None
) -> None:
    """Every row of ``a`` with every row of ``b``, into both; where ``a`` is ``b``, and then
    ``best_a`` is ``best_b``, every row with every other. ``tile``: rows of a tile."""
    import torch

    device = a.full.device.type
    size = tile or TILE[device]
    work = _Comparison(a, b, best_a, best_b, threshold)
    tiles = [
        (slice(i, i + size), slice(j, j + size))
        for i in range(0, len(a), size)
        for j in range(i if a is b else 0, len(b), size)
    ]
    with full_sums(), _single_threads() as threads:
        if device != "cpu":
            threads = 1
        with ThreadPoolExecutor(threads) as pool:
            # A pool of threads that each take a tile wastes nothing; one product at a time on
            # several threads has them wait for each other in a loop.
            for _ in pool.map(torch.inference_mode()(work.tile), tiles):
                pass


class _Found(NamedTuple):
    """Of a tile, in rows of the blocks: pairs (2, n) of which each may be a nearest, pairs that may
    repeat, and how many sure repetitions each of some rows of ``a`` and of ``b`` has."""

    nearest: Integers
    doubtful: Integers
    repeats_a: tuple[Integers, Integers]
    repeats_b: tuple[Integers, Integers]


class _Comparison:
    def __init__(self, a: Block, b: Block, best_a: Best, best_b: Best, threshold: float) -> None:
        self._a, self._b, self._best_a, self._best_b = a, b, best_a, best_b
        self._threshold = threshold
        self._lock = Lock()

    def tile(self, place: tuple[slice, slice]) -> None:
        rows, columns = place
        a, b = self._a, self._b
        products = a.low[rows] @ b.low[columns].T
        found = self._look(products, error_bound(a, b, low=True), place)
        if (found.nearest.size + found.doubtful.size) * _DENSE > 2 * products.numel():
            products = a.full[rows] @ b.full[columns].T
            found = self._look(products, error_bound(a, b, low=False), place)
        i, j = self._useful(*found.nearest)
        distance = measured(a, b, i, j)
        far = measured(a, b, *found.doubtful)
        near, beside = found.doubtful[:, far < self._threshold]
        once = self._once(place)
        with self._lock:
            self._best_a.improve(i, distance, b.keys[j])
            np.add.at(self._best_a.repeats, near, 1)
            np.add.at(self._best_a.repeats, *found.repeats_a)
            if not once:
                self._best_b.improve(j, distance, a.keys[i])
                np.add.at(self._best_b.repeats, beside, 1)
                np.add.at(self._best_b.repeats, *found.repeats_b)

    def _once(self, place: tuple[slice, slice]) -> bool:
        """Whether the tile has each of its pairs both ways, so that its rows say it all."""
        return self._a is self._b and place[0] == place[1]

    def _look(self, products: torch.Tensor, error: float, place: tuple[slice, slice]) -> _Found:
        """``products`` are those of the tile, each within ``error`` of the true one."""
        import torch

        rows, columns = place
        if self._once(place):
            products.fill_diagonal_(_NO_PRODUCT)  # nobody is a neighbour of its own
        largest = _largest(products, 1)
        enough = [_enough(largest, self._best_a.distance[rows], error)]
        if not self._once(place):
            other = _largest(products, 0)
            enough.append(_enough(other, self._best_b.distance[columns], error))
        nearest = _at_least(products, *enough)
        edge = 1 - self._threshold / 2
        some = (largest >= edge - error).nonzero()[:, 0]
        part = products[some]
        sure = part > edge + error
        doubtful = ((part >= edge - error) & ~sure).nonzero().T
        doubtful[0] = some[doubtful[0]]
        start = torch.tensor([[rows.start], [columns.start]], device=products.device)
        by_column = sure.sum(0)
        hit = by_column.nonzero()[:, 0]
        return _Found(
            nearest + start.cpu().numpy(),
            (doubtful + start).cpu().numpy(),
            ((some + start[0]).cpu().numpy(), sure.sum(1).cpu().numpy()),
            ((hit + start[1]).cpu().numpy(), by_column[hit].cpu().numpy()),
        )

    def _useful(self, i: Integers, j: Integers) -> tuple[Integers, Integers]:
        """Without the pairs that can improve neither row, as one that equals it has a lower key:
        a thousand equal rows would be a million pairs."""
        a, b, best_a, best_b = self._a, self._b, self._best_a, self._best_b
        useful = (best_a.distance[i] > 0) | (b.keys[j] < best_a.key[i])
        useful |= (best_b.distance[j] > 0) | (a.keys[i] < best_b.key[j])
        return i[useful], j[useful]


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


def _enough(largest: torch.Tensor, known: Distances, error: float) -> torch.Tensor:
    """From which product on a pair may be the nearest of a row, of which one is ``known`` at some
    distance and the largest product is given; inf where none can be."""
    import torch

    enough = torch.from_numpy(1 - known / 2 - error).to(largest).clamp_(min=_NO_PRODUCT / 2)
    within = torch.maximum(enough, largest - 2 * error)
    return torch.where(largest >= enough, within, torch.inf)


def _at_least(
    products: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor | None = None
) -> Integers:
    """The pairs (2, n) whose product is enough for its row or for its column."""
    wanted = [_codes(each.to(products.dtype)) - 1 for each in (rows, columns) if each is not None]
    # As an integer a negative product is negative too, if in no order.
    plain = all(bool((each > 0).all()) for each in wanted)
    codes = products.view(wanted[0].dtype) if plain else _codes(products)
    if codes.device.type != "cpu":
        mask = codes >= wanted[0][:, None]
        for each in wanted[1:]:
            mask |= codes >= each
        return np.asarray(mask.nonzero().T.cpu().numpy())
    # numpy compares in a fifth of torch's time.
    array, enough = codes.numpy(), wanted[0].numpy()[:, None]
    if columns is None:
        found = array >= enough
    else:
        found = array >= wanted[1].numpy()
        some = np.flatnonzero(np.isfinite(rows.numpy()))
        found[some] |= array[some] >= enough[some]
    return np.stack(np.divmod(_places(found), max(found.shape[1], 1)))


def _places(mask: npt.NDArray[np.bool_]) -> Integers:
    """``np.flatnonzero(mask)`` of one that is nearly empty: eight at a time."""
    flat = mask.reshape(-1)
    whole = len(flat) // 8 * 8
    some = np.flatnonzero(flat[:whole].view(np.uint64) != 0)
    eight, place = np.nonzero(flat[:whole].reshape(-1, 8)[some])
    return np.concatenate([some[eight] * 8 + place, np.flatnonzero(flat[whole:]) + whole])


def _codes(values: torch.Tensor) -> torch.Tensor:
    """Integers in the order of ``values``, whose neighbours stand for the neighbouring numbers."""
    import torch

    bits = values.view(torch.int32 if values.dtype == torch.float32 else torch.int16)
    sign = bits >> (torch.iinfo(bits.dtype).bits - 1)
    return bits ^ (sign & torch.iinfo(bits.dtype).max)


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


def _largest(products: torch.Tensor, dim: int) -> torch.Tensor:
    """``products.amax(dim)`` in float32."""
    import torch

    if products.dtype != torch.float32:
        # Those that are not negative stand in the order of their bits, read as an integer, and
        # the largest integer is found in an eighth of the time.
        bits = products.view(torch.int16).amax(dim)
        if bool((bits >= 0).all()):
            return bits.view(products.dtype).float()
    return products.amax(dim).float()


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
    with full_sums(), _single_threads():
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
def _single_threads() -> Iterator[int]:
    """Each operation has one thread; yields how many it had."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)
