"""How much of one source stands in another, by its words and by its meaning, and all of them over
each other on one map, as the paper showed its coverage (arXiv 2406.08464, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np

from magpie_hub.annotate.duplicates import Foreign
from magpie_hub.annotate.items import Item
from magpie_hub.annotate.map import FEWEST, LAID_OUT, Layout
from magpie_hub.errors import MissingExtra
from magpie_hub.evidence.compare import diversity
from magpie_hub.evidence.compare.result import Pair
from magpie_hub.evidence.compare.sampling import Sample
from magpie_hub.evidence.resampling import Bootstrap, counted
from magpie_hub.neighbors.block import Vectors

TEXT = 240
"""Characters of a question that a map shows."""


def by_words(samples: Sequence[Sample], draws: Sequence[Bootstrap]) -> list[Pair]:
    """Of each source how many questions stand in each other one. ``draws``: of each sample's
    rows."""
    known = [
        Foreign([Item(str(place), text) for place, text in enumerate(each.rows["query"])])
        for each in samples
    ]
    pairs = []
    for of, by in permutations(range(len(samples)), 2):
        hits = known[by].find(samples[of].rows["query"])
        near = draws[of].mean([float(hit is not None) for hit in hits])
        assert near is not None
        exact = float(np.isin(samples[of].questions, samples[by].questions).mean())
        pairs.append(Pair(of, by, counted(exact, samples[of].kept), near))
    return pairs


def by_meaning(vectors: Sequence[Vectors], pairs: Sequence[Pair], draw: Bootstrap) -> list[Pair]:
    """``pairs`` with their distance and coverage. ``vectors``: as many of each source, which are
    the rows of ``draw``."""
    radii = [diversity.nearest(each, place=diversity.NEAREST) for each in vectors]
    made = []
    for pair in pairs:
        distance = diversity.nearest(vectors[pair.of], vectors[pair.by])
        # Of too few rows none has so many neighbours.
        there = bool(np.isfinite(radii[pair.of]).all())
        covered = draw.mean(diversity.covered(radii[pair.of], distance)) if there else None
        made.append(replace(pair, covered=covered, distance=draw.mean(distance)))
    return made


def layers(
    names: Sequence[str],
    questions: Sequence[Sequence[str]],
    vectors: Sequence[Vectors],
    *,
    seed: int,
) -> tuple[list[dict[str, Any]], str]:
    """All sources laid out as one map: of each its ``name``, ``x``, ``y`` and ``texts``, as JSON;
    and a sentence on them, or on why there are none. ``vectors`` are those of the first of each
    source's ``questions``, as many of each."""
    each = min(len(vectors[0]), LAID_OUT // len(vectors))
    every = np.concatenate([one[:each] for one in vectors])
    if len(np.unique(every, axis=0)) < FEWEST:
        return [], f"There is no map of fewer than {FEWEST} different questions."
    try:
        places = Layout(every, seed=seed).of(every, np.arange(len(every)))
    except ModuleNotFoundError:
        return [], f"There is no map: {MissingExtra('openTSNE', 'map')}"
    points = [
        {
            "name": name,
            "x": [round(float(x), 3) for x, _ in part],
            "y": [round(float(y), 3) for _, y in part],
            "texts": [text[:TEXT] for text in texts[:each]],
        }
        for name, texts, part in zip(names, questions, np.split(places, len(vectors)), strict=True)
    ]
    return points, (
        f"{each:,} questions of each source, laid out together by t-SNE with seed {seed}: "
        "questions that are alike lie near each other."
    )
