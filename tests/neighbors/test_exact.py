from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from magpie_hub.errors import InvalidData
from magpie_hub.neighbors import block as in_two
from magpie_hub.neighbors.block import Block, error_bound
from magpie_hub.neighbors.exact import NOBODY, Best, compare
from tests.neighbors import vectors as sets

THRESHOLD = 0.05


def found(vectors: sets.Vectors, threshold: float = THRESHOLD, tile: int = 64) -> Best:
    block, best = Block(vectors, np.arange(len(vectors))), Best(len(vectors))
    compare(block, block, best, best, threshold=threshold, tile=tile)
    return best


def assert_as_brute(best: Best, vectors: sets.Vectors, threshold: float = THRESHOLD) -> None:
    distance, nearest, repeats = sets.brute(vectors, threshold)
    np.testing.assert_allclose(best.distance, distance, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(best.repeats, repeats)
    # Another one only where both are equally near: the last bits of a sum depend on its order.
    other = np.flatnonzero(best.key != nearest)
    exact = vectors.astype(np.float64)
    there = ((exact[other] - exact[best.key[other]]) ** 2).sum(axis=1)
    np.testing.assert_allclose(there, distance[other], rtol=1e-12, atol=1e-15)


@pytest.fixture(params=[torch.bfloat16, torch.float16, torch.float32], ids=str)
def precision(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.dtype:
    """The result may not show in which precision was looked."""
    monkeypatch.setattr(in_two, "_low", lambda device, dimensions: request.param)
    return request.param


SETS = {
    "random": sets.random(300),
    "wide": sets.random(200, 384),
    "clusters under the threshold": sets.clustered(300, 0.1),
    "clusters at the threshold": sets.clustered(300, 0.16),
    "clusters within the error": sets.clustered(300, 0.002),
    "clusters at the last bits": sets.clustered(300, 1e-6),
    "ten kinds": sets.duplicated(300, 10),
    "all equal": sets.duplicated(200, 1),
    "two dimensions": sets.random(300, 2),
    "one row": sets.random(1),
    "two rows": sets.random(2),
    "opposite": sets.unit(np.array([[1.0, 0], [-1.0, 0]])),
    "none": sets.random(0),
}


@pytest.mark.parametrize("name", SETS)
def test_equals_brute_force(name: str, precision: torch.dtype) -> None:
    vectors = SETS[name]
    best = found(vectors)
    if len(vectors) < 2:
        assert np.all(np.isinf(best.distance)) and np.all(best.key == NOBODY)
        return
    assert_as_brute(best, vectors)


def test_of_equal_rows_the_first_other_is_nearest_at_no_distance(precision: torch.dtype) -> None:
    vectors = sets.random(200)
    vectors[[20, 90, 150]] = vectors[20]
    best = found(vectors)
    assert best.key[[20, 90, 150]].tolist() == [90, 20, 20]
    assert best.distance[[20, 90, 150]].tolist() == [0, 0, 0]
    assert best.repeats[[20, 90, 150]].tolist() == [2, 2, 2]


@pytest.mark.parametrize("scale", [1e-7, 1e-5, 1e-3, 1.0, 3.0])
def test_rows_around_the_threshold(scale: float, precision: torch.dtype) -> None:
    """Products just inside and outside the threshold, and the bound around it, at every scale."""
    error = 0.008 * scale
    vectors = sets.at_products(1 - THRESHOLD / 2 + np.linspace(-error, error, 101), 128)
    best = found(vectors)
    assert 0 < best.repeats[0] < 101
    assert_as_brute(best, vectors)


@pytest.mark.parametrize("step", [1e-8, 1e-6, 1e-4, 1e-3])
def test_rows_that_half_precision_cannot_order(step: float, precision: torch.dtype) -> None:
    products = 0.6 + np.random.default_rng(1).permutation(100) * step
    vectors = sets.at_products(products, 128)
    best = found(vectors)
    if step > 1e-7:  # float32 holds the difference
        assert best.key[0] == 1 + int(products.argmax())
    assert_as_brute(best, vectors)


def test_products_keep_within_the_bound(precision: torch.dtype) -> None:
    """The bound is what exactness stands on."""
    for vectors in (sets.random(400, 384), sets.clustered(400, 0.05, 384), SETS["two dimensions"]):
        block = Block(vectors, np.arange(len(vectors)))
        double = vectors.astype(np.float64)
        half = 1 - ((double[:, None] - double[None]) ** 2).sum(axis=2) / 2
        for copy, low in ((block.low, True), (block.full, False)):
            off = np.abs((copy @ copy.T).double().numpy() - half).max()
            assert off <= error_bound(block, block, low=low)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(2, 90),
    dimensions=st.integers(2, 40),
    grain=st.sampled_from([1, 2, 5, 300]),
    tile=st.sampled_from([9, 32, 50]),
    threshold=st.sampled_from([0.0, 1e-9, 0.05, 0.5, 3.9]),
    seed=st.integers(0, 1 << 20),
)
def test_any_vectors_as_brute_force(
    rows: int, dimensions: int, grain: int, tile: int, threshold: float, seed: int
) -> None:
    """On a coarse grid, so that equal rows and equal distances come up."""
    draw = np.random.default_rng(seed)
    values = draw.integers(-grain, grain + 1, (rows, dimensions)).astype(np.float64)
    values[np.all(values == 0, axis=1), 0] = 1
    vectors = sets.unit(values)
    best = found(vectors, threshold, tile)
    distance, _, _ = sets.brute(vectors, threshold)
    np.testing.assert_allclose(best.distance, distance, rtol=1e-12, atol=1e-15)
    again = found(vectors, threshold, 1000)
    np.testing.assert_array_equal(best.distance, again.distance)
    np.testing.assert_array_equal(best.key, again.key)
    np.testing.assert_array_equal(best.repeats, again.repeats)


def test_tiles_and_threads_do_not_show() -> None:
    vectors = sets.clustered(700, 0.15)
    whole = found(vectors, tile=1000)
    for tile in (33, 128):
        best = found(vectors, tile=tile)
        np.testing.assert_array_equal(best.distance, whole.distance)
        np.testing.assert_array_equal(best.key, whole.key)
        np.testing.assert_array_equal(best.repeats, whole.repeats)


def test_two_blocks_say_what_one_does() -> None:
    vectors, keys = sets.clustered(300, 0.15), np.arange(300)
    whole = found(vectors)
    parts = [slice(0, 120), slice(120, 300)]
    blocks = [Block(vectors[part], keys[part]) for part in parts]
    bests = [Best(len(block)) for block in blocks]
    for i, j in ((0, 1), (1, 1), (0, 0)):
        compare(blocks[i], blocks[j], bests[i], bests[j], threshold=THRESHOLD, tile=50)
    for name in ("distance", "key", "repeats"):
        made = np.concatenate([getattr(best, name) for best in bests])
        np.testing.assert_array_equal(made, getattr(whole, name))


def test_many_equal_rows_are_not_many_measurements() -> None:
    """A quarter of all pairs are ties here; each measured would be minutes."""
    vectors = np.concatenate([sets.duplicated(3000, 1), sets.random(3000, seed=1)])
    start = time.process_time()
    best = found(vectors, tile=1024)
    assert best.repeats[0] == 2999 and best.key[:3].tolist() == [1, 0, 0]
    assert time.process_time() - start < 60


@pytest.mark.parametrize("bad", [0.0, 2.0, np.nan, np.inf])
def test_vectors_that_are_not_of_length_1_are_refused(bad: float) -> None:
    vectors = sets.random(20)
    vectors[7] *= bad
    with pytest.raises(InvalidData, match="not all of length 1"), np.errstate(invalid="ignore"):
        Block(vectors, np.arange(20))


def test_torchs_settings_are_left_as_they_were() -> None:
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    found(sets.random(100))
    assert (torch.get_num_threads(), torch.get_float32_matmul_precision()) == before


@pytest.mark.gpu
def test_on_a_gpu_as_on_a_cpu() -> None:
    vectors = np.concatenate([sets.clustered(20000, 0.16, 384), sets.duplicated(500, 3, 384)])
    bests = []
    for device in ("cpu", "cuda"):
        block, best = Block(vectors, np.arange(len(vectors)), device), Best(len(vectors))
        compare(block, block, best, best, threshold=THRESHOLD)
        bests.append(best)
    cpu, gpu = bests
    np.testing.assert_allclose(gpu.distance, cpu.distance, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(gpu.key, cpu.key)
    np.testing.assert_array_equal(gpu.repeats, cpu.repeats)
