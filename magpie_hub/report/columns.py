"""What of a row the report shows as a label or as a number, whatever the row comes from."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import polars as pl

from magpie_hub import schema


@dataclass(frozen=True)
class Label:
    """``expr`` makes a string of a row's published columns ``of``; where ``several``, a list of
    them. One of the ``always`` shown is shown with a single value too."""

    name: str
    title: str
    of: tuple[str, ...]
    expr: pl.Expr
    values: tuple[str, ...] = ()
    several: bool = False
    always: bool = False


@dataclass(frozen=True)
class Number:
    name: str
    title: str
    unit: str = ""
    log: bool = False


def _plain(name: str, title: str, *, always: bool = False) -> Label:
    column = schema.column(name)
    values = column.labels if column.ordered else ()
    return Label(name, title, (name,), pl.col(name).cast(pl.String), values, always=always)


def _told(name: str, title: str) -> Label:
    said = pl.when(pl.col(name)).then(pl.lit("yes")).when(~pl.col(name)).then(pl.lit("no"))
    return Label(name, title, (name,), said)


def _listed(name: str, title: str) -> Label:
    return Label(name, title, (name,), pl.col(name).cast(pl.List(pl.String)), several=True)


LABELS = (
    _plain("category", "Category", always=True),
    _plain("difficulty", "Difficulty", always=True),
    _plain("quality", "Quality", always=True),
    _plain("conversation_quality", "Quality of the conversation"),
    _plain("language", "Language", always=True),
    _plain("safety", "Safety", always=True),
    _plain("finish_reason", "How the answer ended"),
    _told("refusal", "Refuses"),
    _told("loop", "Loops"),
    _told("same_language", "Answer in the question's language"),
    _plain("response_language", "Language of the answer"),
    _listed("format", "Format of the answer"),
    _listed("pii", "Secrets and personal data"),
    _plain("turns", "Turns"),
    _plain("ended", "Why there are no more turns"),
    _plain("system_prompt", "Steered by"),
    Label(
        "cell",
        "Decoding",
        ("temperature", "top_p"),
        pl.format("T {}, p {}", pl.col("temperature").round(3), pl.col("top_p").round(3)),
    ),
    _plain("model", "Asked by"),
    _plain("responder", "Answered by"),
)
NUMBERS = (
    Number("query_tokens", "Question length", "tokens", log=True),
    Number("response_tokens", "Answer length", "tokens", log=True),
    Number("thinking_tokens", "Thinking length", "tokens", log=True),
    Number("reward", "Reward"),
    Number("reward_difference", "Reward over the second responder's"),
    Number("margin", "Margin of the chosen answer"),
    Number("pass_rate", "Answers that agree"),
    Number("min_neighbor_distance", "Distance to the nearest question"),
    Number("repetition", "Repetition"),
)
FURTHER = ("nearest_id", "rewards")
"""Read for pairs and judges."""
WANTED = tuple(
    dict.fromkeys(
        [c for label in LABELS for c in label.of] + [n.name for n in NUMBERS] + [*FURTHER]
    )
)
"""The published columns that the report reads, as far as they are there."""


def shown(there: Collection[str]) -> tuple[list[Label], list[Number]]:
    """Those that can be made of the columns ``there``."""
    labels = [label for label in LABELS if set(label.of) <= set(there)]
    return labels, [number for number in NUMBERS if number.name in there]


def made(frame: pl.DataFrame, there: Collection[str]) -> pl.DataFrame:
    """``frame`` of published columns with labels and numbers, and what is read further, in one form
    for all frames; a column that this one lacks is null."""
    types = pl.Schema(schema.arrow_schema(there))
    lacks = [pl.lit(None, types[name]).alias(name) for name in there if name not in frame.columns]
    frame = frame.with_columns(lacks)
    labels, numbers = shown(there)
    return frame.select(
        *(name for name in ("id", "stage", "reason", "detail")),
        *(label.expr.alias(label.name) for label in labels),
        *(pl.col(number.name).cast(pl.Float64) for number in numbers),
        *(name for name in FURTHER if name in there),
    )
