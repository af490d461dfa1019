"""Which texts hold a run of words of a benchmark's item: 13 words (GPT-3, arXiv 2005.14165,
appendix C) or 8, as words of :mod:`magpie_hub.words`.

Each hit is compared word by word, so none rests on a hash. An item of fewer words than a run
cannot be found so; :attr:`Benchmarks.too_short` counts them, and :mod:`magpie_hub.annotate.meaning`
finds them, and paraphrases, by their meaning.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from magpie_hub.annotate.items import Item
from magpie_hub.words import Hashes, Places, Words, series

DEFAULT_RUN = 13
_SPARSE, _MOST_MARKS = 16, 1 << 26


@dataclass(frozen=True)
class Hit:
    """The first run of words that a text shares with a benchmark, and the first item with it."""

    item: str
    words: str


class Benchmarks:
    """The runs of ``size`` words of all items; the earlier item names a run that several have."""

    def __init__(self, items: Iterable[Item], *, size: int = DEFAULT_RUN) -> None:
        items = list(items)
        self.size = size
        self._names = [item.name for item in items]
        self._words = list(Words.chunks(series(item.text for item in items)))
        hashes, places = [np.empty(0, dtype=np.uint64)], [np.empty((0, 3), dtype=np.int64)]
        start, short = 0, []
        for number, words in enumerate(self._words):
            found, text, first = _runs(words, size)
            hashes.append(found)
            places.append(np.stack([text + start, np.full_like(first, number), first], axis=1))
            short += (np.flatnonzero(np.diff(words.firsts) < size) + start).tolist()
            start += len(words)
        self._hashes, index = np.unique(np.concatenate(hashes), return_index=True)
        self._places = np.concatenate(places)[index]
        room = 1 << (_SPARSE * len(self._hashes)).bit_length()
        self._low = np.uint64(min(room, _MOST_MARKS) - 1)
        self._marks = np.zeros(int(self._low) + 1, dtype=np.bool_)
        self._marks[self._hashes & self._low] = True
        self.too_short: dict[str, int] = {}
        for item in short:
            benchmark = self._names[item].partition(":")[0]
            self.too_short[benchmark] = self.too_short.get(benchmark, 0) + 1

    def find(self, texts: Iterable[str | None] | pl.Series) -> list[Hit | None]:
        """For each text the first run that it shares with an item, or None."""
        hits: list[Hit | None] = []
        for words in Words.chunks(series(texts)):
            found: list[Hit | None] = [None] * len(words)
            hashes, text, first = _runs(words, self.size)
            # One look into a table turns nearly all away before the search in the sorted hashes.
            some = np.flatnonzero(self._marks[hashes & self._low])
            place, same = self._look_up(hashes[some])
            runs = some[same]
            triples = (text[runs].tolist(), first[runs].tolist(), place[same].tolist())
            for row, run, at in zip(*triples, strict=True):
                if found[row] is None:
                    found[row] = self._hit(words.words(run, self.size), at)
            hits += found
        return hits

    def _look_up(self, hashes: Hashes) -> tuple[Places, npt.NDArray[np.bool_]]:
        if not len(self._hashes):
            return np.zeros(len(hashes), dtype=np.int64), np.zeros(len(hashes), dtype=np.bool_)
        place = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        same: npt.NDArray[np.bool_] = self._hashes[place] == hashes
        return place, same

    def _hit(self, run: str, at: int) -> Hit | None:
        item, chunk, first = self._places[at].tolist()
        if self._words[chunk].words(first, self.size) != run:
            return None
        return Hit(self._names[item], run)


def _runs(words: Words, size: int) -> tuple[Hashes, Places, Places]:
    return words.runs(np.full(len(words), size), shorter=False)
