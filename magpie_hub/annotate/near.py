"""Texts that are nearly the same: all whose sets of shingles have a Jaccard similarity of at least
a threshold.

A shingle is a run of three words, or of five letters in scripts without spaces. The search is
exact, so nothing is lost to a sketch such as MinHash, and it costs less than one: queries are
short. With the shingles of all texts in one order, rare ones first, two texts whose similarity
reaches ``t`` share one of the first ``|s| - ceil(t |s|) + 1`` of each (prefix filtering: Bayardo,
Ma, Srikant 2007); whoever shares one is compared in full.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from magpie_hub.words import Hashes, Places, Words, series

SHINGLE_WORDS, SHINGLE_LETTERS = 3, 5
_ROUNDING = 1e-9
_MOST_COUNTED = 1 << 22
_MOST_PAIRS = 1 << 16
_MOST_CANDIDATES = 1 << 20
Pairs: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shingles:
    """The sets of many texts: text ``t`` has ``hashes[firsts[t]:firsts[t + 1]]``, ascending
    and distinct. A text without words has none and is like no other."""

    firsts: Places
    hashes: Hashes

    @classmethod
    def of(cls, texts: Iterable[str | None] | pl.Series) -> Shingles:
        counts, parts = [np.zeros(0, dtype=np.int64)], [np.empty(0, dtype=np.uint64)]
        for words in Words.chunks(series(texts)):
            size = np.where(words.unspaced, SHINGLE_LETTERS, SHINGLE_WORDS)
            hashes, text, _ = words.runs(size, shorter=True)
            parts.append(hashes)
            counts.append(np.bincount(text, minlength=len(words)))
        sizes, hashes = np.concatenate(counts), np.concatenate(parts)
        _sort_each(hashes, sizes)
        text = np.repeat(np.arange(len(sizes)), sizes)
        distinct = np.ones(len(hashes), dtype=np.bool_)
        distinct[1:] = (hashes[1:] != hashes[:-1]) | (text[1:] != text[:-1])
        return cls(_firsts(np.bincount(text[distinct], minlength=len(sizes))), hashes[distinct])

    @classmethod
    def joined(cls, parts: Sequence[Shingles]) -> Shingles:
        sizes = np.concatenate([part.sizes for part in parts])
        return cls(_firsts(sizes), np.concatenate([part.hashes for part in parts]))

    @classmethod
    def from_arrow(cls, column: pa.Array) -> Shingles:
        """What :meth:`to_arrow` made."""
        offsets = column.offsets.to_numpy()
        hashes = column.values.to_numpy()[offsets[0] : offsets[-1]]
        return cls((offsets - offsets[0]).astype(np.int64), hashes)

    def to_arrow(self) -> pa.Array:
        """large_list<uint64>, a set a text: to be stored beside a shard."""
        return pa.LargeListArray.from_arrays(pa.array(self.firsts), pa.array(self.hashes))

    def __len__(self) -> int:
        """Texts."""
        return len(self.firsts) - 1

    @property
    def sizes(self) -> Places:
        return np.diff(self.firsts)


class Components:
    """Numbers from 0 on, joined by links; those joined have one root, the least of them."""

    def __init__(self, count: int = 0) -> None:
        self.roots: Places = np.arange(count)

    def grow(self, count: int) -> None:
        """To ``count`` in all."""
        self.roots = np.concatenate([self.roots, np.arange(len(self.roots), count)])

    def join(self, links: Pairs) -> None:
        """``links`` [n, 2]."""
        while True:
            left, right = self.roots[links[:, 0]], self.roots[links[:, 1]]
            if not (left != right).any():
                return
            np.minimum.at(self.roots, np.maximum(left, right), np.minimum(left, right))
            while (self.roots != (above := self.roots[self.roots])).any():
                self.roots = above


@dataclass
class _Prefixes:
    """Sorted by code: the rare shingles of texts, and whose they are (``texts`` ascend within a
    code)."""

    codes: Hashes
    texts: Places


@dataclass
class _Search:
    """Of each of ``texts``, the partners ``at`` to ``end`` in ``among`` are yet to be compared."""

    texts: Places
    at: Places
    end: Places
    among: Places = field(repr=False)

    def keep(self, which: npt.NDArray[np.bool_]) -> None:
        self.texts, self.at, self.end = self.texts[which], self.at[which], self.end[which]


class NearIndex:
    """Texts by number, in the order in which they were added, shard by shard. Which texts are
    joined depends on the texts alone, not on how they were cut into shards."""

    def __init__(self, threshold: float = 0.8) -> None:
        self.threshold = threshold
        self.components = Components()
        self._sets = Shingles.of([])
        self._steps = np.zeros(1, dtype=np.uint64)
        self._counted = 0
        self._prefixes: list[_Prefixes] = []

    def __len__(self) -> int:
        return len(self._sets)

    def add(self, sets: Shingles, links: Pairs | None = None) -> Pairs:
        """Add texts; returns links [n, 2] that join them to each other and to those before as all
        pairs that reach the threshold would. ``links``: those returned earlier for just these
        texts, where they were kept; then nothing is compared."""
        start = len(self)
        self._sets = Shingles.joined([self._sets, sets])
        self.components.grow(len(self))
        new = self._enter(start)
        if links is None:
            within = np.flatnonzero(np.diff(new.codes, prepend=~new.codes[:1]) == 0)
            # Partners of a text are those before it with the same code.
            low = np.searchsorted(new.codes, new.codes[within])
            searches = [_Search(new.texts[within], low, within, new.texts)]
            searches += [_look_up(new, old) for old in self._prefixes]
            found = [pairs for search in searches for pairs in self._link(search)]
            links = np.concatenate([np.empty((0, 2), dtype=np.int64), *found])
        else:
            self.components.join(links)
        self._prefixes.append(new)
        self._merge()
        return links

    def find(self, sets: Shingles) -> Places:
        """For each of other texts the first text here that is nearly the same; -1: none."""
        best = np.full(len(sets), len(self))
        codes, texts = self._codes(sets)
        order = np.argsort(codes, kind="stable")
        asked = _Prefixes(codes[order], texts[order])
        for old in self._prefixes:
            for pairs in _blocks(_look_up(asked, old), lambda s: s.among[s.at] >= best[s.texts]):
                earlier = pairs[:, 1] < best[pairs[:, 0]]
                for near in self._verified(pairs[earlier], sets):
                    np.minimum.at(best, near[:, 0], near[:, 1])
        return np.where(best < len(self), best, -1)

    # The order of shingles, and each text's first in it.

    def _enter(self, start: int) -> _Prefixes:
        """The prefixes of the texts from ``start`` on. The order is made anew whenever the texts
        have doubled, and with it all prefixes; between, it stays, so that they stay comparable."""
        if len(self) >= 2 * self._counted:
            self._count()
            codes, texts = self._codes(self._slice(0, start))
            self._prefixes = [_sorted(codes, texts)] if start else []
        codes, texts = self._codes(self._slice(start, len(self)))
        return _sorted(codes, texts + start)

    def _count(self) -> None:
        """How frequent the shingles are, in few steps, by the low bits of their hashes."""
        room = min(1 << len(self._sets.hashes).bit_length(), _MOST_COUNTED)
        low = (self._sets.hashes & np.uint64(room - 1)).view(np.int64)
        counts = np.bincount(low, minlength=room)
        steps = np.minimum(2 * np.log2(counts + 1.0), 63).astype(np.uint64)
        self._steps = steps << np.uint64(58)
        self._counted = len(self)

    def _slice(self, start: int, end: int) -> Shingles:
        first, last = self._sets.firsts[start], self._sets.firsts[end]
        return Shingles(self._sets.firsts[start : end + 1] - first, self._sets.hashes[first:last])

    def _codes(self, sets: Shingles) -> tuple[Hashes, Places]:
        """A code stands for a shingle: how frequent it is, roughly, then 58 bits of its hash."""
        sizes = sets.sizes
        codes = self._steps[sets.hashes & np.uint64(len(self._steps) - 1)]
        codes |= sets.hashes >> np.uint64(6)
        _sort_each(codes, sizes)
        text = np.repeat(np.arange(len(sizes)), sizes)
        wanted = sizes - np.ceil(self.threshold * sizes - _ROUNDING).astype(np.int64) + 1
        first = np.arange(len(codes)) < (sets.firsts[:-1] + wanted)[text]
        return codes[first], text[first]

    def _merge(self) -> None:
        """Few sorted runs, each at least twice as long as the next."""
        runs = self._prefixes
        while len(runs) > 1 and len(runs[-2].codes) <= 2 * len(runs[-1].codes):
            late, early = runs.pop(), runs.pop()
            codes = np.concatenate([early.codes, late.codes])
            runs.append(_sorted(codes, np.concatenate([early.texts, late.texts])))

    # Comparing.

    def _link(self, search: _Search) -> Iterator[Pairs]:
        joined = self.components

        def settled(search: _Search) -> npt.NDArray[np.bool_]:
            """All partners left are in the text's own component: nothing is to be learnt."""
            of = joined.roots[search.among]
            changes = np.cumsum(np.diff(of, prepend=of[:1]) != 0)
            alike = changes[search.at] == changes[search.end - 1]
            own = of[search.at] == joined.roots[search.texts]
            return np.asarray(alike & own)

        for pairs in _blocks(search, settled):
            apart = joined.roots[pairs[:, 0]] != joined.roots[pairs[:, 1]]
            for near in self._verified(pairs[apart], self._sets):
                joined.join(near)
                yield near

    def _verified(self, pairs: Pairs, sets: Shingles) -> Iterator[Pairs]:
        """Those pairs of a text of ``sets`` and one here that reach the threshold."""
        share = self.threshold / (1 + self.threshold)
        left, right = sets.sizes, self._sets.sizes
        key = np.unique((pairs[:, 0] << 32) | pairs[:, 1])
        a, b = key >> 32, key & 0xFFFFFFFF
        small, large = np.minimum(left[a], right[b]), np.maximum(left[a], right[b])
        fits = small >= self.threshold * large - _ROUNDING
        a, b = a[fits], b[fits]
        for at in range(0, len(a), _MOST_PAIRS):
            x, y = a[at : at + _MOST_PAIRS], b[at : at + _MOST_PAIRS]
            sizes = left[x] + right[y]
            common = _common(_gathered(sets, x, self._sets, y), sizes)
            near = common >= share * sizes - _ROUNDING
            yield np.stack([x[near], y[near]], axis=1)


def _sorted(codes: Hashes, texts: Places) -> _Prefixes:
    order = np.argsort(codes, kind="stable")
    return _Prefixes(codes[order], texts[order])


def _look_up(new: _Prefixes, old: _Prefixes) -> _Search:
    low = np.searchsorted(old.codes, new.codes)
    return _Search(new.texts, low, np.searchsorted(old.codes, new.codes, "right"), old.texts)


def _blocks(
    search: _Search, settled: Callable[[_Search], npt.NDArray[np.bool_]]
) -> Iterator[Pairs]:
    """Pairs of a text and a partner: of every text the next partner, then the next two, four, ...
    as long as the text is not ``settled``."""
    width = 1
    search.keep(search.at < search.end)
    while len(search.texts):
        take = np.minimum(search.end - search.at, width)
        for part in _parts(take):
            count = take[part]
            step = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
            partner = search.among[np.repeat(search.at[part], count) + step]
            yield np.stack([np.repeat(search.texts[part], count), partner], axis=1)
        search.at = search.at + take
        search.keep(search.at < search.end)
        search.keep(~settled(search))
        width *= 2


def _firsts(sizes: Places) -> Places:
    return np.concatenate([[0], np.cumsum(sizes)])


def _gathered(a: Shingles, left: Places, b: Shingles, right: Places) -> Hashes:
    """Pair by pair the shingles of the one and of the other."""
    firsts = np.stack([a.firsts[left], b.firsts[right] + len(a.hashes)], axis=1).ravel()
    sizes = np.stack([a.sizes[left], b.sizes[right]], axis=1).ravel()
    shift = np.repeat(firsts - (np.cumsum(sizes) - sizes), sizes)
    places = np.arange(len(shift)) + shift
    hashes: Hashes = np.where(
        places < len(a.hashes),
        a.hashes.take(places, mode="clip"),
        b.hashes.take(places - len(a.hashes), mode="clip"),
    )
    return hashes


def _common(hashes: Hashes, sizes: Places) -> Places:
    """How many stand twice in each stretch of ``sizes``."""
    _sort_each(hashes, sizes)
    stretch = np.repeat(np.arange(len(sizes)), sizes)
    twice = (hashes[1:] == hashes[:-1]) & (stretch[1:] == stretch[:-1])
    return np.bincount(stretch[1:][twice], minlength=len(sizes))


def _sort_each(values: Hashes, sizes: Places) -> None:
    """Sort each stretch by itself, in place: all of one size at once, as the rows of a matrix,
    which costs a tenth of one sort of all."""
    firsts = np.cumsum(sizes) - sizes
    order = np.argsort(sizes, kind="stable")
    kinds, starts = np.unique(sizes[order], return_index=True)
    ends = np.append(starts[1:], len(order))
    for size, start, end in zip(kinds, starts, ends, strict=False):
        if size > 1:
            places = firsts[order[start:end], None] + np.arange(size)
            rows = values[places]
            rows.sort(axis=1)
            values[places] = rows


def _parts(take: Places) -> Iterator[slice]:
    """Cut so that none has many candidates."""
    piece = np.cumsum(take) // _MOST_CANDIDATES
    cuts = [0, *(np.flatnonzero(np.diff(piece)) + 1), len(take)]
    for start, end in zip(cuts, cuts[1:], strict=False):
        yield slice(start, end)
