"""Which of several answers to a query is published, and which stands beside it as the worse one.

By reward: best and worst of k, as preference data is made (arXiv 2406.08464, appendix C). By vote:
the first of those whose final answer most of them came to (self-consistency, arXiv 2203.11171).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pyarrow as pa

from magpie_hub import schema
from magpie_hub.checks import sandbox, values, vote
from magpie_hub.recipe import Choose, Recipe
from magpie_hub.run import Run
from magpie_hub.run.answered import Candidate, candidates
from magpie_hub.run.info import StageInfo
from magpie_hub.run.stored import store
from magpie_hub.stages import Local

Way = Literal["reward", "vote"]
Scores = Sequence[Sequence[float | None]]
"""Of each reward model, its scores of the answers."""


def way(recipe: Recipe) -> Way | None:
    """How one of several answers is chosen; None where there is one."""
    if recipe.respond.answers == 1:
        return None
    return recipe.choose.by or ("vote" if recipe.builder == "reasoning" else "reward")


def columns(by: Way) -> list[str]:
    """What a choice makes known."""
    return ["answers", *(("majority", "pass_rate") if by == "vote" else schema.PAIR)]


def info(settings: Choose, by: Way, respond: StageInfo, rewards: Sequence[StageInfo]) -> StageInfo:
    """``rewards`` are the stages that score all answers."""
    keys = {"by": by, **{stage.name: stage.fingerprint for stage in rewards}}
    if by == "vote":
        keys["run_code"] = str(settings.run_code).lower()
    return StageInfo(
        name="choose",
        folder="choices",
        keys=keys,
        after=respond.fingerprint,
        coverage=respond.coverage,
        columns=schema.in_order(columns(by)),
    )


def choosing(run: Run, settings: Choose, by: Way, rewards: Sequence[str]) -> Local:
    """A choice for every row whose answers are scored by all ``rewards``, the names of the stages
    that do."""

    def make(shard: int, have: set[str]) -> pa.Table:
        scored = [_scores(run, stage, shard) for stage in rewards]
        rows = []
        for name, _, answers in candidates(run, shard):
            if name in have or not all(name in each for each in scored):
                continue
            scores = [each[name] for each in scored]
            made = by_vote(answers, settings) if by == "vote" else by_reward(answers, scores)
            rows.append({"id": name, "answers": len(answers), **made})
        return pa.Table.from_pylist(rows, schema=schema.CHOICES)

    return Local("choose", make)


def by_reward(answers: Sequence[Candidate], scores: Scores) -> dict[str, Any]:
    """The best and the worst by their mean rank among the answers, over all reward models; what is
    published as their scores is the first model's. Answers that were cut off are not chosen where
    another was not.

    ``unpaired`` says why there is no worse one.
    """
    usable = [
        place
        for place, answer in enumerate(answers)
        if answer.response and all(model[place] is not None for model in scores)
    ]
    if not usable:
        return {"unpaired": "no answer"}
    whole = [place for place in usable if answers[place].finish_reason == "stop"]
    ranks = {place: _rank(place, usable, scores) for place in usable}
    best = max(whole or usable, key=lambda place: (*ranks[place], -place))
    found: dict[str, Any] = {"chosen_place": best, "chosen_score": scores[0][best]}
    others = [place for place in usable if answers[place].response != answers[best].response]
    if not others:
        return found | {"unpaired": "identical answers" if len(usable) > 1 else "one answer"}
    worst = min(others, key=lambda place: (*ranks[place], place))
    if any(_above(model[worst], model[best]) for model in scores):
        return found | {"unpaired": "better one cut off" if len(scores) == 1 else "models disagree"}
    low, high = scores[0][worst], scores[0][best]
    assert low is not None and high is not None
    return found | {"rejected_place": worst, "rejected_score": low, "margin": high - low}


def _rank(place: int, usable: Sequence[int], scores: Scores) -> tuple[float, float]:
    """(how many answers it beats, over all models; the first model's score)."""
    beaten = sum(_above(model[place], model[other]) for model in scores for other in usable)
    first = scores[0][place]
    assert first is not None
    return beaten, first


def _above(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and one > other


def by_vote(answers: Sequence[Candidate], settings: Choose) -> dict[str, Any]:
    """The first answer that came to what most came to, with the share that did; where nothing can
    be compared, the first that there is."""
    found = [_value(answer, settings) for answer in answers]
    majority = vote.majority(found)
    if majority.winner is not None:
        return {
            "chosen_place": majority.winner,
            "majority": majority.value,
            "pass_rate": majority.agreement,
        }
    there = [place for place, answer in enumerate(answers) if answer.response]
    return {"chosen_place": there[0] if there else None}


def _value(answer: Candidate, settings: Choose) -> str | None:
    """What the answer comes to. One that was cut off comes to nothing."""
    if not answer.response or answer.finish_reason != "stop":
        return None
    if settings.run_code and (code := sandbox.code_of(answer.response)) is not None:
        outcome = sandbox.run(code)
        return outcome.stdout.strip() or None if outcome.ok else None
    return values.final_answer(answer.response)


def _scores(run: Run, stage: str, shard: int) -> dict[str, list[float | None]]:
    rows = store(run, stage).read(shard).select(["id", "scores", "error"]).to_pylist()
    return {row["id"]: row["scores"] for row in rows if row["error"] is None}
