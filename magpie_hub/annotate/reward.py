"""The reward: sequence-classification models score each answer, each on its own chat template.

Source: arXiv 2406.08464, section 3.2 (r*, there FsfairX-LLaMA3-RM) and appendix C (r* - r_base).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from magpie_hub.engines import Completion, Request
from magpie_hub.errors import EngineError
from magpie_hub.recipe import Against
from magpie_hub.run import Run
from magpie_hub.run.answered import Answered, Message, candidates, dialogues, exchange
from magpie_hub.run.info import StageInfo
from magpie_hub.run.stored import store
from magpie_hub.stages import Asking, ReadSource, Source, Steps
from magpie_hub.stages.decoding import described
from magpie_hub.stages.respond import answers


def info(
    sources: Sequence[ReadSource],
    respond: StageInfo,
    baseline: StageInfo | None,
    *,
    several: bool = False,
) -> list[StageInfo]:
    """One stage a model. The first makes ``reward`` and, where there is a ``baseline`` of second
    answers, ``reward_difference``; the others add to ``rewards``. ``several``: a query has several
    answers, and each gets its score."""
    stages = []
    for number, source in enumerate(sources, 1):
        compared = baseline is not None and number == 1
        columns = ("reward", "reward_difference") if compared else ("reward",)
        columns = ("reward", "scores") if several else columns
        name = "reward" if number == 1 else f"reward-{number}"
        keys = {"model": source.model.identity}
        if compared and baseline is not None:
            keys["against"] = baseline.fingerprint
        stages.append(
            StageInfo(
                name=name,
                folder=f"annotations/{name}",
                keys=keys,
                after=respond.fingerprint,
                coverage=respond.coverage,
                columns=columns if number == 1 else ("rewards",),
                model=source.model.ref,
                revision=source.model.revision,
            )
        )
    return stages


def rewarding(run: Run, sources: Sequence[ReadSource], *, compared: bool) -> list[Asking]:
    """The scores of every answer, read with its whole conversation; ``compared``: and of the second
    answers in ``baseline``."""
    several = run.recipe.respond.answers > 1

    def part(number: int, source: ReadSource) -> Asking:
        stage = "reward" if number == 1 else f"reward-{number}"

        def job(shard: int, have: set[str]) -> dict[str, Steps]:
            seconds: dict[str, str | None] = {}
            if compared and number == 1:
                rows = store(run, "baseline").read(shard).to_pylist()
                seconds = {row["id"]: row["response"] for row in rows if row["error"] is None}
            if several:
                return {
                    name: _score_each(source, query, [each.response for each in found])
                    for name, query, found in candidates(run, shard)
                    if name not in have
                }
            return {
                row.id: _score(source, row, seconds.get(row.id))
                for row in dialogues(run, shard)
                if row.id not in have
            }

        return Asking(stage, source.model, job, task="score")

    return [part(number, source) for number, source in enumerate(sources, 1)]


def _score(source: ReadSource, row: Answered, second: str | None) -> Steps:
    conversations = [row.messages]
    if second is not None:
        conversations.append([*row.messages[:-1], {"role": "assistant", "content": second}])
    scores = yield from scored(source, conversations)
    if scores[0] is None:
        return {}
    if second is None:
        return {"reward": scores[0]}
    return {
        "reward": scores[0],
        "reward_difference": None if scores[1] is None else scores[0] - scores[1],
    }


def _score_each(source: ReadSource, query: str, responses: Sequence[str]) -> Steps:
    """The scores of several answers; ``reward`` is the first one's."""
    scores = yield from scored(source, [exchange(query, each) for each in responses])
    return {"reward": scores[0], "scores": scores}


def scored(
    source: ReadSource, conversations: Sequence[list[Message]]
) -> Generator[list[Request], list[Completion], list[float | None]]:
    """The score of each conversation, ``None`` where its request failed. ``EngineError`` where the
    model is none that scores."""
    completions = yield [Request(prompt=source.reader.conversation(each)) for each in conversations]
    return [_single(source, completion) for completion in completions]


def _single(source: ReadSource, completion: Completion) -> float | None:
    if completion.finish_reason == "error":
        return None
    if len(completion.scores) != 1:
        raise EngineError(
            f"{source.model.ref} gives {len(completion.scores)} numbers a text, and a reward model "
            "gives one."
        )
    return completion.scores[0]


def baseline_info(settings: Against, source: Source, respond: StageInfo) -> StageInfo:
    derived = source.template.describe()
    return StageInfo(
        name="baseline",
        folder="annotations/baseline",
        keys={
            "model": source.model.identity,
            **described(settings),
            **{key: derived[key] for key in ("post_query", "answer_stops", "thinking")},
        },
        after=respond.fingerprint,
        coverage=respond.coverage,
        columns=(),
        model=source.model.ref,
        revision=source.model.revision,
    )


def comparing(run: Run, settings: Against, source: Source) -> Asking:
    """A second answer to every answered query, to be scored beside the first; not published."""
    stage = run.stage("baseline").fingerprint

    def job(shard: int, have: set[str]) -> dict[str, Steps]:
        rows = [(row.id, row.queries[0]) for row in dialogues(run, shard) if row.id not in have]
        return answers(source, settings, rows, stage)

    return Asking("baseline", source.model, job)
