"""Exact nearest neighbours between two blocks of vectors, most of it in half precision.

A product of half-precision vectors differs from the true one by at most a bound, that of
:func:`.block.error_bound`. Pairs that this bound cannot tell from a row's best, or from the
threshold, are measured in float64; no other pair can matter. So the result is that of float64
whatever the precision, the size of a tile or the number of threads.

Distance is squared L2, which is 2 - 2 cos and what FAISS's flat L2 index and the Magpie datasets'
``min_neighbor_distance`` hold.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from magpie_hub.neighbors.block import (
    Block,
    Distances,
    Integers,
    error_bound,
    full_sums,
    measured,
    single_threads,
)

if TYPE_CHECKING:
    import torch

NOBODY = int(np.iinfo(np.int64).max)
"""The key of no row."""
TILE = {"cpu": 1536, "cuda": 8192}
"""Rows and columns of a tile; on a CPU its products (5 MiB) and its vectors stay in the caches."""
_NO_PRODUCT = -4.0
"""So far below -1 that it is taken for none."""
_DENSE = 64
"""A tile with more than one pair in so many in doubt is looked at once more in float32."""


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
    with full_sums(), single_threads() as threads:
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
