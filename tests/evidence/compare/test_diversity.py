"""Each measure against its definition, computed another way."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from magpie_hub.evidence.compare import diversity
from magpie_hub.evidence.resampling import Bootstrap, Interval, interval
from magpie_hub.neighbors.block import Vectors

pytest.importorskip("sklearn")


def directions(rows: int, dimensions: int, seed: int = 0) -> Vectors:
    drawn = np.random.default_rng(seed).standard_normal((rows, dimensions))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def vendi(vectors: Vectors) -> float:
    """By its definition: the eigenvalues of the kernel of all pairs."""
    kernel = vectors.astype(np.float64) @ vectors.astype(np.float64).T / len(vectors)
    values = np.linalg.eigvalsh(kernel)
    values = values[values > 1e-12]
    return float(np.exp(-(values * np.log(values)).sum()))


@pytest.mark.parametrize(("rows", "dimensions"), [(3, 5), (40, 8), (8, 40), (200, 16)])
def test_vendi_is_that_of_the_kernel(rows: int, dimensions: int) -> None:
    found = diversity.vendi(directions(rows, dimensions), Bootstrap(rows, seed=0))
    assert found.value == pytest.approx(vendi(directions(rows, dimensions)), rel=1e-6)
    assert found.low <= found.value <= found.high and found.n == rows


def test_vendi_of_equal_and_of_orthogonal_texts() -> None:
    same = np.tile(directions(1, 6), (9, 1))
    assert diversity.vendi(same, Bootstrap(9, seed=0)).value == pytest.approx(1, abs=1e-5)
    apart = np.eye(9, 12, dtype=np.float32)
    assert diversity.vendi(apart, Bootstrap(9, seed=0)).value == pytest.approx(9, abs=1e-5)
    # Three of one and one of another: exp of the entropy of 3/4 and 1/4.
    some = np.eye(2, dtype=np.float32)[[0, 0, 0, 1]]
    shares = np.array([0.75, 0.25])
    expected = np.exp(-(shares * np.log(shares)).sum())
    assert diversity.vendi(some, Bootstrap(4, seed=0)).value == pytest.approx(expected, rel=1e-6)


def test_the_interval_of_vendi_is_as_wide_as_other_samples_differ() -> None:
    """Of many samples from one source, against what one of them says."""
    kinds = np.random.default_rng(1).dirichlet(np.ones(12), 60)
    random = np.random.default_rng(2)
    samples = []
    for _ in range(150):
        drawn = kinds[random.integers(len(kinds), size=200)]
        samples.append((drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32))
    spread = np.std([diversity.vendi(each, Bootstrap(200, seed=3)).value for each in samples])
    widths = []
    for each in samples[:10]:
        found = diversity.vendi(each, Bootstrap(200, seed=3))
        widths.append((found.high - found.low) / (2 * 1.96))
    assert np.mean(widths) == pytest.approx(spread, rel=0.2)


def test_cluster_entropy() -> None:
    def entropy(clusters: list[int], count: int) -> Interval:
        draws = Bootstrap(len(clusters), seed=0)
        return diversity.cluster_entropy(np.array(clusters), count, draws)

    assert entropy([n % 8 for n in range(400)], 8).value == pytest.approx(1)
    assert entropy([0] * 50, 8).value == 0
    two = entropy([0, 0, 0, 1] * 25, 4)
    assert two.value == pytest.approx((0.75 * np.log2(1 / 0.75) + 0.25 * 2) / 2)
    assert two.low < two.value < two.high


def test_clusters_are_shared_and_seeded() -> None:
    middles = np.eye(4, dtype=np.float32)
    one = middles[np.arange(200) % 4]
    other = middles[np.zeros(200, np.int64)]
    (a, b), count = diversity.clustered([one, other], seed=0)
    assert count == 40 and len(a) == len(b) == 200
    assert len(set(b.tolist())) == 1 and b[0] == a[0]
    again, _ = diversity.clustered([one, other], seed=0)
    assert (again[0] == a).all() and (again[1] == b).all()


def test_distinct_is_the_share_of_different_runs() -> None:
    texts = pl.Series(["a b a b", "b a c", "d", ""])
    runs = [pair for text in texts for pair in pairwise(text.split())]
    assert diversity.runs(texts, 2) == len(runs) == 5
    # All of them, in whatever order: ab ba ab, ba ac.
    found = diversity.distinct(texts, 2, 5, seed=0)
    assert found is not None and found.value == pytest.approx(len(set(runs)) / 5)
    assert diversity.distinct(texts, 2, 6, seed=0) is None
    assert diversity.distinct(texts, 2, 0, seed=0) is None
    alike = diversity.distinct(pl.Series(["x y"] * 40), 1, 40, seed=0)
    assert alike is not None and alike.value == pytest.approx(2 / 40)
    fewer = diversity.distinct(pl.Series([f"w{n}" for n in range(40)]), 1, 20, seed=0)
    assert fewer is not None and fewer.value == pytest.approx(1)


def test_nearest_is_that_of_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diversity, "_ROWS", 7)
    a, b = directions(30, 5), directions(20, 5, seed=1)
    inside = np.square(a[:, None].astype(np.float64) - a[None]).sum(2)
    np.fill_diagonal(inside, np.inf)
    between = np.square(a[:, None].astype(np.float64) - b[None]).sum(2)
    assert np.allclose(diversity.nearest(a), inside.min(1), atol=1e-5)
    assert np.allclose(diversity.nearest(a, place=3), np.sort(inside)[:, 2], atol=1e-5)
    assert np.allclose(diversity.nearest(a, b), between.min(1), atol=1e-5)
    assert np.isinf(diversity.nearest(a[:5], place=5)).all()


def test_a_sample_covers_another_of_its_source_and_not_what_lies_apart() -> None:
    one, other, apart = directions(800, 4), directions(800, 4, seed=1), directions(800, 4, seed=2)
    apart[:, 0] = 4
    apart /= np.linalg.norm(apart, axis=1, keepdims=True)
    radius = diversity.nearest(one, place=diversity.NEAREST)
    covered = diversity.covered(radius, diversity.nearest(one, other))
    assert covered.mean() == pytest.approx(1 - 0.5**5, abs=0.02)
    assert diversity.covered(radius, diversity.nearest(one, apart)).mean() < 0.3


def test_the_bootstrap_of_a_mean_is_as_the_formula_says() -> None:
    values = np.random.default_rng(0).exponential(size=900)
    found = Bootstrap(900, seed=1).mean(values)
    assert found is not None and found.value == pytest.approx(values.mean()) and found.n == 900
    error = values.std() / np.sqrt(900)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.12)
    assert Bootstrap(900, seed=1).mean(values) == found
    # Groups of rows say the same as single rows.
    many = np.random.default_rng(2).exponential(size=40_000)
    wide = Bootstrap(40_000, seed=1).mean(many)
    assert wide is not None
    assert (wide.high - wide.low) / 2 == pytest.approx(1.96 * many.std() / 200, rel=0.12)


def test_what_is_not_there_is_no_part_of_a_mean() -> None:
    draws = Bootstrap(6, seed=0)
    found = draws.mean([1, np.nan, 0, np.nan, 1, np.nan])
    assert found is not None and found.value == pytest.approx(2 / 3) and found.n == 3
    assert draws.mean([np.nan] * 6) is None
    assert interval(0.5, np.array([0.6, 0.7]), 2).low == 0.5
