"""Several instruction sets by the same analysis, as the paper compared its own (arXiv 2406.08464,
section 3), with diversity in numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from magpie_hub import models, schema
from magpie_hub.annotate.contamination import Benchmarks
from magpie_hub.annotate.items import Item, read_file
from magpie_hub.engines import EngineSpec
from magpie_hub.errors import EngineError, MissingExtra, UsageError
from magpie_hub.evidence.command import command
from magpie_hub.evidence.compare import coverage, diversity
from magpie_hub.evidence.compare.judged import JUDGED, judge, reward
from magpie_hub.evidence.compare.measures import Annotators, Measured, measured
from magpie_hub.evidence.compare.record import failed, record
from magpie_hub.evidence.compare.result import Compared, Comparison, Pair
from magpie_hub.evidence.compare.sampling import Sample, sample
from magpie_hub.evidence.record import failing, write_records
from magpie_hub.evidence.resampling import Bootstrap, Interval, counted
from magpie_hub.evidence.sources import Place, Source, open_sources
from magpie_hub.filters import Filter
from magpie_hub.hub.client import Report
from magpie_hub.neighbors import embedding
from magpie_hub.neighbors.block import Vectors
from magpie_hub.neighbors.index import THRESHOLD
from magpie_hub.recipe import Passes
from magpie_hub.stages import Progress

ROWS = 10_000
"""Sampled of each source, as for the paper's map."""
EMBEDDED = 10_000
"""Questions of a source whose meanings are compared, at most: each with all others."""
_SIZES = (1, 2, 3)


@dataclass(frozen=True)
class Settings:
    """``rows`` to sample of each source, of its first ``scan`` rows. ``tokenizer``, ``embedder``,
    ``judge`` and ``reward`` are models; without an embedder the default one is tried."""

    where: str | None = None
    rows: int = ROWS
    scan: int | None = None
    seed: int = 0
    tokenizer: str | None = None
    embedder: str | None = None
    benchmarks: tuple[str, ...] = ()
    judge: str | None = None
    passes: Passes = "one"
    reward: str | None = None
    engine: EngineSpec = EngineSpec()


def compare(
    sources: Sequence[str],
    settings: Settings,
    *,
    progress: Progress,
    report: Report,
    evidence: Path | None = None,
    labels: Path | None = None,
) -> Comparison:
    """What is the same and what differs between ``sources`` (see ``sources/``), two or more; in
    the folder ``evidence`` a record of it for a card, whether it failed or not. What a judge and a
    reward model say is kept in the folder ``labels``, where a comparison that was stopped finds it.

    ``UsageError`` where one of them is no source, or a filter does not fit it; ``HubError`` and
    ``InvalidData`` where one cannot be read; ``EngineError`` where a model fails."""
    if evidence is not None and evidence.is_file():
        raise UsageError(f"--evidence {evidence} is a file; name a folder.")
    with ExitStack() as left:
        if labels is None:
            labels = Path(left.enter_context(TemporaryDirectory(prefix="magpie-hub-compare-")))
        if evidence is None:
            return _compare(sources, settings, labels, progress, report)
        called = command("compare", sources, settings)
        with failing(evidence, lambda error: failed(sources, called, error)):
            found = _compare(sources, settings, labels, progress, report)
        write_records(evidence, [record(found, called)])
        return found


def _compare(
    sources: Sequence[str], settings: Settings, labels: Path, progress: Progress, report: Report
) -> Comparison:
    where = _checked(sources, settings)
    opened = open_sources(sources, report=report)
    annotators = Annotators.open(
        tokenizer=settings.tokenizer, benchmarks=_benchmarks(settings.benchmarks)
    )
    embedder = _embedder(settings.embedder, absent := dict(annotators.absent))
    samples = []
    for source in opened:
        found = sample(
            source, rows=settings.rows, scan=settings.scan, where=where, seed=settings.seed
        )
        report(f"{source.name}: {found.read:,} rows read, {len(found.rows):,} sampled.")
        samples.append(found)
    samples = _labelled(samples, settings, labels, progress)
    draws = [Bootstrap(len(each.rows), seed=settings.seed) for each in samples]
    measures = []
    for source, each, draw in zip(opened, samples, draws, strict=True):
        measures.append(measured(each.rows, annotators, draw))
        report(f"{source.name}: measured.")
    pairs = coverage.by_words(samples, draws)
    even = min(EMBEDDED, *(len(each.rows) for each in samples))
    drawn = [each.drawn(even)["query"] for each in samples]
    further: list[dict[str, Interval]] = [{} for _ in samples]
    _distinct(drawn, further, settings.seed)
    how = {"unit": annotators.unit}
    vectors: list[Vectors] = []
    clusters = 0
    if embedder is not None:
        how["embedder"] = embedder.model.ref
        for source, texts in zip(opened, drawn, strict=True):
            vectors.append(embedder.embed(texts.to_list()))
            report(f"{source.name}: {even:,} questions embedded.")
        pairs, clusters = _meanings(vectors, further, pairs, settings.seed)
    how |= {n: m for n in ("judge", "reward") if (m := getattr(settings, n)) is not None}
    return Comparison(
        sources=tuple(
            _compared(*each) for each in zip(opened, samples, measures, further, strict=True)
        ),
        pairs=tuple(pairs),
        where=settings.where,
        rows=settings.rows,
        scan=settings.scan,
        seed=settings.seed,
        how=how,
        absent=absent,
        even_rows=even,
        clusters=clusters,
        vectors=tuple(vectors),
        shown=tuple(tuple(texts) for texts in drawn),
    )


def _checked(sources: Sequence[str], settings: Settings) -> Filter | None:
    """What can be told before anything is read."""
    if len(sources) < 2:
        raise UsageError("give two sources or more; one has nothing to be compared with.")
    for name, least in (("rows", 2), ("scan", 1)):
        given = getattr(settings, name)
        if given is not None and given < least:
            raise UsageError(f"--{name} {given}: it is at least {least}.")
    for text in sources:
        Place.parse(text)
    for model in (settings.judge, settings.reward):
        if model is not None:
            settings.engine.require()
            models.resolve(model)
    return Filter.parse(settings.where, schema.names()) if settings.where is not None else None


def _benchmarks(files: Sequence[str]) -> Benchmarks | None:
    """Of ``FILE#FIELD,...``; a .txt file has an item a line, and no fields."""
    items: list[Item] = []
    for text in files:
        file, _, fields = text.partition("#")
        items += read_file(Path(file).stem, Path(file), fields.split(",") if fields else ())
    return Benchmarks(items) if files else None


def _embedder(model: str | None, absent: dict[str, str]) -> embedding.Embedder | None:
    """``model``, or the default one; None where that is not to be had, and ``absent`` says why."""
    try:
        return embedding.Embedder(model or embedding.DEFAULT)
    except (MissingExtra, UsageError, EngineError) as error:
        if model is not None:
            raise
        absent["meaning"] = str(error)
        return None


def _labelled(
    samples: list[Sample], settings: Settings, folder: Path, progress: Progress
) -> list[Sample]:
    """With the labels of the judge and the scores of the reward model that were given."""
    rows = [each.rows for each in samples]
    made: dict[str, str] = {}
    if settings.judge is not None:
        rows = judge(
            settings.judge,
            rows,
            passes=settings.passes,
            folder=folder,
            engine=settings.engine,
            progress=progress,
        )
        made |= dict.fromkeys(JUDGED, settings.judge)
    if settings.reward is not None:
        rows = reward(
            settings.reward, rows, folder=folder, engine=settings.engine, progress=progress
        )
        made["reward"] = settings.reward
    return [
        replace(each, rows=new, makers={**each.makers, **made})
        for each, new in zip(samples, rows, strict=True)
    ]


def _distinct(texts: Sequence[pl.Series], further: list[dict[str, Interval]], seed: int) -> None:
    for size in _SIZES:
        words = min(diversity.runs(each, size) for each in texts) // 2
        for each, found in zip(texts, further, strict=True):
            if (share := diversity.distinct(each, size, words, seed=seed)) is not None:
                found[f"distinct_{size}"] = share


def _meanings(
    vectors: Sequence[Vectors], further: list[dict[str, Interval]], pairs: list[Pair], seed: int
) -> tuple[list[Pair], int]:
    """Distances inside and between, coverage, and diversity, at as many rows of each source; and
    the number of clusters."""
    clusters, count = diversity.clustered(vectors, seed=seed)
    draw = Bootstrap(len(vectors[0]), seed=seed)
    for each, cluster, found in zip(vectors, clusters, further, strict=True):
        inside = diversity.nearest(each)
        inside[np.isinf(inside)] = np.nan
        means = {"distance": draw.mean(inside), "repeated": draw.mean(inside < THRESHOLD)}
        found |= {name: mean for name, mean in means.items() if mean is not None}
        found["vendi"] = diversity.vendi(each, draw)
        if count > 1:
            found["cluster_entropy"] = diversity.cluster_entropy(cluster, count, draw)
    return coverage.by_meaning(vectors, pairs, draw), count


def _compared(
    source: Source, found: Sample, measures: Measured, further: Mapping[str, Interval]
) -> Compared:
    twice = 1 - len(np.unique(found.questions)) / found.kept
    labelled = (*measures.shares, *measures.means)
    return Compared(
        name=source.name,
        source=source.text,
        facts=source.facts,
        read=found.read,
        without_question=found.without_question,
        filtered=found.filtered,
        kept=found.kept,
        sampled=len(found.rows),
        makers={name: model for name, model in found.makers.items() if name in labelled},
        means={**measures.means, "exact": counted(twice, found.kept), **further},
        shares=measures.shares,
    )
