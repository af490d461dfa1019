"""Which texts hold a run of words of a benchmark's item: 13 words (GPT-3, arXiv 2005.14165,
appendix C) or 8, as words of :mod:`magpie_hub.words`.

Each hit is compared word by word, so none rests on a hash. An item of fewer words than a run
cannot be found so; :attr:`Benchmarks.too_short` counts them, and :func:`nearest` finds them, and
paraphrases, by their meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from magpie_hub.errors import UsageError
from magpie_hub.words import Hashes, Places, Words, series

DEFAULT_RUN = 13
_SPARSE, _MOST_MARKS = 16, 1 << 26
_BLOCK = 2048
_READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    ".jsonl": pl.read_ndjson,
    ".ndjson": pl.read_ndjson,
    ".json": pl.read_json,
    ".csv": pl.read_csv,
    ".parquet": pl.read_parquet,
}


@dataclass(frozen=True)
class Item:
    """``name`` says benchmark and item: ``gsm8k:test/17``, ``mine:3``; numbers count from 0."""

    name: str
    text: str


@dataclass(frozen=True)
class Hit:
    """The first run of words that a text shares with a benchmark, and the first item with it."""

    item: str
    words: str


def read_file(name: str, path: Path, fields: Sequence[str] = ()) -> list[Item]:
    """The items of a .jsonl, .json, .csv or .parquet file, a text for each of ``fields``; a .txt
    file has an item a line. ``UsageError`` names the file and what is wrong with it."""
    if path.suffix == ".txt":
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read: {error}.") from error
        return [Item(f"{name}:{row}", line) for row, line in enumerate(lines)]
    reader = _READERS.get(path.suffix)
    if reader is None:
        known = ", ".join([*_READERS, ".txt"])
        raise UsageError(f"{path} is none of {known}; convert it to one of them.")
    try:
        frame = reader(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from error
    return _items(name, "", str(path), frame, fields)


def read_hub(
    name: str,
    dataset: str,
    fields: Sequence[str],
    *,
    config: str | None = None,
    split: str = "test",
    revision: str | None = None,
) -> list[Item]:
    """The items of a split of a dataset on the Hub, a text for each of ``fields``."""
    from datasets import load_dataset

    table = load_dataset(dataset, config, split=split, revision=revision)
    wanted = [field for field in fields if field in table.column_names]
    frame = pl.DataFrame({field: table[field][:] for field in wanted}, strict=False)
    return _items(name, f"{split}/", dataset, frame, fields)


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


def nearest(
    rows: npt.NDArray[np.float32], items: npt.NDArray[np.float32], *, at_least: float
) -> tuple[Places, npt.NDArray[np.float32]]:
    """For each of ``rows`` [n, d] the place of the nearest of ``items`` [m, d] by cosine, -1 where
    that is below ``at_least``, and the cosine. Vectors need not have length 1."""
    place = np.full(len(rows), -1, dtype=np.int64)
    best = np.full(len(rows), -1.0, dtype=np.float32)
    units = _units(items)
    for start in range(0, len(rows), _BLOCK):
        block = slice(start, start + _BLOCK)
        ours = _units(rows[block])
        for first in range(0, len(units), _BLOCK):
            cosines = ours @ units[first : first + _BLOCK].T
            at = cosines.argmax(axis=1)
            top = cosines[np.arange(len(at)), at]
            better = top > best[block]
            place[block][better] = at[better] + first
            best[block][better] = top[better]
    place[best < at_least] = -1
    return place, best


def _units(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def _runs(words: Words, size: int) -> tuple[Hashes, Places, Places]:
    return words.runs(np.full(len(words), size), shorter=False)


def _items(
    name: str, prefix: str, source: str, frame: pl.DataFrame, fields: Sequence[str]
) -> list[Item]:
    for field in fields or [""]:
        if field not in frame.columns:
            there = ", ".join(frame.columns) or "none"
            wanted = f"has no field '{field}'" if field else "needs the fields to read"
            raise UsageError(f"{source} {wanted}; its fields are: {there}.")
    columns = [
        pl.col(field).list.eval(pl.element().cast(pl.String)).list.join(" ")
        if isinstance(frame.schema[field], pl.List)  # the choices of a question
        else pl.col(field).cast(pl.String)
        for field in fields
    ]
    return [
        Item(f"{name}:{prefix}{row}", text)
        for row, texts in enumerate(frame.select(columns).rows())
        for text in texts
        if text
    ]
