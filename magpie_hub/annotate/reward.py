"""The reward: a sequence-classification model scores each answer, on its own chat template.

Source: arXiv 2406.08464, section 3.2 (r*), where it was FsfairX-LLaMA3-RM.
"""

from __future__ import annotations

import pyarrow as pa

from magpie_hub import schema
from magpie_hub.engines import Scorer
from magpie_hub.models import Model
from magpie_hub.pool import store
from magpie_hub.respond import kept
from magpie_hub.run import Run, StageInfo
from magpie_hub.stage import Progress, compute
from magpie_hub.template import ChatTemplate


def info(model: Model, respond: StageInfo) -> StageInfo:
    return StageInfo(
        name="reward",
        folder="annotations/reward",
        keys={"model": model.identity},
        after=respond.fingerprint,
        coverage=respond.coverage,
        columns=("reward",),
        model=model.ref,
        revision=model.revision,
    )


def annotate(run: Run, scorer: Scorer, template: ChatTemplate, progress: Progress) -> None:
    """Write the score of every answer of each shard."""

    def make(shard: int, have: set[str]) -> pa.Table:
        queries = dict(kept(run, shard))
        rows = store(run, "respond").read(shard).select(["id", "response"]).to_pylist()
        rows = [row for row in rows if row["id"] in queries and row["id"] not in have]
        scores = scorer.score(
            [template.conversation(queries[row["id"]], row["response"]) for row in rows]
        )
        return pa.table(
            [pa.array([row["id"] for row in rows], pa.string()), pa.array(scores, pa.float64())],
            schema=schema.annotation(["reward"]),
        )

    compute(run, "reward", make, progress)
