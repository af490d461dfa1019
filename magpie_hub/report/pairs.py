"""Questions that are nearly the same, two and two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from magpie_hub.neighbors.block import Vectors
from magpie_hub.report.rows import KEPT_FATE, Fate, Walk
from magpie_hub.report.shown import clean, short
from magpie_hub.report.sources import KEPT, Source
from magpie_hub.report.vectors import Embedded

PAIRS = 200
_REPEATED, _SAME = 60, 20
_TEXT = 600
_TILE = 1024


@dataclass(frozen=True)
class Pair:
    """Two questions by id; ``distance`` is squared L2, None where it is not known."""

    a: str
    b: str
    distance: float | None
    kind: str


def pairs(
    found: Walk,
    source: Source,
    codes: Mapping[Fate, int],
    embedded: Embedded | None,
) -> dict[str, Any] | None:
    """The nearest kept questions; of what was turned away, questions and what they repeat. By the
    neighbours of all rows where those are known, else by what is ``embedded`` of the rows shown."""
    fates = {row[0]: row[1:] for table in (found.near, found.sample) for row in _fates(table)}
    repeated = list(_repeated(found.sample))
    near, how = list(_stored(found)), "by the neighbours of all questions"
    if not near and embedded is not None:
        near = list(_nearest(embedded.ids, embedded.vectors, fates))
        how = (
            f"by the embeddings of {embedded.model}, among the {len(embedded.ids):,} questions "
            "shown that have one"
        )
    chosen = [*near[: PAIRS - len(repeated)], *repeated]
    if not chosen:
        return None
    names = {name for pair in chosen for name in (pair.a, pair.b)}
    texts = source.questions(names)
    fates |= source.fates(names - fates.keys())

    def side(name: str) -> dict[str, Any]:
        return {"id": name, "text": clean(texts[name][:_TEXT]), "fate": codes[fates[name]]}

    items = [
        {"a": side(p.a), "b": side(p.b), "distance": short(p.distance), "kind": p.kind}
        for p in chosen
        if {p.a, p.b} <= texts.keys() & fates.keys()
    ]
    if not items:
        return None
    said = [f"{len(near[: PAIRS - len(repeated)]):,} nearest pairs, {how}"] if near else []
    said += [f"{len(repeated):,} of those turned away with what they repeat"] if repeated else []
    return {"how": f"{'; '.join(said)}.", "items": items}


def _fates(rows: pl.DataFrame) -> Iterable[tuple[str, str, str]]:
    return rows.select("id", "stage", "reason").iter_rows()


def _repeated(sample: pl.DataFrame) -> Iterable[Pair]:
    """From the verdicts' own words, which end with the id of the query that is repeated."""
    for reason, kind, most in (
        ("near duplicate", "near duplicate", _REPEATED),
        ("duplicate", "same words", _SAME),
    ):
        rows = sample.filter((pl.col("stage") == "screen") & (pl.col("reason") == reason))
        for name, detail in rows.select("id", "detail").head(most).iter_rows():
            other = (detail or "").rpartition(" ")[2]
            if other:
                yield Pair(name, other, None, kind)


def _stored(found: Walk) -> Iterable[Pair]:
    seen = set()
    for name, other, distance, stage, _ in found.near.iter_rows():
        key = frozenset((name, other))
        if key not in seen:
            seen.add(key)
            yield Pair(name, other, distance, _kind(stage))


def _kind(stage: str) -> str:
    return "nearest kept" if stage == KEPT else "nearest"


def _nearest(ids: list[str], points: Vectors, fates: Mapping[str, Fate]) -> Iterable[Pair]:
    """Squared L2 of each to its nearest, exactly."""
    rows = []
    for start in range(0, len(points), _TILE):
        like = points[start : start + _TILE] @ points.T
        at = np.arange(len(like))
        like[at, start + at] = -np.inf
        best = like.argmax(axis=1)
        rows += [(2 - 2 * float(like[r, b]), start + r, int(b)) for r, b in enumerate(best)]
    seen = set()
    for distance, a, b in sorted(rows):
        if len(ids) > 1 and (key := frozenset((a, b))) not in seen:
            seen.add(key)
            stages = [fates.get(ids[each], KEPT_FATE)[0] for each in (a, b)]
            kept = all(stage == KEPT for stage in stages)
            yield Pair(ids[a], ids[b], max(distance, 0.0), _kind(KEPT if kept else ""))
