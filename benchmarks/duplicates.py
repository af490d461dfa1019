"""Near-duplicate groups: ours (an exact search) and datasketch's MinHash LSH, from texts to groups.

Both take Jaccard similarity of word trigrams >= 0.8 and join what is linked. datasketch's
candidates are compared in full too, so that neither joins what is not alike. Recall is the share of
the true pairs that end in one group; the truth is counted over all pairs, by sparse products.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import numpy as np
from harness import Meter, Side, alternate, digest, note, ratios
from queries import Queries
from report import arguments, finish, show, show_ratios

from magpie_hub.annotate.near import Components, NearIndex, Shingles

THRESHOLD, SIZE, PERMUTATIONS = 0.8, 3, 128
ROWS, QUICK_ROWS, ROUNDS, QUICK_ROUNDS = 40_000, 5_000, 3, 2
OWN, TENDER = (0.5, 0.5), (0.02, 0.98)
"""Weights of false positives and negatives by which datasketch chooses its bands."""


def corpus(rows: int) -> list[str]:
    return Queries(1, copies=0.25).take(rows)


def sets_of(texts: list[str]) -> list[set[bytes]]:
    """The shingles, as anybody would write them down."""
    found = []
    for text in texts:
        words = re.findall(r"\w+", text.lower())
        size = min(SIZE, len(words))
        runs = range(len(words) - size + 1)
        found.append({" ".join(words[i : i + size]).encode() for i in runs})
    return found


def ours(meter: Meter, *, rows: int, truth: str) -> None:
    texts = corpus(rows)
    NearIndex(THRESHOLD).add(Shingles.of(texts[:100]))
    for _ in meter.rounds():
        with meter.part() as part:
            index = NearIndex(THRESHOLD)
            index.add(Shingles.of(texts))
        part.work = rows
        _judge(meter, index.components.roots, truth)
        part.digest = digest(enumerate(index.components.roots.tolist()))


def datasketch(
    meter: Meter, *, rows: int, truth: str, weights: tuple[float, float], bulk: bool
) -> None:
    """As its documentation shows it, or with ``bulk`` in the fastest way that it has."""
    import xxhash
    from datasketch import MinHash, MinHashLSH

    texts = corpus(rows)
    for _ in meter.rounds():
        with meter.part() as part:
            sets = sets_of(texts)
            if bulk:
                fast = xxhash.xxh32_intdigest
                sketches = MinHash.bulk(sets, num_perm=PERMUTATIONS, hashfunc=fast)
            else:
                sketches = [MinHash(num_perm=PERMUTATIONS) for _ in sets]
                for sketch, shingles in zip(sketches, sets, strict=True):
                    for shingle in shingles:
                        sketch.update(shingle)
            table = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS, weights=weights)
            links = []
            for row, sketch in enumerate(sketches):
                for other in table.query(sketch):
                    both = len(sets[row] & sets[other])
                    if both >= THRESHOLD * len(sets[row] | sets[other]):
                        links.append((other, row))
                table.insert(row, sketch, check_duplication=False)
            joined = Components(rows)
            joined.join(np.array(links, dtype=np.int64).reshape(-1, 2))
        part.work = rows
        _judge(meter, joined.roots, truth)
        part.digest = digest(enumerate(joined.roots.tolist()))


def _judge(meter: Meter, roots: np.ndarray, truth: str) -> None:
    pairs = np.load(truth)
    true = Components(len(roots))
    true.join(pairs)
    meter.facts["recall"] = float((roots[pairs[:, 0]] == roots[pairs[:, 1]]).mean())
    # Joined rightly, a row's group lies within its true one.
    meter.facts["wrong"] = int((true.roots != true.roots[roots]).sum())


def true_pairs(texts: list[str]) -> np.ndarray:
    """All pairs at or above the threshold [n, 2]."""
    from scipy.sparse import csr_matrix

    sets = sets_of(texts)
    numbers: dict[bytes, int] = {}
    columns = [[numbers.setdefault(shingle, len(numbers)) for shingle in each] for each in sets]
    sizes = np.array([len(each) for each in sets])
    indices = np.concatenate([np.array(each, dtype=np.int32) for each in columns])
    starts = np.concatenate([[0], np.cumsum(sizes)])
    ones = np.ones(len(indices), dtype=np.int32)
    matrix = csr_matrix((ones, indices, starts), shape=(len(sets), len(numbers)))
    found = []
    for start in range(0, len(sets), 1000):
        product = (matrix[start : start + 1000] @ matrix.T).tocoo()
        a, b, common = product.row + start, product.col, product.data
        near = (a < b) & (common >= THRESHOLD * (sizes[a] + sizes[b] - common))
        found.append(np.stack([a[near], b[near]], axis=1))
    return np.concatenate(found).astype(np.int64)


def main() -> None:
    given = arguments(__doc__)
    rows, rounds = (QUICK_ROWS, QUICK_ROUNDS) if given.quick else (ROWS, ROUNDS)
    with tempfile.TemporaryDirectory() as scratch:
        truth = str(Path(scratch) / "truth.npy")
        pairs = true_pairs(corpus(rows))
        np.save(truth, pairs)
        note(f"{len(pairs)} true pairs among {rows} rows")
        settings = {"rows": rows, "truth": truth}
        ways = [("datasketch", OWN, False), ("datasketch, bulk, xxhash", OWN, True)]
        if not given.quick:
            ways.append(("datasketch, bulk, xxhash, bands for recall", TENDER, True))
        sides = [Side("ours", ours, settings)]
        for name, weights, bulk in ways:
            sides.append(Side(name, datasketch, {**settings, "weights": weights, "bulk": bulk}))
        runs = alternate(sides, rounds=rounds)
    others = [side.name for side in sides[1:]]
    found = [ratios(runs, "ours", other) for other in others]
    show_ratios(f"near-duplicates among {rows:,} rows", "rows per CPU s", found)
    last = {run.side: run for run in runs}
    show(
        f"against all {len(pairs):,} true pairs",
        ("side", "recall", "rows joined wrongly", "peak MB"),
        [
            (name, f"{run.facts['recall']:.4f}", run.facts["wrong"], run.peak / 1e6)
            for name, run in last.items()
        ],
    )
    finish(
        "duplicates",
        ratio=found[0].median,
        ours={"rows per CPU s": found[0].ours, **last["ours"].facts},
        theirs={"rows per CPU s": found[0].theirs, **last["datasketch"].facts},
        runs=runs,
        libraries=("datasketch", "numpy", "polars"),
        as_json=given.json,
    )


if __name__ == "__main__":
    main()
