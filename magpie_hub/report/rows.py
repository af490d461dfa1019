"""One walk over all rows: how many of each kind there are, and the sample that the report shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import polars as pl

from magpie_hub import schema
from magpie_hub.report.columns import shown
from magpie_hub.report.sources import KEPT, Source
from magpie_hub.rows import splits

Fate = tuple[str, str]
"""Stage and reason: what became of a row."""
KEPT_FATE: Fate = (KEPT, KEPT)
ALL = 4000
"""Up to so many rows are all shown; of more, so many kept ones at most."""
REJECTED = 2000
FEWEST = 20
"""Of the rejected rows so many are shown, and of each reason so many at least."""
NEAREST = 400
_FATE = ["stage", "reason"]
_BATCH = 50_000
_NOTHING = pl.DataFrame(schema=dict.fromkeys(["id", "stage", "reason", "detail"], pl.String))
_JUDGED = ("quality", "conversation_quality", "reward", "rewards")


@dataclass
class Walk:
    """``fates`` counts all rows; ``counts[label]`` those of each value (None: it has none), by
    whether they are kept. ``sample`` has the rows that are shown, in slot order; ``judged`` the
    labels of all kept rows that judges gave; ``near`` the nearest of all neighbours."""

    fates: Counter[Fate] = field(default_factory=Counter)
    counts: dict[str, dict[bool, Counter[str | None]]] = field(default_factory=dict)
    sample: pl.DataFrame = field(default_factory=_NOTHING.clone)
    judged: pl.DataFrame = field(default_factory=pl.DataFrame)
    near: pl.DataFrame = field(default_factory=_NOTHING.clone)

    @property
    def rows(self) -> int:
        return self.fates.total()

    @property
    def kept(self) -> int:
        return self.fates[KEPT_FATE]


def walk(source: Source, *, seed: int = 0) -> Walk:
    """Read all rows once. Which are shown follows from ``seed`` and their ids alone."""
    found = Walk()
    judged: list[pl.DataFrame] = []
    batch: list[pl.DataFrame] = []
    frames = source.frames()
    while True:
        frame = next(frames, None)
        batch += [frame] if frame is not None else []
        if batch and (frame is None or sum(map(len, batch)) >= _BATCH):
            _add(found, pl.concat(batch), source.there, judged, seed)
            batch = []
        if frame is None:
            break
    if judged:
        found.judged = pl.concat(judged)
    if len(found.sample):
        found.sample = _drawn(found)
    return found


def _add(
    found: Walk, rows: pl.DataFrame, there: Sequence[str], judged: list[pl.DataFrame], seed: int
) -> None:
    is_kept = pl.col("stage") == KEPT
    for stage, reason, count in rows.group_by(_FATE).len().iter_rows():
        found.fates[stage, reason] += count
    labels, _ = shown(there)
    for label in labels:
        values = rows.select(is_kept.alias("kept"), pl.col(label.name))
        if label.several:
            values = values.explode(label.name, empty_as_null=True)
        both = found.counts.setdefault(label.name, {True: Counter(), False: Counter()})
        for kept, value, count in values.group_by("kept", label.name).len().iter_rows():
            both[kept][value] += count
    judged.append(rows.filter(is_kept).select(_judged(rows.columns)))
    if "nearest_id" in rows.columns:
        wanted = ["id", "nearest_id", "min_neighbor_distance", *_FATE]
        near = rows.select(wanted).drop_nulls("nearest_id")
        near = pl.concat([found.near, near]) if len(found.near) else near
        found.near = near.sort("min_neighbor_distance", "id").head(NEAREST)
    salted = (f"{seed}:{name}" for name in rows["id"])
    drawn = rows.with_columns(_drawn=pl.Series(splits.keys(salted)))
    drawn = pl.concat([found.sample, drawn]) if len(found.sample) else drawn
    most = pl.when(is_kept).then(ALL).otherwise(ALL if found.rows <= ALL else REJECTED)
    rank = pl.col("_drawn").rank("ordinal").over(_FATE)
    found.sample = drawn.filter(rank <= most)


def _judged(columns: Sequence[str]) -> list[pl.Expr]:
    """Small: they are kept of all rows."""
    enum = schema.label_types()["quality"]
    made = {
        "quality": [pl.col("quality").cast(enum)],
        "conversation_quality": [pl.col("conversation_quality").cast(enum)],
        "reward": [pl.col("reward")],
        "rewards": [
            pl.col("rewards").list.get(at, null_on_oob=True).struct.field("score").alias(f"by {at}")
            for at in (0, 1)
        ],
    }
    exprs = [expr for name in _JUDGED if name in columns for expr in made[name]]
    return [pl.col("id"), *exprs] if exprs else []


def _drawn(found: Walk) -> pl.DataFrame:
    """Of each fate the rows drawn first, as many as it gets."""
    shares = shares_of(found.fates)
    parts = [
        rows.sort("_drawn").head(shares[stage, reason])
        for (stage, reason), rows in found.sample.group_by(_FATE)
    ]
    return pl.concat(parts).sort("id").drop("_drawn")


def shares_of(fates: Counter[Fate]) -> dict[Fate, int]:
    """How many rows of each fate are shown: all, or so many kept ones, and of the others evenly as
    many of each reason as there are and fit."""
    if fates.total() <= ALL:
        return dict(fates)
    others = sorted((count, fate) for fate, count in fates.items() if fate != KEPT_FATE)
    left, found = REJECTED, {KEPT_FATE: min(fates[KEPT_FATE], ALL)}
    for place, (count, fate) in enumerate(others):
        even = max(left // (len(others) - place), FEWEST)
        found[fate] = min(count, even)
        left = max(left - found[fate], 0)
    return found


def told(found: Walk, *, seed: int = 0) -> str:
    """How the rows that are shown were chosen, in a sentence."""
    kept, others = found.kept, found.rows - found.kept
    if len(found.sample) == found.rows:
        return f"All {found.rows:,} rows."
    shown_kept = found.sample.filter(pl.col("stage") == KEPT).height
    return (
        f"A sample: {shown_kept:,} of {kept:,} kept and {len(found.sample) - shown_kept:,} of "
        f"{others:,} rejected rows, drawn evenly with seed {seed}."
    )


def fates_in_order(counts: Iterable[Fate], fates: Counter[Fate]) -> list[Fate]:
    """Kept first, then the most frequent."""
    others = sorted((fate for fate in counts if fate != KEPT_FATE), key=lambda f: (-fates[f], f))
    return [KEPT_FATE, *others]
