"""What a run has made, joined: the rows that a builder publishes, and what was turned away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from magpie_hub import schema
from magpie_hub.run import Run
from magpie_hub.shards import ShardStore

_STORED = {"sample": schema.QUERIES, "screen": schema.VERDICTS, "respond": schema.RESPONSES}


def store(run: Run, stage: str) -> ShardStore:
    """The shards of a stage, with the schema that it stores."""
    arrow = _STORED.get(stage)
    return run.store(stage, arrow or schema.annotation(run.stage(stage).columns))


def published(run: Run, shard: int) -> pa.Table:
    """The shard's answered rows, in slot order, with the published columns and no others."""
    verdicts = store(run, "screen").read(shard)
    stages = [stage.name for stage in run.info.stages if stage.name != "screen"]
    rows = joined(run, shard, verdicts.filter(verdicts["kept"])["id"], stages)
    rows = rows.append_column("messages", _messages(rows))
    rows = rows.append_column("turns", pa.array([1] * len(rows), pa.int64()))
    return rows.select(run.columns()).cast(schema.arrow_schema(run.columns()))


def joined(run: Run, shard: int, ids: pa.ChunkedArray, stages: Iterable[str]) -> pa.Table:
    """What ``stages`` stored for ``ids``, side by side in that order; null where one has no row."""
    rows = pa.table({"id": ids})
    for stage in stages:
        found = store(run, stage).read(shard)
        places = pc.index_in(ids, value_set=found["id"].combine_chunks())
        for name in found.schema.names[1:]:
            rows = rows.append_column(name, found[name].take(places))
    return rows


def _messages(rows: pa.Table) -> pa.Array:
    return pa.array(
        [
            [{"role": "user", "content": query}, {"role": "assistant", "content": response}]
            for query, response in zip(
                rows["query"].to_pylist(), rows["response"].to_pylist(), strict=True
            )
        ],
        schema.MESSAGES,
    )


def rejections(run: Run) -> dict[str, int]:
    """How many queries the screen turned away so far, by reason, most frequent first."""
    counts: Counter[str] = Counter()
    left = set(run.missing("screen"))
    for shard in sorted(set(range(run.shard_count)) - left):
        verdicts = store(run, "screen").read(shard)
        for entry in pc.value_counts(verdicts["reason"].drop_null()).to_pylist():
            counts[entry["values"]] += entry["counts"]
    return dict(counts.most_common())
