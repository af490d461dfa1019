"""Texts that mean the same: vectors less than a distance apart, found exactly.

Distance is squared L2 between vectors of length 1, as in :mod:`magpie_hub.neighbors.exact`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from magpie_hub.annotate.items import Item
from magpie_hub.annotate.near import Components, Pairs
from magpie_hub.neighbors.block import (
    Block,
    Vectors,
    default_device,
    error_bound,
    full_sums,
    measured,
)
from magpie_hub.neighbors.exact import TILE, Best, compare
from magpie_hub.neighbors.index import BLOCK

_DENSE = 64
"""A tile with more than one pair in so many in doubt is looked at once more in float32."""


def links(vectors: Vectors, under: float, *, block: int = BLOCK, tile: int | None = None) -> Pairs:
    """Links [n, 2], by place in ``vectors``, that join rows as all pairs less than ``under`` apart
    would. Two blocks of ``block`` rows are in memory at a time."""
    joined = Components(len(vectors))
    device = default_device()

    def load(start: int) -> Block:
        part = vectors[start : start + block]
        return Block(part, np.arange(start, start + len(part)), device)

    for start in range(0, len(vectors), block):
        one = load(start)
        for other in range(start, len(vectors), block):
            _join(one, one if other == start else load(other), under, joined, tile or TILE[device])
    rows = np.flatnonzero(joined.roots != np.arange(len(vectors)))
    return np.stack([rows, joined.roots[rows]], axis=1)


class Meanings:
    """Items by their vectors (items, dimensions); texts of ours are looked up among them."""

    def __init__(self, items: Sequence[Item], vectors: Vectors, *, under: float) -> None:
        self._names = [item.name for item in items]
        self._under = under
        self._device = default_device()
        self._items = Block(vectors, np.arange(len(items)), self._device)
        self._known = Best(len(items))

    def find(self, vectors: Vectors) -> list[str | None]:
        """For each the name of the nearest item less than ``under`` away, of equally near ones the
        first; None where there is none."""
        best = Best(len(vectors))
        rows = Block(vectors, np.arange(len(vectors)), self._device)
        compare(rows, self._items, best, self._known, threshold=0)
        near = zip(best.key.tolist(), (best.distance < self._under).tolist(), strict=True)
        return [self._names[key] if is_near else None for key, is_near in near]


def _join(a: Block, b: Block, under: float, joined: Components, size: int) -> None:
    with full_sums():
        for i in range(0, len(a), size):
            for j in range(i if a is b else 0, len(b), size):
                _join_tile(a, b, slice(i, i + size), slice(j, j + size), under, joined)


def _join_tile(
    a: Block, b: Block, rows: slice, columns: slice, under: float, joined: Components
) -> None:
    import torch

    roots = (
        torch.from_numpy(joined.roots[a.keys[rows]]),
        torch.from_numpy(joined.roots[b.keys[columns]]),
    )
    apart = roots[0][:, None] != roots[1][None]
    if not bool(apart.any()):
        return
    apart, edge = apart.to(a.full.device), 1 - under / 2
    for low in (True, False):
        one, other = (a.low, b.low) if low else (a.full, b.full)
        products, error = one[rows] @ other[columns].T, error_bound(a, b, low=low)
        sure = (products > edge + error) & apart
        doubtful = (products >= edge - error) & apart & ~sure
        if int(doubtful.sum()) * _DENSE <= doubtful.numel():
            break
    start = np.array([rows.start, columns.start])
    found = sure.nonzero().cpu().numpy() + start
    joined.join(np.stack([a.keys[found[:, 0]], b.keys[found[:, 1]]], axis=1))
    found = doubtful.nonzero().cpu().numpy() + start
    pairs = np.stack([a.keys[found[:, 0]], b.keys[found[:, 1]]], axis=1)
    still = joined.roots[pairs[:, 0]] != joined.roots[pairs[:, 1]]
    found, pairs = found[still], pairs[still]
    joined.join(pairs[measured(a, b, found[:, 0], found[:, 1]) < under])
