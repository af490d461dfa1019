"""Every query's place on a map of all of them: the stage of map.

The map is t-SNE (van der Maaten and Hinton 2008, by openTSNE) of the embeddings that ``neighbors``
compares, so that queries of one kind stand together. Of many queries a sample is laid out, and each
of the others is put among the sampled ones that it is most like.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from magpie_hub import models
from magpie_hub.annotate.compare import filled
from magpie_hub.errors import MissingExtra
from magpie_hub.neighbors.block import Vectors
from magpie_hub.recipe import Map, Neighbors, Recipe
from magpie_hub.run import Run
from magpie_hub.run.info import StageInfo
from magpie_hub.run.stored import store
from magpie_hub.stages import Whole
from magpie_hub.stages.screen import Rules, rules_keys

Places: TypeAlias = npt.NDArray[np.float32]
LAID_OUT = 10_000
"""Queries that t-SNE lays out at most: a minute of one core. Further ones are put among them."""
FEWEST = 8
"""Of fewer different queries there is no map."""
_PERPLEXITY = 30
_LIKE = 10
_BLOCK = 4096


def info(
    recipe: Recipe, settings: Map, sample: StageInfo, labels: Sequence[StageInfo]
) -> StageInfo:
    """``labels`` are what the rules of the screen look at besides the query. ``MissingExtra`` where
    openTSNE is not installed."""
    if importlib.util.find_spec("openTSNE") is None:
        raise MissingExtra("openTSNE", "map")
    near = embedded_by(recipe, settings)
    model = models.resolve(near.model, near.revision)
    return StageInfo(
        name="map",
        folder="annotations/map",
        keys={
            "model": model.identity,
            "layout": f"t-SNE of {LAID_OUT} queries, seed {settings.seed}",
            "queries": json.dumps([rules_keys(recipe), *(each.fingerprint for each in labels)]),
        },
        after=sample.fingerprint,
        cheap=True,
        whole=True,
        columns=(),
        model=model.ref,
        revision=model.revision,
    )


def embedded_by(recipe: Recipe, settings: Map) -> Neighbors:
    """What embeds the queries: what the map names, else what ``neighbors`` does."""
    if settings.model is not None:
        return Neighbors(model=settings.model, revision=settings.revision)
    return recipe.annotate.neighbors or Neighbors()


def mapping(run: Run, settings: Map, rules: Rules) -> Whole:
    """The place of every query that breaks no rule."""

    def make(shards: Sequence[int]) -> Iterator[pa.Table]:
        index, embedder = filled(run, run.stage("map"), embedded_by(run.recipe, settings), rules)
        every = range(run.shard_count)
        chosen = sample([n for each in every for n in index.rows(each).ids], settings.seed)
        vectors = np.empty((len(chosen), embedder.dimensions), np.float32)
        for each in every:
            rows = index.rows(each)
            for name, vector in zip(rows.ids, rows.vectors, strict=True):
                if name in chosen:
                    vectors[chosen[name]] = vector
        laid_out = Layout(vectors, seed=settings.seed)
        for each in shards:
            rows = index.rows(each)
            at = np.array([chosen.get(name, -1) for name in rows.ids], np.int64)
            places = laid_out.of(rows.vectors, at)
            unknown = np.isnan(places[:, 0])
            columns = {
                "id": pa.array(rows.ids, pa.string()),
                "x": pa.array(places[:, 0], pa.float32(), mask=unknown),
                "y": pa.array(places[:, 1], pa.float32(), mask=unknown),
                "error": pa.nulls(len(rows.ids), pa.string()),
            }
            yield pa.table(columns).select(store(run, "map").schema.names)

    return Whole("map", make)


def sample(ids: Sequence[str], seed: int) -> dict[str, int]:
    """So many of ``ids`` as are laid out, each with its place among them, by a draw that depends on
    ``seed`` and the id alone: of a run that grew, most of them stay."""

    def drawn(name: str) -> bytes:
        return hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()

    few = ids if len(ids) <= LAID_OUT else sorted(ids, key=drawn)[:LAID_OUT]
    return {name: at for at, name in enumerate(sorted(few))}


class Layout:
    """A map of ``vectors`` (rows, dimensions), which have length 1: two numbers from -1 to 1 a row.
    The same vectors and ``seed`` give the same map, however many cores there are."""

    def __init__(self, vectors: Vectors, *, seed: int) -> None:
        self._vectors = vectors
        self._places: Places = np.full((len(vectors), 2), np.nan, np.float32)
        if len(vectors) and len(np.unique(vectors, axis=0)) >= FEWEST:
            self._places = _laid_out(vectors, seed)

    def of(self, vectors: Vectors, at: npt.NDArray[np.int64]) -> Places:
        """The places (rows, 2) of ``vectors``: of those laid out their own, which is ``at``; of the
        others (-1) the median of the places of those that they are most like. NaN: no map."""
        import torch

        places = self._places[at]
        others = np.flatnonzero(at < 0)
        known = torch.from_numpy(self._vectors).T
        for start in range(0, len(others), _BLOCK):
            part = others[start : start + _BLOCK]
            like = torch.topk(torch.from_numpy(vectors[part]) @ known, _LIKE).indices.numpy()
            places[part] = np.median(self._places[like], axis=1)
        return places


def _laid_out(vectors: Vectors, seed: int) -> Places:
    from openTSNE import TSNE

    perplexity = min(_PERPLEXITY, (len(vectors) - 1) / 3)
    # More than one job would give another map on another number of cores.
    tsne = TSNE(perplexity=perplexity, metric="cosine", random_state=seed, n_jobs=1)
    made = np.asarray(tsne.fit(vectors))
    made -= (made.max(axis=0) + made.min(axis=0)) / 2
    places: Places = (made / np.abs(made).max()).astype(np.float32)
    return places
