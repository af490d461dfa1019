"""What the stages of a run have stored: their shards, and rows of several side by side."""

from __future__ import annotations

from collections.abc import Container, Iterable

import pyarrow as pa
import pyarrow.compute as pc

from magpie_hub import schema
from magpie_hub.run import Run
from magpie_hub.storage.shards import ShardStore

_STORED = {
    "sample": schema.QUERIES,
    "screen": schema.VERDICTS,
    "respond": schema.RESPONSES,
    "baseline": schema.RESPONSES,
    "choose": schema.CHOICES,
    "overlap": schema.OVERLAPS,
    "duplicates": schema.DUPLICATES,
    "map": schema.MAP,
}
_TURN = {"ask": schema.FOLLOWUPS, "answer": schema.RESPONSES}


def ask(turn: int) -> str:
    """The stage that samples the question of that turn, from the second on."""
    return f"ask-{turn}"


def answer(turn: int) -> str:
    """The stage that answers it."""
    return f"answer-{turn}"


def is_further_reward(stage: str) -> bool:
    """Whether it is that of another reward model than the first."""
    return stage.startswith("reward-")


def store(run: Run, stage: str) -> ShardStore:
    """The shards of a stage, with the schema that it stores."""
    kind, _, number = stage.rpartition("-")
    if found := _STORED.get(stage) or (_TURN.get(kind) if number.isdigit() else None):
        return run.store(stage, found)
    columns = run.stage(stage).columns
    if is_further_reward(stage):
        # What is published of it stands in `rewards`, beside the first model's.
        columns = ("reward", "scores") if run.recipe.respond.answers > 1 else ("reward",)
    return run.store(stage, schema.annotation(columns))


def joined(
    run: Run,
    shard: int,
    ids: pa.ChunkedArray,
    stages: Iterable[str],
    *,
    only: Container[str] | None = None,
) -> pa.Table:
    """What ``stages`` stored for ``ids``, side by side in that order; null where one has no row.
    ``only``: those columns alone, as far as they are there."""
    rows = pa.table({"id": ids})
    for stage in stages:
        shards = store(run, stage)
        wanted = [name for name in shards.schema.names if name not in ("id", "error")]
        if only is not None:
            wanted = [name for name in wanted if name in only]
        if not wanted:
            continue
        found = shards.read(shard)
        places = pc.index_in(ids, value_set=found["id"].combine_chunks())
        for name in wanted:
            rows = rows.append_column(name, found[name].take(places))
    return rows
