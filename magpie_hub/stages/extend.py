"""Extend: further turns, the user's side sampled as the first one was.

The model continues its own chat template behind an answer, at the place of the user's next
message. Source: arXiv 2406.08464, section 2.2 (Magpie-MT), there for one family of models; here for
every one whose template proves that place. For each turn there are two stages, so that raising
``turns`` adds some and changes none.
"""

from __future__ import annotations

from collections.abc import Sequence

from magpie_hub.engines import Request
from magpie_hub.recipe import Extend, Recipe
from magpie_hub.run import Run
from magpie_hub.run.answered import Answered, dialogues
from magpie_hub.run.info import StageInfo
from magpie_hub.run.slots import derive_seed
from magpie_hub.run.stored import answer, ask, store
from magpie_hub.stages import Asking, Source, Steps
from magpie_hub.stages.decoding import decoding, described
from magpie_hub.stages.endings import RULES, ending
from magpie_hub.stages.respond import Question, responding
from magpie_hub.template import ChatTemplate


def infos(recipe: Recipe, asker: Source, respond: StageInfo) -> list[StageInfo]:
    """The stages of all further turns, in their order; ``respond`` answers the first questions."""
    settings, derived = recipe.extend, asker.template.describe()
    stages: list[StageInfo] = []
    for turn in range(2, settings.turns + 1):
        before = stages[-1] if stages else respond
        keys = {
            "model": asker.model.identity,
            "followup": asker.template.followup or "",
            **{key: derived[key] for key in ("query_stops", "date", "variables")},
            **described(settings),
            "system": settings.system or "none",
            "rules": RULES,
        }
        asking = StageInfo(
            name=ask(turn),
            folder=f"turns/{turn}/queries",
            keys=keys,
            after=before.fingerprint,
            coverage=respond.coverage,
            columns=("ended",) if turn == 2 else (),
            model=asker.model.ref,
            revision=asker.model.revision,
        )
        answering = respond.model_dump() | {
            "name": answer(turn),
            "folder": f"turns/{turn}/responses",
            "after": asking.fingerprint,
            "columns": (),
        }
        stages += [asking, StageInfo(**answering)]
    return stages


def beside(stage: StageInfo, turns: int) -> StageInfo:
    """A stage that looks at whole conversations stands with their last turn: where they go on, it
    looks again, and what it said of the shorter ones stays."""
    folder = f"turns/{turns}/{stage.folder}"
    return stage.model_copy(update={"folder": folder})


def extending(
    run: Run, asker: Source, responders: Sequence[Source], templates: Sequence[ChatTemplate]
) -> list[Asking]:
    """What makes the further turns, in their order; ``templates`` are those of all models that
    read a question."""
    works: list[Asking] = []
    for turn in range(2, run.recipe.extend.turns + 1):
        works.append(_asking(run, asker, templates, turn))
        works += _answering(run, responders, turn)
    return works


def _asking(run: Run, asker: Source, templates: Sequence[ChatTemplate], turn: int) -> Asking:
    """The question of that turn in every conversation that goes on."""
    stage, settings = ask(turn), run.recipe.extend
    fingerprint = run.stage(stage).fingerprint

    def job(shard: int, have: set[str]) -> dict[str, Steps]:
        systems = {slot.id: slot.system or settings.system for slot in run.slots(shard)}
        rows = dialogues(run, shard, turns=turn - 1)
        rows = [row for row in rows if row.open and row.id not in have]
        prompts = asker.template.followup_prompts([(r.messages, systems[r.id]) for r in rows])
        return {
            row.id: _ask(
                row,
                prompt,
                asker.template,
                settings,
                templates=templates,
                seed=derive_seed(f"{fingerprint}:{row.id}", 0),
            )
            for row, prompt in zip(rows, prompts, strict=True)
        }

    return Asking(stage, asker.model, job)


def _ask(
    row: Answered,
    prompt: tuple[int, ...],
    template: ChatTemplate,
    settings: Extend,
    *,
    templates: Sequence[ChatTemplate],
    seed: int,
) -> Steps:
    [completion] = yield [Request(prompt, decoding(settings), template.stop_ids, seed)]
    if completion.finish_reason == "error":
        return {}
    query, found = template.query(completion.token_ids)
    finish = "stop" if found else completion.finish_reason
    return {
        "query": query,
        "query_finish": finish,
        "query_tokens": len(completion.token_ids),
        "ended": ending(
            query,
            ended=finish == "stop",
            messages=row.messages,
            templates=templates,
            max_tokens=settings.max_tokens,
        ),
    }


def _answering(run: Run, responders: Sequence[Source], turn: int) -> list[Asking]:
    """The answers to the good questions of that turn."""

    def asked(run: Run, shard: int) -> list[Question]:
        found = store(run, ask(turn)).read(shard).to_pylist()
        good = {
            row["id"]: row["query"]
            for row in found
            if row["error"] is None and row["ended"] is None
        }
        return [
            (row.id, [*row.messages, {"role": "user", "content": good[row.id]}])
            for row in dialogues(run, shard, turns=turn - 1)
            if row.open and row.id in good
        ]

    return responding(run, responders, stage=answer(turn), asked=asked)
