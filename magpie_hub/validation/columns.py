"""The rules of single columns, and of columns that follow from each other.

A rule is its sentence and the polars expression that marks the rows which break it. Null is allowed
where an annotator may fail (labels, scores); not in what every row has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from magpie_hub import schema
from magpie_hub.annotate.pii import KINDS
from magpie_hub.annotate.text import FORMATS, LEAKS

_NAMED = ("id", "model", "responder")
_SAID = ("safety", "contaminated_by", "nearest_id", "majority", "ended", "system_prompt")
_COUNTED = ("query_tokens", "response_tokens", "turns")
_POSITIVE = ("answers", "query_chars", "response_chars")
_NOT_NEGATIVE = ("repeat_count", "thinking_tokens", "temperature", "margin")
_SHARES = ("repetition", "pass_rate", "top_p")
_LANGUAGES = ("language", "response_language")
_ITEMS = {
    "other_categories": ("are categories", schema.CATEGORIES),
    "pii": ("are kinds of findings", KINDS),
    "format": ("are formats", tuple(FORMATS)),
}
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Rule:
    """``bad`` marks rows; ``shows`` are the columns that tell why."""

    sentence: str
    bad: pl.Expr
    shows: tuple[str, ...]


def rules(columns: Sequence[str]) -> Iterator[Rule]:
    """Those of flat columns, by name; the others have rules of their own."""
    for name in columns:
        for sentence, bad in _single(name):
            yield Rule(f"{name} {sentence}", bad, (name,))
    for needed, sentence, bad in _between():
        if set(needed) <= set(columns):
            yield Rule(sentence, bad, needed)


def _single(name: str) -> Iterator[tuple[str, pl.Expr]]:
    column, value = schema.column(name), pl.col(name)
    if name in _NAMED:
        yield "is not empty", value.fill_null("").str.strip_chars() == ""
    if name in _SAID:
        yield "is null or not empty", value.str.strip_chars() == ""
    if column.labels:
        yield "is one of its labels", ~value.is_in(column.labels)
    if name in _ITEMS:
        sentence, labels = _ITEMS[name]
        yield sentence, _any_item(value, ~pl.element().is_in(labels))
    if name == "leaked":
        yield "is one of its labels", ~value.is_in(list(LEAKS))
    if name in _LANGUAGES:
        yield "is an ISO 639 code", ~value.str.contains(r"^[a-z]{2,3}$")
    if name == "finish_reason":
        yield "is stop or length", ~value.is_in(["stop", "length"]).fill_null(False)
    if pa.types.is_floating(column.type):
        yield "is a finite number", ~value.is_finite()
    if name == "scores":
        yield "are finite numbers", _any_item(value, ~pl.element().is_finite())
    if name == "rewards":
        score, model = (pl.element().struct.field(key) for key in ("score", "model"))
        yield "have finite scores", value.list.eval(~score.is_finite()).list.any()
        yield "name their models", _any_item(value, model.str.strip_chars() == "")
    if name == "turn_labels":
        for label in ("category", "difficulty", "quality"):
            known = pl.element().struct.field(label).is_in(schema.column(label).labels)
            yield f"have known labels of {label}", value.list.eval(~known).list.any()
    if name in _COUNTED:
        yield "is above 0", ~(value > 0).fill_null(False)
    if name in _POSITIVE:
        yield "is above 0", value <= 0
    if name in _NOT_NEGATIVE:
        yield "is 0 or more", value.is_finite() & (value < 0)
    if name in _SHARES:
        yield "is between 0 and 1", value.is_finite() & ~value.is_between(0, 1)


def _between() -> Iterator[tuple[tuple[str, ...], str, pl.Expr]]:
    margin, chosen, rejected = (
        pl.col(name) for name in ("margin", "chosen_score", "rejected_score")
    )
    off = (chosen - rejected - margin).abs()
    room = _ROUNDING * pl.max_horizontal(1.0, chosen.abs(), rejected.abs())
    yield (
        ("margin", "chosen_score", "rejected_score"),
        "margin is chosen_score minus rejected_score",
        off.is_finite() & (off > room),
    )
    yield (
        ("nearest_id", "id"),
        "nearest_id is another row's id",
        pl.col("nearest_id") == pl.col("id"),
    )
    yield (
        ("thinking_tokens", "response_tokens"),
        "thinking_tokens are among response_tokens",
        pl.col("thinking_tokens") > pl.col("response_tokens"),
    )


def _any_item(value: pl.Expr, bad: pl.Expr) -> pl.Expr:
    """Lists of which an item is bad or null."""
    return value.list.eval(bad.fill_null(True)).list.any()
