"""On which side of a split a row stands: for ever the same.

A row's side follows from its id alone, so more rows or another filter move none. Two things come
before that: rows that stand in an earlier release stay where they are, and rows that nearly repeat
each other stand together, on the side of the one that is settled, else of the first.

Ids are known by 64 bits of their BLAKE2 hash, which is also what is drawn: 8 bytes a row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from magpie_hub.release import MANIFEST, Release, numbers

TRAIN = "train"
COLUMNS = ("id", "min_neighbor_distance", "nearest_id")
"""Those that decide, as far as the rows have them."""
NEAR = 0.05
"""Squared L2 below which two queries repeat each other, where a recipe does not say it."""

_WHOLE = 1 << 64


def keys(ids: Iterable[str]) -> np.ndarray:
    """64 bits of each id."""
    hashes = b"".join(hashlib.blake2b(name.encode(), digest_size=8).digest() for name in ids)
    return np.frombuffer(hashes, dtype=">u8").astype(np.uint64)


def names(shares: Mapping[str, float]) -> tuple[str, ...]:
    """The sides by number, `train` first."""
    return (TRAIN, *sorted(shares))


@dataclass
class Rows:
    """The rows of a pool as far as sides need them, table by table in their order. ``near`` is the
    distance below which neighbours stand together."""

    near: float = NEAR
    _keys: list[np.ndarray] = field(default_factory=list)
    _pairs: list[np.ndarray] = field(default_factory=list)

    def add(self, table: pa.Table) -> None:
        """``table`` has those of :data:`COLUMNS` that the pool has."""
        here = keys(table["id"].to_pylist())
        self._keys.append(here)
        if "nearest_id" not in table.column_names:
            return
        near = pc.less(table["min_neighbor_distance"], self.near)
        near = pc.and_(pc.fill_null(near, False), pc.is_valid(table["nearest_id"]))
        mine = here[near.to_numpy()]
        others = keys(table["nearest_id"].filter(near).to_pylist())
        self._pairs.append(np.stack([mine, others], axis=1))

    def sides(self, shares: Mapping[str, float], settled: Settled) -> np.ndarray:
        """For each row the number of its side among :func:`names`."""
        rows = np.concatenate(self._keys) if self._keys else np.empty(0, np.uint64)
        sides = _drawn(rows, shares)
        fixed = settled.apply(rows, sides)
        pairs = np.concatenate(self._pairs) if self._pairs else np.empty((0, 2), np.uint64)
        if not len(pairs):
            return sides
        # Neighbours that are not in the pool still link two rows that both repeat them.
        nodes, ends = np.unique(pairs, return_inverse=True)
        groups = _components(len(nodes), ends.reshape(-1, 2))
        places = np.flatnonzero(np.isin(rows, nodes))
        group = groups[np.searchsorted(nodes, rows[places])]
        # The settled first, then in the order of slots: the first of each group decides.
        leading = np.lexsort((places, ~fixed[places], group))
        found, first = np.unique(group[leading], return_index=True)
        sided = sides[places[leading[first]]]
        free = ~fixed[places]
        sides[places[free]] = sided[np.searchsorted(found, group[free])]
        return sides


@dataclass(frozen=True)
class Settled:
    """The sides of rows that stand in earlier releases; ``keys`` ascend."""

    keys: np.ndarray
    sides: np.ndarray

    @classmethod
    def read(cls, releases: Path | None, config: str, shares: Mapping[str, float]) -> Settled:
        """Of ``config`` in the releases under ``releases``; the earliest one counts. Rows of a
        split that is no more are free."""
        parts: list[tuple[np.ndarray, int]] = []
        for release in _earlier(releases) if releases else ():
            entry = release.manifest.configs.get(config)
            for split, files in entry.splits.items() if entry else ():
                if split not in names(shares):
                    continue
                for file in files.files:
                    ids = pq.read_table(release.path / file, columns=["id"])["id"]
                    parts.append((keys(ids.to_pylist()), names(shares).index(split)))
        if not parts:
            return cls(np.empty(0, np.uint64), np.empty(0, np.uint8))
        every = np.concatenate([found for found, _ in parts])
        found, first = np.unique(every, return_index=True)
        sides = np.repeat([side for _, side in parts], [len(each) for each, _ in parts])
        return cls(found, sides[first].astype(np.uint8))

    def apply(self, rows: np.ndarray, sides: np.ndarray) -> np.ndarray:
        """Put the settled ones of ``rows`` in their places in ``sides``; which ones those are."""
        if not len(self.keys):
            return np.zeros(len(rows), dtype=bool)
        at = np.minimum(np.searchsorted(self.keys, rows), len(self.keys) - 1)
        fixed: np.ndarray = self.keys[at] == rows
        sides[fixed] = self.sides[at[fixed]]
        return fixed


def _earlier(releases: Path) -> Iterator[Release]:
    """In the order of their versions."""
    found = [Release.open(file.parent) for file in releases.glob(f"[0-9]*/{MANIFEST}")]
    yield from sorted(found, key=lambda each: numbers(each.version))


def _drawn(rows: np.ndarray, shares: Mapping[str, float]) -> np.ndarray:
    """Each named side has a stretch of the numbers, in the order of names; `train` has the rest."""
    drawn = np.zeros(len(rows), dtype=np.uint8)
    low = 0.0
    for number, name in enumerate(names(shares)[1:], 1):
        high = low + shares[name]
        first, last = (np.uint64(min(int(part * _WHOLE), _WHOLE - 1)) for part in (low, high))
        drawn[(rows >= first) & (rows < last)] = number
        low = high
    return drawn


def _components(count: int, pairs: np.ndarray) -> np.ndarray:
    """For each node the smallest node that it is linked to, over any number of links."""
    roots = np.arange(count)
    while True:
        before = roots.copy()
        low = np.minimum(roots[pairs[:, 0]], roots[pairs[:, 1]])
        np.minimum.at(roots, pairs[:, 0], low)
        np.minimum.at(roots, pairs[:, 1], low)
        roots = roots[roots]
        if np.array_equal(before, roots):
            return roots
