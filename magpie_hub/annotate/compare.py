"""Every query beside all others: the stages of neighbors and duplicates.

Both look at the queries that break no rule of the screen, once all shards have come that far. Pairs
of shards that have been compared stay so (``RUN/neighbors/``): more rows cost the new pairs alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
import pyarrow as pa

from magpie_hub import models
from magpie_hub.annotate.duplicates import duplicates
from magpie_hub.pool import joined, store
from magpie_hub.recipe import Duplicates, Neighbors, Recipe
from magpie_hub.run import Run, StageInfo
from magpie_hub.screen import Rules, rules_keys
from magpie_hub.stage import Whole

NEIGHBORS = ("min_neighbor_distance", "nearest_id", "repeat_count")


def neighbors_info(
    recipe: Recipe, settings: Neighbors, sample: StageInfo, labels: Sequence[StageInfo]
) -> StageInfo:
    """``labels`` are what the rules of the screen look at besides the query."""
    model = models.resolve(settings.model, settings.revision)
    return StageInfo(
        name="neighbors",
        folder="annotations/neighbors",
        keys={
            "model": model.identity,
            "threshold": f"{settings.threshold:g}",
            "queries": json.dumps([rules_keys(recipe), *(each.fingerprint for each in labels)]),
        },
        after=sample.fingerprint,
        cheap=True,
        whole=True,
        columns=NEIGHBORS,
        model=model.ref,
        revision=model.revision,
    )


def neighboring(run: Run, settings: Neighbors, rules: Rules) -> Whole:
    """The nearest other query of every query that breaks no rule: squared L2 between embeddings of
    length 1, as in Magpie's own sets."""

    def make(shards: Sequence[int]) -> Iterator[pa.Table]:
        from magpie_hub.neighbors.embedding import Embedder
        from magpie_hub.neighbors.index import Index

        stage = run.stage("neighbors").fingerprint
        embedder = Embedder(settings.model, revision=settings.revision)
        index = Index(
            run.folder.child(f"neighbors/{stage[:12]}"),
            dimensions=embedder.dimensions,
            fingerprint=stage,
            threshold=settings.threshold,
        )
        there = set(index.shards())
        for shard in range(run.shard_count):
            if shard not in there:
                rows = rules.survivors(shard)
                index.add(shard, [name for name, _ in rows], embedder.embed([t for _, t in rows]))
        index.compute()
        arrow = store(run, "neighbors").schema
        for shard in shards:
            found = index.result(shard)
            alone = np.isinf(found.distance)
            columns = {
                "id": pa.array([name for name, _ in rules.survivors(shard)], pa.string()),
                "min_neighbor_distance": pa.array(found.distance, pa.float64(), mask=alone),
                "nearest_id": pa.array(found.id, pa.string()),
                "repeat_count": pa.array(found.repeats, pa.int64()),
                "error": pa.nulls(len(found.id), pa.string()),
            }
            yield pa.table(columns).select(arrow.names).cast(arrow)

    return Whole("neighbors", make)


def duplicates_info(
    recipe: Recipe, settings: Duplicates, sample: StageInfo, labels: Sequence[StageInfo]
) -> StageInfo:
    """``labels``: all stages before, since the best of a group is kept by its quality."""
    return StageInfo(
        name="duplicates",
        folder="annotations/duplicates",
        keys={
            "jaccard": f"{settings.jaccard:g}",
            "neighbors": f"{settings.neighbors:g}" if settings.neighbors is not None else "none",
            "queries": json.dumps([rules_keys(recipe), *(each.fingerprint for each in labels)]),
        },
        after=sample.fingerprint,
        cheap=True,
        whole=True,
        columns=(),
    )


def comparing(run: Run, settings: Duplicates, rules: Rules) -> Whole:
    """Of whom a query is a duplicate, by its words or its meaning. The best of each group is kept,
    and what stands in a release already before all."""

    def make(shards: Sequence[int]) -> Iterator[pa.Table]:
        rows = [rules.survivors(shard) for shard in range(run.shard_count)]
        names = [[name for name, _ in each] for each in rows]
        ids = [name for each in names for name in each]
        labels = _labels(run, names)
        quality = labels["quality"].to_list() if "quality" in labels.columns else None
        found = duplicates(
            ids,
            [query for each in rows for _, query in each],
            threshold=settings.jaccard,
            neighbours=_near_pairs(ids, labels, settings.neighbors),
            quality=quality,
            settled=_released(run),
        )
        of = dict(zip(ids, zip(*found.to_pydict().values(), strict=True), strict=True))
        arrow = store(run, "duplicates").schema
        for shard in shards:
            yield pa.Table.from_pylist(
                [
                    {"id": name, "duplicate_of": of[name][1], "duplicate_reason": of[name][2]}
                    for name in names[shard]
                ],
                schema=arrow,
            )

    return Whole("duplicates", make)


def _labels(run: Run, names: Sequence[Sequence[str]]) -> pl.DataFrame:
    """What is known of the rows ``names`` of each shard."""
    wanted = [name for name in ("judge", "neighbors") if run.has(name)]
    ids = [pa.chunked_array([pa.array(each, pa.string())]) for each in names]
    tables = [joined(run, shard, each, wanted) for shard, each in enumerate(ids)]
    return pl.DataFrame(pa.concat_tables(tables))


def _near_pairs(ids: list[str], labels: pl.DataFrame, threshold: float | None) -> np.ndarray:
    """Each row under the threshold with its nearest; by place in ``ids``."""
    if threshold is None:
        return np.empty((0, 2), dtype=np.int64)
    place = {name: number for number, name in enumerate(ids)}
    nearest, distance = labels["nearest_id"].to_list(), labels["min_neighbor_distance"].to_list()
    pairs = [
        (row, place[other])
        for row, (other, far) in enumerate(zip(nearest, distance, strict=True))
        if other is not None and far is not None and far < threshold
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _released(run: Run) -> set[str]:
    """The ids that stand in a release of this run."""
    if run.folder.remote:
        return set()
    files = sorted((run.path / "releases").glob("*/data/*/*.parquet"))
    return {name for file in files for name in pl.scan_parquet(file).select("id").collect()["id"]}
