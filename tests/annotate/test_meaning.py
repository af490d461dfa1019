from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from magpie_hub.annotate.items import Item
from magpie_hub.annotate.meaning import Meanings, links
from magpie_hub.annotate.near import Components
from magpie_hub.neighbors import block
from tests.neighbors import vectors as sets

UNDER = 0.05


def brute_roots(vectors: sets.Vectors, under: float) -> list[int]:
    """By all pairs, in float64."""
    exact = vectors.astype(np.float64)
    far = ((exact[:, None] - exact[None]) ** 2).sum(axis=2)
    joined = Components(len(vectors))
    joined.join(np.stack(np.nonzero(far < under), axis=1))
    return joined.roots.tolist()


def roots(vectors: sets.Vectors, under: float, **sizes: int) -> list[int]:
    joined = Components(len(vectors))
    joined.join(links(vectors, under, **sizes))
    return joined.roots.tolist()


def chain(rows: int, step: float, dimensions: int = 48) -> sets.Vectors:
    """On an arc, each a little further than the one before: near its two neighbours alone."""
    angle = np.sqrt(step) * np.arange(rows)
    made = np.zeros((rows, dimensions))
    made[:, 0], made[:, 1] = np.cos(angle), np.sin(angle)
    return sets.unit(made)[np.random.default_rng(3).permutation(rows)]


SETS = {
    "a chain": chain(18, 0.045),
    "a chain that breaks": np.concatenate([chain(12, 0.045), -chain(12, 0.055)]),
    "clusters around the threshold": sets.clustered(400, 0.16),
    "clusters apart": sets.clustered(400, 0.3, 384),
    "clusters within the error": sets.clustered(300, 0.002),
    "ten kinds": sets.duplicated(300, 10),
    "random": sets.random(200),
    "one row": sets.random(1),
    "none": sets.random(0),
}


@pytest.mark.parametrize("low", [torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("name", SETS)
def test_rows_are_joined_as_all_pairs_would(
    name: str, low: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block, "_low", lambda device, dimensions: low)
    vectors = SETS[name]
    expected = brute_roots(vectors, UNDER) if len(vectors) else []
    for sizes in ({}, {"tile": 23}, {"block": 70, "tile": 32}):
        assert roots(vectors, UNDER, **sizes) == expected


def test_the_sets_are_worth_the_test() -> None:
    """Nearest pairs alone would leave rows apart that all pairs join."""
    for name in ("a chain", "clusters around the threshold"):
        vectors = SETS[name]
        distance, nearest, _ = sets.brute(vectors, UNDER)
        joined = Components(len(vectors))
        near = np.flatnonzero(distance < UNDER)
        joined.join(np.stack([near, nearest[near]], axis=1))
        assert len(set(joined.roots.tolist())) > len(set(brute_roots(vectors, UNDER)))


def test_a_crowd_of_equal_rows_is_quickly_one_group() -> None:
    vectors = np.concatenate([sets.duplicated(20000, 1), sets.random(300, seed=1)])
    start = time.process_time()
    found = roots(vectors, UNDER)
    assert found[:20000] == [0] * 20000 and len(set(found)) == 301
    assert time.process_time() - start < 60


def test_the_nearest_item_within_reach_is_named() -> None:
    vectors = sets.random(3000, 16)
    items = [Item(f"bench:{number}", "") for number in range(2000)]
    vectors[2500:2600] = vectors[[17, 1999] * 50]
    close = sets.unit(vectors[100:200] + 0.02 * sets.random(100, 16, seed=5).astype(np.float64))
    vectors[2600:2700] = close
    known = Meanings(items, vectors[:2000], under=UNDER)
    exact = vectors.astype(np.float64)
    far = ((exact[2000:, None] - exact[None, :2000]) ** 2).sum(axis=2)
    expected = [f"bench:{row.argmin()}" if row.min() < UNDER else None for row in far]
    assert known.find(vectors[2000:2400]) + known.find(vectors[2400:]) == expected
    assert expected[500:502] == ["bench:17", "bench:1999"] and expected.count(None) > 700


def test_no_items_and_no_rows() -> None:
    assert Meanings([], sets.random(0), under=4).find(sets.random(2)) == [None, None]
    assert Meanings([Item("a:0", "")], sets.random(1), under=4).find(sets.random(0)) == []
