"""How diverse questions are, in numbers, by their words and by their meaning.

Every one of these depends on how many rows are looked at: a thousand rows are nearer to each other
than a hundred. So sources are compared at one number of rows, or of words.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from magpie_hub.evidence.resampling import Bootstrap, Floats, Interval, interval
from magpie_hub.neighbors.block import Vectors
from magpie_hub.words import Words

NEAREST = 5
"""Of coverage, as in its source."""
CLUSTERS = 100
_DRAWS = 100
_ROWS = 1024
"""Rows whose products with all others are in memory at a time."""
Integers = npt.NDArray[np.int64]


def vendi(vectors: Vectors, bootstrap: Bootstrap) -> Interval:
    """The effective number of different texts: exp of the entropy of the eigenvalues of K / n,
    where K holds the cosines of all pairs (Friedman and Dieng, arXiv 2210.02410). 1: all are the
    same, n: each is orthogonal to all others.

    K / n has the eigenvalues of C = X'X / n, which is smaller. The entropy is the mean of -x log(C)
    x over the rows x, and to first order that mean is what changes when other rows are drawn; so
    the interval is the bootstrap of this mean. Drawing rows with replacement and measuring again
    would count the doubles as lost diversity."""
    rows = vectors.astype(np.float64)
    values, basis = np.linalg.eigh(rows.T @ rows / len(rows))
    there = values > 1e-12
    share = np.square(rows @ basis[:, there])
    found = bootstrap.mean(-share @ np.log(values[there]))
    assert found is not None
    value, low, high = map(float, np.exp([found.value, found.low, found.high]))
    return Interval(value, low, high, found.n)


def cluster_entropy(clusters: Integers, count: int, bootstrap: Bootstrap) -> Interval:
    """How evenly rows are spread over ``count`` clusters: 0, all in one; 1, as many in each.
    ``clusters``: that of each row. The interval is made as that of :func:`vendi`."""
    share = np.bincount(clusters, minlength=count) / len(clusters)
    found = bootstrap.mean(-np.log(share[clusters]) / np.log(count))
    assert found is not None
    return found


def clustered(vectors: Sequence[Vectors], *, seed: int) -> tuple[list[Integers], int]:
    """The cluster of each row of each source, by k-means over all of them, and how many clusters
    there are."""
    from sklearn.cluster import MiniBatchKMeans

    every = np.concatenate(vectors)
    count = max(min(CLUSTERS, len(every) // 10), 1)
    means = MiniBatchKMeans(
        n_clusters=count, random_state=seed, n_init=1, batch_size=4096, max_iter=20
    )
    found = means.fit_predict(every).astype(np.int64)
    return np.split(found, np.cumsum([len(each) for each in vectors])[:-1]), count


def distinct(texts: pl.Series, size: int, words: int, *, seed: int) -> Interval | None:
    """Distinct-n (Li et al., arXiv 1510.03055): the share of different runs of ``size`` words among
    all, in ``words`` runs drawn text by text. The mean of many draws, and the middle of them; where
    they draw half of the runs that there are, they vary as much as other samples would."""
    found = list(Words.chunks(texts))
    all_ = [each.runs(np.full(len(each), size), shorter=False) for each in found]
    starts = np.cumsum([0, *(len(each) for each in found)])
    text = np.concatenate(
        [place + start for (_, place, _), start in zip(all_, starts, strict=False)]
    )
    _, number = np.unique(np.concatenate([hashes for hashes, _, _ in all_]), return_inverse=True)
    if not words or len(text) < words:
        return None
    random, shares = np.random.default_rng(seed), []
    firsts = np.searchsorted(text, np.arange(len(texts) + 1))
    counts = np.diff(firsts)
    for _ in range(_DRAWS):
        order = random.permutation(len(texts))
        length = counts[order]
        upto = int(np.searchsorted(np.cumsum(length), words)) + 1
        order, length = order[:upto], length[:upto]
        before = np.cumsum(length) - length
        places = np.arange(int(length.sum())) + np.repeat(firsts[order] - before, length)
        seen = np.zeros(int(number.max()) + 1, np.bool_)
        seen[number[places[:words]]] = True
        shares.append(seen.sum() / words)
    drawn = np.array(shares)
    return interval(float(drawn.mean()), drawn, len(texts))


def runs(texts: pl.Series, size: int) -> int:
    """How many runs of ``size`` words the texts have."""
    counts = [np.diff(words.firsts) for words in Words.chunks(texts)]
    return int(sum(np.maximum(each - size + 1, 0).sum() for each in counts))


def nearest(rows: Vectors, among: Vectors | None = None, *, place: int = 1) -> Floats:
    """The squared distance of each row of its ``place``-th nearest in ``among``, or of the other
    ``rows``; inf where there are not so many."""
    other = rows if among is None else among
    made = np.full(len(rows), np.inf)
    if len(other) - (among is None) < place:
        return made
    for start in range(0, len(rows), _ROWS):
        products = rows[start : start + _ROWS] @ other.T
        if among is None:
            at = np.arange(len(products))
            products[at, at + start] = -np.inf
        best = -np.partition(-products, place - 1, axis=1)[:, place - 1]
        made[start : start + len(best)] = np.maximum(2 - 2 * best.astype(np.float64), 0)
    return made


def covered(radius: Floats, distance: Floats) -> npt.NDArray[np.bool_]:
    """Which rows of a source another one covers: its nearest is no farther than the row's
    :data:`NEAREST`-th nearest of its own (Naeem et al., arXiv 2002.09797). Of two samples of one
    source, some 97 % are covered."""
    return distance <= radius
