"""How steering and decoding paid: by steer key and by decoding cell, how many queries passed the
screen, how many repeated others, how long they were and what they were about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import polars as pl

from magpie_hub import schema
from magpie_hub.release import Yield
from magpie_hub.run import Run

TOP_CATEGORIES = 3
_ROW = ["steer", "temperature", "top_p", "reason", "category"]


def yields(run: Run) -> tuple[Yield, ...]:
    """Of the shards screened so far, in the recipe's order: steer keys, topics folded, where there
    are any, then decoding cells. Those that had no slot yet are left out."""
    tables = list(_counted(run))
    if not tables:
        return ()
    rows = pl.concat(tables).group_by(_ROW).agg(pl.col("rows", "tokens", "measured").sum())
    sampling = run.recipe.sample
    found = [
        _yield("steer", steer.key, rows.filter(pl.col("steer") == steer.key))
        for steer in sampling.steer
    ]
    for temperature, top_p in dict.fromkeys((c.temperature, c.top_p) for c in sampling.grid):
        mine = (pl.col("temperature") == temperature) & (pl.col("top_p") == top_p)
        key = f"temperature {temperature:g}, top-p {top_p:g}"
        found.append(_yield("cell", key, rows.filter(mine)))
    return tuple(each for each in found if each.sampled)


def _counted(run: Run) -> Iterator[pl.DataFrame]:
    """For each screened shard, its rows counted by what they have in common."""
    names = {stage.name for stage in run.info.stages}
    left = {name: set(run.missing(name)) for name in names & {"screen", "judge"}}
    queries, verdicts = run.store("sample", schema.QUERIES), run.store("screen", schema.VERDICTS)
    # A row records "key: topic"; what it was made of is the key.
    keys = {
        steer.name(topic): steer.key for steer in run.recipe.sample.steer for topic in steer.topics
    }
    for shard in range(run.shard_count):
        if shard in left["screen"]:
            continue
        wanted = ["id", "system_prompt", "temperature", "top_p", "query_tokens"]
        rows = pl.DataFrame(queries.read(shard).select(wanted))
        rows = rows.join(
            pl.DataFrame(verdicts.read(shard).select(["id", "reason"])), on="id", how="left"
        )
        if "judge" in names and shard not in left["judge"]:
            judge = run.store("judge", schema.annotation(run.stage("judge").columns))
            labels = pl.DataFrame(judge.read(shard).select(["id", "category"]))
            rows = rows.join(labels, on="id", how="left")
        else:
            rows = rows.with_columns(category=pl.lit(None, pl.String))
        rows = rows.with_columns(steer=pl.col("system_prompt").replace(keys))
        yield rows.group_by(_ROW).agg(
            rows=pl.len(),
            tokens=pl.col("query_tokens").sum(),
            measured=pl.col("query_tokens").count(),
        )


def _yield(kind: Literal["steer", "cell"], key: str, rows: pl.DataFrame) -> Yield:
    sampled, kept = _total(rows), _total(rows.filter(pl.col("reason").is_null()))
    reasons = _counts(rows, "reason")
    categories = _counts(rows, "category")
    labelled = sum(categories.values())
    measured = int(rows["measured"].sum())
    return Yield(
        kind=kind,
        key=key,
        sampled=sampled,
        kept=kept,
        share_kept=kept / sampled if sampled else 0.0,
        duplicates=reasons.pop("duplicate", 0),
        rejected=reasons,
        mean_query_tokens=int(rows["tokens"].sum()) / measured if measured else 0.0,
        categories={name: categories[name] / labelled for name in [*categories][:TOP_CATEGORIES]},
    )


def _total(rows: pl.DataFrame) -> int:
    return int(rows["rows"].sum())


def _counts(rows: pl.DataFrame, column: str) -> dict[str, int]:
    """Rows by value, the most frequent first."""
    counts = rows.drop_nulls(column).group_by(column).agg(pl.col("rows").sum())
    return dict(counts.sort([-pl.col("rows").cast(pl.Int64), column]).iter_rows())
