"""Rows that a card shows, and how the answers of pairs compare in length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

SAMPLES = 3
CHARACTERS = 700
_LABELS = ("category", "difficulty", "quality", "language", "safety", "reward", "pass_rate")


@dataclass(frozen=True)
class Sample:
    """A row: its labels in a line, and its texts as (who says it, what)."""

    labels: str
    messages: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Balance:
    """Characters of the chosen and of the rejected answers, in the mean; the shares of pairs whose
    chosen answer is the longer and the shorter one. A model that is trained on pairs learns their
    difference in length too."""

    chosen: float
    rejected: float
    longer: float
    shorter: float


def samples(rows: pl.LazyFrame, small: pl.DataFrame) -> Iterator[Sample]:
    """The first row of each of the most frequent categories, else rows evenly apart; ``small`` has
    some columns of the same rows."""
    there = rows.collect_schema().names()
    labels = [name for name in _LABELS if name in there]
    said = [name for name in ("messages", "prompt", "chosen", "rejected") if name in there]
    scores = [name for name in ("chosen_score", "rejected_score") if name in there]
    if not said:
        return
    for index in _places(small):
        found = rows.select(*said, *labels, *scores).slice(index, 1).collect()
        row = found.row(0, named=True)
        line = [f"{name}: {_short(row[name])}" for name in labels if row[name] is not None]
        yield Sample(", ".join(line), tuple(_texts(row)))


def balance(rows: pl.LazyFrame) -> Balance | None:
    """None where the rows are no pairs."""
    if not {"chosen", "rejected"} <= set(rows.collect_schema().names()):
        return None
    lengths = rows.select(
        pl.col(name)
        .list.eval(pl.element().struct.field("content").str.len_chars())
        .list.sum()
        .cast(pl.Int64)
        for name in ("chosen", "rejected")
    ).collect()
    chosen, rejected = lengths["chosen"], lengths["rejected"]
    return Balance(
        float(chosen.sum()) / len(lengths),
        float(rejected.sum()) / len(lengths),
        float((chosen > rejected).sum()) / len(lengths),
        float((chosen < rejected).sum()) / len(lengths),
    )


def _texts(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for message in row.get("messages") or row.get("prompt") or ():
        if thinking := message.get("thinking"):
            yield f"{message['role']}, thinking", _clip(thinking)
        yield message["role"], _clip(message["content"])
    for name in ("chosen", "rejected"):
        for message in row.get(name) or ():
            yield f"{name}, scored {_short(row[f'{name}_score'])}", _clip(message["content"])


def _places(small: pl.DataFrame) -> list[int]:
    spread = [(2 * i + 1) * len(small) // (2 * SAMPLES) for i in range(SAMPLES)]
    if "category" not in small.columns:
        return sorted(set(spread))
    counts = small.with_row_index().drop_nulls("category").group_by("category", maintain_order=True)
    firsts = counts.agg(pl.len(), pl.col("index").first()).sort(-pl.col("len").cast(pl.Int64))
    places = firsts["index"].head(SAMPLES).to_list()
    return sorted(dict.fromkeys([*places, *spread][:SAMPLES])) if len(places) else spread


def _short(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _clip(content: str) -> str:
    rest = len(content) - CHARACTERS
    return content if rest <= 0 else f"{content[:CHARACTERS]}\n… ({rest:,} more characters)"
