"""Sets of vectors that are hard in one way or another, and the plain answer for them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from magpie_hub.neighbors.block import Distances, Integers

Vectors = npt.NDArray[np.float32]


def unit(values: npt.NDArray[np.float64]) -> Vectors:
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def random(rows: int, dimensions: int = 48, seed: int = 0) -> Vectors:
    return unit(np.random.default_rng(seed).standard_normal((rows, dimensions)))


def clustered(rows: int, spread: float, dimensions: int = 48, seed: int = 0) -> Vectors:
    """A dozen centres; ``spread`` is how far a row is from its own."""
    draw = np.random.default_rng(seed)
    centres = unit(draw.standard_normal((12, dimensions)))
    noise = unit(draw.standard_normal((rows, dimensions))) * spread
    return unit((centres[draw.integers(12, size=rows)] + noise).astype(np.float64))


def duplicated(rows: int, kinds: int, dimensions: int = 48, seed: int = 0) -> Vectors:
    """Equal to the bit, ``kinds`` of them."""
    draw = np.random.default_rng(seed)
    return random(kinds, dimensions, seed)[draw.integers(kinds, size=rows)]


def at_products(products: npt.NDArray[np.float64], dimensions: int = 48) -> Vectors:
    """A first row, and others that have these products with it and otherwise lie apart."""
    rows = np.zeros((len(products) + 1, max(dimensions, len(products) + 1)))
    rows[0, 0] = 1
    rows[1:, 0] = products
    rows[np.arange(1, len(rows)), np.arange(1, len(rows))] = np.sqrt(1 - products**2)
    turn, _ = np.linalg.qr(np.random.default_rng(5).standard_normal((rows.shape[1],) * 2))
    return unit(rows @ turn)


def brute(vectors: Vectors, threshold: float) -> tuple[Distances, Integers, Integers]:
    """Nearest distance, nearest (the first of equals) and repetitions of each row, in float64."""
    exact = vectors.astype(np.float64)
    distance = np.stack([((row - exact) ** 2).sum(axis=1) for row in exact])
    np.fill_diagonal(distance, np.inf)
    repeats = (distance < threshold).sum(axis=1)
    return distance.min(axis=1), distance.argmin(axis=1), repeats
