"""Where two of those who judge rows do not agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from magpie_hub import schema
from magpie_hub.report.rows import Walk
from magpie_hub.report.shown import short
from magpie_hub.run import Run
from magpie_hub.run.stored import store

POINTS = 3000
_FIFTHS = ("lowest fifth", "second fifth", "middle fifth", "fourth fifth", "highest fifth")
_FEWEST = 10


def judges(
    found: Walk, ids: Sequence[str], *, models: Sequence[str] = (), unlabelled: int = 0
) -> dict[str, Any] | None:
    """Of all kept rows; ``ids`` are those shown, ``models`` the reward models in their order, and
    ``unlabelled`` rows those to which the judge gave no label. None: nobody to compare."""
    rows = found.judged
    there = set(rows.columns)
    note = f" The judge gave {unlabelled:,} rows no label." if unlabelled else ""
    items = []
    if {"by 0", "by 1"} <= there:
        items.append(_scores(rows, ids, models))
    if {"quality", "conversation_quality"} <= there:
        items.append(
            _labels(
                rows,
                "conversation_quality",
                "Quality: the first question and the whole conversation",
                "quality of the conversation",
                "The same judge, asked about the question and then about the conversation." + note,
            )
        )
    if {"quality", "reward"} <= there:
        items.append(_fifths(rows, note))
    items = [each for each in items if each]
    return {"items": items} if items else None


def unlabelled(run: Run) -> int:
    """Rows on which the judge failed."""
    if not run.has("judge"):
        return 0
    left, shards = set(run.missing("judge")), store(run, "judge")
    return sum(shards.failed(shard) for shard in range(run.shard_count) if shard not in left)


def _scores(rows: pl.DataFrame, ids: Sequence[str], models: Sequence[str]) -> dict[str, Any] | None:
    both = rows.select("id", "by 0", "by 1").drop_nulls()
    if len(both) < _FEWEST:
        return None
    at = {name: place for place, name in enumerate(ids)}
    points = both.filter(pl.col("id").is_in(list(at))).head(POINTS)
    a, b = models[:2] if len(models) > 1 else ("first model", "second model")
    return {
        "title": f"Reward: {a} and {b}",
        "kind": "numbers",
        "a": a,
        "b": b,
        "points": [[short(one), short(two)] for _, one, two in points.iter_rows()],
        "rows": [at[name] for name in points["id"]],
        "agreement": short(_spearman(both["by 0"], both["by 1"])),
        "measure": "rank correlation (Spearman)",
        "note": f"Of {len(both):,} answers that both have scored; {len(points):,} are drawn.",
    }


def _labels(rows: pl.DataFrame, other: str, title: str, b: str, note: str) -> dict[str, Any] | None:
    both = rows.select("quality", other).drop_nulls()
    if len(both) < _FEWEST:
        return None
    values = schema.QUALITIES
    return {
        "title": title,
        "kind": "labels",
        "a": "quality",
        "b": b,
        "values_a": list(values),
        "values_b": list(values),
        "counts": _crossed(both["quality"], len(values), both[other].to_physical(), len(values)),
        "agreement": short(float((both["quality"] == both[other]).mean() or 0)),  # type: ignore[arg-type]
        "measure": "same label",
        "note": note,
    }


def _fifths(rows: pl.DataFrame, note: str) -> dict[str, Any] | None:
    both = rows.select("quality", "reward").drop_nulls().filter(pl.col("reward").is_finite())
    if len(both) < _FEWEST or both["reward"].n_unique() < len(_FIFTHS):
        return None
    rewards = both["reward"].to_numpy()
    edges = np.quantile(rewards, [0.2, 0.4, 0.6, 0.8])
    fifth = pl.Series(np.searchsorted(edges, rewards, side="right"))
    return {
        "title": "Quality of the question and reward of its answer",
        "kind": "labels",
        "a": "quality",
        "b": "reward",
        "values_a": list(schema.QUALITIES),
        "values_b": list(_FIFTHS),
        "counts": _crossed(both["quality"], len(schema.QUALITIES), fifth, len(_FIFTHS)),
        "agreement": short(_spearman(both["quality"].to_physical(), both["reward"])),
        "measure": "rank correlation (Spearman)",
        "note": "The judge sees the question alone, the reward model the answer too: a low reward "
        "of a good question is that of a bad answer." + note,
    }


def _crossed(one: pl.Series, rows: int, other: pl.Series, columns: int) -> list[list[int]]:
    """counts[a][b]."""
    flat = one.to_physical().to_numpy().astype(np.int64) * columns + other.to_numpy()
    found: list[list[int]] = (
        np.bincount(flat, minlength=rows * columns).reshape(rows, columns).tolist()
    )
    return found


def _spearman(one: pl.Series, other: pl.Series) -> float | None:
    frame = pl.DataFrame({"a": one, "b": other})
    found = frame.select(pl.corr("a", "b", method="spearman")).item()
    return None if found is None else float(found)
