"""One pass over a source: how many rows there are, what they ask, and a sample of them.

The sample is the rows whose seeded hash of their number is least, so that it is even, the same
each time, and in memory alone while all others pass by. Of all rows only a hash of the question
stays, eight bytes each: what stands in a source twice, or in two of them, is counted among all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from magpie_hub.errors import InvalidData, UsageError
from magpie_hub.evidence.sources import Source
from magpie_hub.filters import Filter, nearest
from magpie_hub.words import normal_forms

DERIVED = ("turns", "query_chars", "response_chars")
"""What a filter knows of every source, beside the messages and the labels that it carries."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ROLE, _CONTENT = (pl.element().struct.field(name) for name in ("role", "content"))


@dataclass(frozen=True)
class Sample:
    """``rows`` are the sample in the source's order, by ``id``, ``messages``, ``query`` (the first
    question), ``response`` (the last answer), ``turns``, the labels, and ``draw``, whose order is
    random. ``read``: all rows that were looked at; ``without_question`` and ``filtered`` are those
    left out of ``kept``. ``questions``: the hash of each kept row's question."""

    rows: pl.DataFrame
    read: int
    without_question: int
    filtered: int
    questions: npt.NDArray[np.uint64] = field(repr=False)
    makers: Mapping[str, str]

    @property
    def kept(self) -> int:
        return len(self.questions)

    def drawn(self, count: int) -> pl.DataFrame:
        """An even part of the sample."""
        return self.rows.bottom_k(count, by="draw").sort("place")


def sample(
    source: Source, *, rows: int, scan: int | None, where: Filter | None, seed: int
) -> Sample:
    """``rows`` of ``source``, or all where it has no more; ``scan``: of its first rows alone.
    ``UsageError`` where the filter reads what the source lacks, ``InvalidData`` where no row is
    left."""
    if where is not None:
        _check(where, source)
    pool: list[pl.DataFrame] = []
    held, limit = 0, np.iinfo(np.uint64).max
    questions: list[npt.NDArray[np.uint64]] = []
    makers: dict[str, str] = dict(source.makers)
    read = empty = dropped = 0
    for frame, named in _first(source.batches(), scan):
        makers |= {label: model for label, model in named.items() if label not in makers}
        frame = _told(frame, read, seed)
        read += len(frame)
        asked = frame.filter(pl.col("query").str.strip_chars() != "")
        empty += len(frame) - len(asked)
        kept = asked if where is None else asked.filter(where.keep(asked))
        dropped += len(asked) - len(kept)
        questions.append(normal_forms(kept["query"]).hash(seed=0).to_numpy())
        some = kept.filter(pl.col("draw") <= pl.lit(limit, dtype=pl.UInt64))
        pool.append(_apart(some))
        held += len(some)
        if held > 2 * rows:
            pool = [_apart(pl.concat(pool).bottom_k(rows, by="draw"))]
            held, limit = rows, int(pool[0]["draw"].max())  # type: ignore[arg-type]
    if not held:
        left = "no row" if where is None or not read else f"no row for which {where.where}"
        raise InvalidData(f"{source.text} has {left} with a question; there is nothing to compare.")
    found = pl.concat(pool).bottom_k(rows, by="draw").sort("place")
    return Sample(found, read, empty, dropped, np.concatenate(questions), makers)


def _first(
    batches: Iterable[tuple[pl.DataFrame, dict[str, str]]], count: int | None
) -> Iterator[tuple[pl.DataFrame, dict[str, str]]]:
    for frame, named in batches:
        yield frame.head(count) if count is not None else frame, named
        if count is not None and (count := count - len(frame)) <= 0:
            return


def _told(frame: pl.DataFrame, start: int, seed: int) -> pl.DataFrame:
    places = np.arange(start, start + len(frame), dtype=np.uint64)
    said = {
        role: pl.col("messages").list.eval(_CONTENT.filter(_ROLE == role))
        for role in ("user", "assistant")
    }
    return frame.with_columns(
        query=said["user"].list.get(0, null_on_oob=True).fill_null(""),
        response=said["assistant"].list.get(-1, null_on_oob=True),
        turns=said["user"].list.len().cast(pl.Int64),
        place=pl.Series(places),
        draw=pl.Series(_mixed(places, seed)),
    ).with_columns(
        query_chars=pl.col("query").str.len_chars().cast(pl.Int64),
        response_chars=pl.col("response").str.len_chars().cast(pl.Int64),
    )


def _apart(frame: pl.DataFrame) -> pl.DataFrame:
    """Copied, since a row taken out of a batch would keep all texts of the batch in memory."""
    copied = pl.from_arrow(frame.to_arrow(compat_level=pl.CompatLevel.oldest()))
    assert isinstance(copied, pl.DataFrame)
    return copied


def _mixed(places: npt.NDArray[np.uint64], seed: int) -> npt.NDArray[np.uint64]:
    """splitmix64 of each number, in a stream of its own for each seed."""
    start = np.random.default_rng(seed).integers(1 << 63, dtype=np.uint64)
    state = start + (places + np.uint64(1)) * _GOLDEN
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    return state ^ (state >> np.uint64(31))


def _check(where: Filter, source: Source) -> None:
    known = ("messages", *source.labels, *DERIVED)
    if missing := [name for name in where.columns if name not in known]:
        raise UsageError(
            f"{source.text} carries no `{missing[0]}`, which --where reads; "
            f"{nearest(missing[0], known)}"
        )
