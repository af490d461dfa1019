"""The release over other datasets: one map of all, and how much of each the other has, by the
measures of ``compare`` (:mod:`magpie_hub.evidence.compare.coverage`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import polars as pl

from magpie_hub.errors import EngineError, MissingExtra, UsageError
from magpie_hub.evidence.compare.coverage import by_meaning, by_words, layers
from magpie_hub.evidence.compare.result import Pair
from magpie_hub.evidence.compare.sampling import Sample, sample
from magpie_hub.evidence.resampling import Bootstrap, Interval
from magpie_hub.evidence.sources import Source
from magpie_hub.hub.client import Report
from magpie_hub.neighbors import embedding
from magpie_hub.neighbors.block import Vectors
from magpie_hub.release import Release
from magpie_hub.report.shown import clean
from magpie_hub.report.vectors import embedders, vectors
from magpie_hub.run import Run

QUESTIONS = 5000
"""Of each set, at most: so many of two sets are laid out in a minute of one core."""
SEED = 0
_COVERED = (
    "A question counts as covered where the other set has one that is no farther than its fifth "
    "nearest in its own set (arXiv 2002.09797); two samples of one set cover each other by 97 %."
)
_NEARLY = (
    "Nearly the same words: four in five of their runs of three words are the same, looked for "
    "among the sampled questions alone; word for word: case and white space apart, among all."
)


def coverage(
    ours: Source,
    called: str,
    others: Sequence[Source],
    *,
    run: Run | None,
    release: Release | None,
    say: Report,
) -> dict[str, Any]:
    """``ours``, which is ``called`` so, over each of ``others``. What embedded the questions of
    ``run``, or of ``release``, embeds them all; what the run has stored is read.

    ``InvalidData`` where a set has no question, or cannot be read."""
    sets = [replace(ours, name=called.capitalize()), *others]
    samples = []
    for each in sets:
        found = sample(each, rows=QUESTIONS, scan=None, where=None, seed=SEED)
        say(f"{each.name}: {found.read:,} rows read, {len(found.rows):,} sampled.")
        samples.append(found)
    draws = [Bootstrap(len(each.rows), seed=SEED) for each in samples]
    pairs = [pair for pair in by_words(samples, draws) if 0 in (pair.of, pair.by)]
    even = min(len(each.rows) for each in samples)
    drawn = [each.drawn(even) for each in samples]
    embedder, told = _embedder(run, release)
    points: list[dict[str, Any]] = []
    if embedder is not None:
        made = [_stored_or_made(embedder, drawn[0], run)]
        for each, rows in zip(others, drawn[1:], strict=True):
            made.append(embedder.embed(rows["query"].to_list()))
            say(f"{each.name}: {even:,} questions embedded by {embedder.model.ref}.")
        pairs = by_meaning(made, pairs, Bootstrap(even, seed=SEED))
        names, texts = (
            [clean(each.name) for each in sets],
            [rows["query"].to_list() for rows in drawn],
        )
        points, told = layers(names, texts, made, seed=SEED)
    how = [_drawn(called, sets, samples), _NEARLY]
    if embedder is not None:
        how[1:1] = [_COVERED, f"Meaning: {even:,} questions of each, by {embedder.model.ref}."]
    shares = {(pair.of, pair.by): pair for pair in pairs}
    return {
        "ours": called,
        "map": points,
        "map_how": told,
        "others": [
            _shares(each, shares[at, 0], shares[0, at]) for at, each in enumerate(others, 1)
        ],
        "how": [clean(line) for line in how],
    }


def _embedder(run: Run | None, release: Release | None) -> tuple[embedding.Embedder | None, str]:
    """The first that is here, or why there is none."""
    why = ""
    for model, revision in _models(run, release):
        try:
            return embedding.Embedder(model, revision=revision), ""
        except (MissingExtra, UsageError, EngineError) as error:
            why = str(error)
    return None, f"There is no map, and nothing by meaning: {why}"


def _models(run: Run | None, release: Release | None) -> Iterator[tuple[str, str | None]]:
    """What embedded the questions, with its revision; then what ``compare`` uses."""
    if run is not None:
        for stage, settings in embedders(run):
            yield settings.model, settings.revision or stage.revision
    elif release is not None:
        made = {each.name: each.producer for each in release.manifest.columns}
        near = made.get("min_neighbor_distance")
        if near is not None and near.model is not None:
            yield near.model, near.revision
    yield embedding.DEFAULT, None


def _stored_or_made(embedder: embedding.Embedder, rows: pl.DataFrame, run: Run | None) -> Vectors:
    """As the run has stored them, where it has all of them by the same model."""
    stored = vectors(run, rows["id"].to_list()) if run is not None else None
    whole = stored is not None and len(stored.ids) == len(rows)
    if stored is None or not whole or stored.identity != embedder.model.identity:
        return embedder.embed(rows["query"].to_list())
    place = {name: at for at, name in enumerate(stored.ids)}
    made: Vectors = stored.vectors[np.array([place[name] for name in rows["id"]])]
    return made


def _drawn(called: str, sets: Sequence[Source], samples: Sequence[Sample]) -> str:
    facts = [f"{k} {v}" for k, v in sets[0].facts.items() if k not in ("kind", "shape")]
    ours = f"{called} ({', '.join(facts)})" if facts else called
    names = [ours, *(source.name for source in sets[1:])]
    each = [
        f"{len(found.rows):,} of the {found.kept:,} questions of {name}"
        for name, found in zip(names, samples, strict=True)
    ]
    return (
        f"Sampled evenly with seed {SEED}: {'; '.join(each)}. Below a share stands its 95 % "
        "bootstrap interval."
    )


def _what(source: Source) -> str:
    """The facts on a source in words."""
    facts = dict(source.facts)
    kind, shape = facts.pop("kind"), facts.pop("shape")
    return f"{', '.join([kind, *map(' '.join, facts.items())])}; read as {shape}"


def _shares(source: Source, there: Pair, here: Pair) -> dict[str, Any]:
    """``there``: of the other set what stands in ours; ``here``: of ours what stands in it. Shares
    with their intervals (see :class:`Interval`), and what was counted among all."""
    return {
        "name": clean(source.name),
        "source": clean(source.text),
        "what": clean(_what(source)),
        "covers": _told(there.covered),
        "covered": _told(here.covered),
        "near_there": _told(there.near),
        "near_here": _told(here.near),
        "same_there": _count(there.exact),
        "same_here": _count(here.exact),
    }


def _told(share: Interval | None) -> dict[str, Any] | None:
    return None if share is None else asdict(share)


def _count(share: Interval) -> dict[str, int]:
    return {"rows": round(share.value * share.n), "of": share.n}
