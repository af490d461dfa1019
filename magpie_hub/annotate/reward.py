"""The reward: a sequence-classification model scores each answer, on its own chat template.

Source: arXiv 2406.08464, section 3.2 (r*), where it was FsfairX-LLaMA3-RM.
"""

from __future__ import annotations

from magpie_hub.engines import Request
from magpie_hub.errors import EngineError
from magpie_hub.models import Model
from magpie_hub.pool import store
from magpie_hub.respond import kept
from magpie_hub.run import Run, StageInfo
from magpie_hub.stage import Asking, Source, Steps


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


def rewarding(run: Run, source: Source) -> Asking:
    """The score of every answer."""

    def job(shard: int, have: set[str]) -> dict[str, Steps]:
        queries = dict(kept(run, shard))
        rows = store(run, "respond").read(shard).to_pylist()
        return {
            row["id"]: _score(source, queries[row["id"]], row["response"])
            for row in rows
            if row["id"] in queries and row["id"] not in have and row["error"] is None
        }

    return Asking("reward", source.model, job, task="score")


def _score(source: Source, query: str, answer: str) -> Steps:
    [completion] = yield [Request(prompt=source.template.conversation(query, answer))]
    if completion.finish_reason == "error":
        return {}
    if len(completion.scores) != 1:
        raise EngineError(
            f"{source.model.ref} gives {len(completion.scores)} numbers a text, and a reward model "
            "gives one."
        )
    return {"reward": completion.scores[0]}
