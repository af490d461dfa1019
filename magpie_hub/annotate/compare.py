"""Every query beside all others, and beside the items of benchmarks and of other datasets: the
stages of neighbors, overlap and duplicates.

They look at the queries that break no rule of the screen, once all shards have come that far. What
has been embedded and compared stays (``RUN/neighbors/``): more rows cost the new pairs alone.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from magpie_hub import models
from magpie_hub.annotate import items, meaning
from magpie_hub.annotate.duplicates import Foreign, duplicates
from magpie_hub.annotate.near import Pairs
from magpie_hub.neighbors.embedding import Embedder
from magpie_hub.neighbors.index import Index
from magpie_hub.neighbors.pieces import Row
from magpie_hub.recipe import Contamination, Duplicates, Neighbors, Recipe
from magpie_hub.run import Run
from magpie_hub.run.info import StageInfo
from magpie_hub.run.stored import joined, store
from magpie_hub.stages import Whole
from magpie_hub.stages.screen import Rules, rules_keys
from magpie_hub.storage import Folder

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
        index, _ = filled(run, run.stage("neighbors"), settings, rules)
        index.compute()
        arrow = store(run, "neighbors").schema
        for shard in shards:
            found = index.result(shard)
            alone = np.isinf(found.distance)
            columns = {
                "id": pa.array(index.rows(shard).ids, pa.string()),
                "min_neighbor_distance": pa.array(found.distance, pa.float64(), mask=alone),
                "nearest_id": pa.array(found.id, pa.string()),
                "repeat_count": pa.array(found.repeats, pa.int64()),
                "error": pa.nulls(len(found.id), pa.string()),
            }
            yield pa.table(columns).select(arrow.names).cast(arrow)

    return Whole("neighbors", make)


def filled(run: Run, stage: StageInfo, settings: Neighbors, rules: Rules) -> tuple[Index, Embedder]:
    """The vectors of all queries that break no rule, those that are missing made now, and what
    makes them; ``stage`` asks for them."""
    embedder = Embedder(settings.model, revision=settings.revision)
    folder, fingerprint = place(run, stage, settings)
    index = Index(
        folder,
        dimensions=embedder.dimensions,
        fingerprint=fingerprint,
        threshold=settings.threshold,
    )
    for shard in range(run.shard_count):
        start = shard * run.info.shard_rows
        places = {run.slot_id(start + place): place for place in range(run.rows_in(shard))}
        rows = [Row(places[name], name, query) for name, query in rules.survivors(shard)]
        index.put(shard, rows, embedder.embed)
    return index, embedder


def place(run: Run, stage: StageInfo, settings: Neighbors) -> tuple[Folder, str]:
    """Where the vectors for ``stage`` are, and the fingerprint that they have there."""
    made = json.dumps([stage.after, stage.keys["model"], f"{settings.threshold:g}"])
    fingerprint = hashlib.blake2b(made.encode(), digest_size=16).hexdigest()
    return run.folder.child(f"neighbors/{fingerprint[:12]}"), fingerprint


def overlap_info(settings: Contamination, sample: StageInfo, neighbors: StageInfo) -> StageInfo:
    return StageInfo(
        name="overlap",
        folder="annotations/overlap",
        keys={
            "model": neighbors.keys["model"],
            "nearest": f"{settings.nearest:g}",
            "queries": neighbors.keys["queries"],
            **{f"benchmark {each.name}": items.identity(each) for each in settings.against},
        },
        after=sample.fingerprint,
        cheap=True,
        whole=True,
        columns=(),
        model=neighbors.model,
        revision=neighbors.revision,
    )


def overlapping(run: Run, settings: Contamination, near: Neighbors, rules: Rules) -> Whole:
    """The benchmark's item that every query means, if there is one."""
    under = settings.nearest
    assert under is not None

    def make(shards: Sequence[int]) -> Iterator[pa.Table]:
        every = [item for each in settings.against for item in items.read(each)]
        index, embedder = filled(run, run.stage("overlap"), near, rules)
        known = meaning.Meanings(every, embedder.embed([i.text for i in every]), under=under)
        arrow = store(run, "overlap").schema
        for shard in shards:
            rows = index.rows(shard)
            columns = {
                "id": pa.array(rows.ids, pa.string()),
                "item": pa.array(known.find(rows.vectors), pa.string()),
                "error": pa.nulls(len(rows.ids), pa.string()),
            }
            yield pa.table(columns).select(arrow.names)

    return Whole("overlap", make)


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
            **{f"dataset {each.name}": items.identity(each) for each in settings.against},
        },
        after=sample.fingerprint,
        cheap=True,
        whole=True,
        columns=(),
    )


def comparing(run: Run, settings: Duplicates, rules: Rules) -> Whole:
    """Of whom a query is a duplicate, by its words or its meaning. What stands in another dataset
    goes; of each group of the others the best is kept, and what stands in a release already before
    all."""

    def make(shards: Sequence[int]) -> Iterator[pa.Table]:
        rows = [rules.survivors(shard) for shard in range(run.shard_count)]
        of = _elsewhere(settings, [row for each in rows for row in each])
        gone = of.keys() | _overlapped(run)
        left = [[(name, query) for name, query in each if name not in gone] for each in rows]
        names = [[name for name, _ in each] for each in left]
        ids = [name for each in names for name in each]
        labels = _labels(run, names)
        quality = labels["quality"].to_list() if "quality" in labels.columns else None
        found = duplicates(
            ids,
            [query for each in left for _, query in each],
            threshold=settings.jaccard,
            neighbours=_near_links(run, settings.neighbors, rules, names, labels),
            quality=quality,
            settled=_released(run),
        )
        _, *why = found.to_pydict().values()
        of |= dict(zip(ids, zip(*why, strict=True), strict=True))
        arrow = store(run, "duplicates").schema
        for shard in shards:
            told = [(name, *of.get(name, (None, None))) for name, _ in rows[shard]]
            yield pa.Table.from_pylist(
                [
                    {"id": n, "duplicate_of": whose, "duplicate_reason": how}
                    for n, whose, how in told
                ],
                schema=arrow,
            )

    return Whole("duplicates", make)


def _elsewhere(
    settings: Duplicates, rows: Sequence[tuple[str, str]]
) -> dict[str, tuple[str | None, str | None]]:
    """By id, of those ``rows`` whose words stand in another dataset: its item, and how."""
    if not settings.against:
        return {}
    others = [item for each in settings.against for item in items.read(each)]
    found = Foreign(others, threshold=settings.jaccard).find([query for _, query in rows])
    return {name: hit for (name, _), hit in zip(rows, found, strict=True) if hit is not None}


def _overlapped(run: Run) -> set[str]:
    """The ids of queries that mean an item of a benchmark."""
    if not run.has("overlap"):
        return set()
    tables = store(run, "overlap").read_each(range(run.shard_count))
    hits = [table.filter(table["item"].is_valid())["id"].to_pylist() for table in tables]
    return {name for each in hits for name in each}


def _labels(run: Run, names: Sequence[Sequence[str]]) -> pl.DataFrame:
    """What is known of the rows ``names`` of each shard."""
    wanted = [name for name in ("judge", "neighbors") if run.has(name)]
    ids = [pa.chunked_array([pa.array(each, pa.string())]) for each in names]
    tables = [joined(run, shard, each, wanted) for shard, each in enumerate(ids)]
    return pl.DataFrame(pa.concat_tables(tables))


def _near_links(
    run: Run,
    under: float | None,
    rules: Rules,
    names: Sequence[Sequence[str]],
    labels: pl.DataFrame,
) -> Pairs:
    """Links that join the rows ``names`` as all pairs less than ``under`` apart would; by place
    among them. Who has a neighbour so near is known, so that only these are compared."""
    settings = run.recipe.annotate.neighbors
    if under is None or settings is None:
        return np.empty((0, 2), dtype=np.int64)
    near = (labels["min_neighbor_distance"] < under).fill_null(False).to_numpy()
    places = np.flatnonzero(near)
    if not len(places):
        return np.empty((0, 2), dtype=np.int64)
    index, embedder = filled(run, run.stage("neighbors"), settings, rules)
    with tempfile.TemporaryDirectory() as folder:
        shape = (len(places), embedder.dimensions)
        vectors = np.memmap(Path(folder, "vectors"), np.float32, "w+", shape=shape)
        start = done = 0
        for shard, each in enumerate(names):
            wanted = np.flatnonzero(near[start : start + len(each)])
            if len(wanted):
                rows = index.rows(shard)
                at = {name: place for place, name in enumerate(rows.ids)}
                vectors[done : done + len(wanted)] = rows.vectors[
                    [at[each[place]] for place in wanted.tolist()]
                ]
            start, done = start + len(each), done + len(wanted)
        return places[meaning.links(vectors, under)]


def _released(run: Run) -> set[str]:
    """The ids that stand in a release of this run."""
    if run.folder.remote:
        return set()
    files = sorted((run.path / "releases").glob("*/data/*/*.parquet"))
    return {name for file in files for name in pl.scan_parquet(file).select("id").collect()["id"]}
