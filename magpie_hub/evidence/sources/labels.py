"""The labels that a set carries, under the names and values of ``schema.py``.

Magpie's columns of both generations have other names (docs/columns.md). What is no label of ours is
left out: the ``category`` of other sets says something else.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from magpie_hub import schema
from magpie_hub.evidence.sources.shapes import NUMBER, TEXT, Fits

LABELS: Mapping[str, tuple[tuple[str, ...], pl.DataType]] = {
    "category": (("category", "task_category"), TEXT),
    "difficulty": (("difficulty",), TEXT),
    "quality": (("quality", "input_quality"), TEXT),
    "safety": (("safety", "llama_guard_2"), TEXT),
    "reward": (("reward", "instruct_reward"), NUMBER),
    "reward_difference": (("reward_difference",), NUMBER),
}
"""Ours, and the columns that may hold them, with their type."""
MAKERS = {
    "category": "task_category_generator",
    "difficulty": "difficulty_generator",
    "quality": "quality_generator",
    "reward": "reward_model",
}
"""Magpie's columns that name the model behind a label."""


def columns(fits: Fits) -> dict[str, pl.DataType]:
    """The columns of a source to read for its labels."""
    found = {name: kind for names, kind in LABELS.values() for name in names if fits(name, kind)}
    return found | {name: TEXT for name in MAKERS.values() if fits(name, TEXT)}


def carried(there: Mapping[str, pl.DataType]) -> tuple[str, ...]:
    """Our names of the labels among the columns ``there``."""
    return tuple(name for name, (names, _) in LABELS.items() if any(n in there for n in names))


def labels(frame: pl.DataFrame) -> pl.DataFrame:
    """A column for each label whose column is in ``frame``; null where its value is none of
    ours."""
    found = {}
    for ours in carried(frame.schema):
        names, kind = LABELS[ours]
        parts = [pl.col(name).cast(kind) for name in names if name in frame.columns]
        found[ours] = _value(ours, pl.coalesce(parts))
    return frame.select(**found)


def makers(frame: pl.DataFrame) -> dict[str, str]:
    """The models that the rows name for their labels."""
    found = {}
    for ours, column in MAKERS.items():
        if column in frame.columns:
            named = frame[column].cast(TEXT).drop_nulls().unique(maintain_order=True)
            if len(named):
                found[ours] = ", ".join(named)
    return found


def _value(name: str, value: pl.Expr) -> pl.Expr:
    if name == "safety":
        # What a guard said: its verdict, and on the next line the categories.
        kinds = value.str.strip_prefix("unsafe\n").str.replace_all(r",\s*", ", ")
        return pl.when(value == "unsafe").then(value).otherwise(kinds).str.strip_chars()
    known = schema.column(name).labels
    if not known:
        return value.fill_nan(None)
    # "Very poor" is a quality elsewhere too; "math" is a category of other sets, not ours.
    plain = value.str.strip_chars()
    plain = plain.replace("Other", "Others") if name == "category" else plain.str.to_lowercase()
    return pl.when(plain.is_in(known)).then(plain)
