"""Answer the queries that passed the screen.

Source: arXiv 2406.08464, section 2.1, step 2; greedy as there unless the recipe says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from magpie_hub.engines import Request
from magpie_hub.models import stated
from magpie_hub.recipe import Recipe, Responder
from magpie_hub.run import Run
from magpie_hub.run.answered import Message, kept
from magpie_hub.run.info import StageInfo
from magpie_hub.run.slots import derive_seed
from magpie_hub.stages import Asking, Source, Steps
from magpie_hub.stages.decoding import Decoded, decoding, described
from magpie_hub.template import ChatTemplate

COLUMNS = ("messages", "responder", "finish_reason", "response_tokens", "turns")


def columns(sources: Sequence[Source]) -> tuple[str, ...]:
    """What the answers of these responders make known."""
    thinks = any(source.template.thinking.active for source in sources)
    return (*COLUMNS, "thinking_tokens") if thinks else COLUMNS


Question = tuple[str, str | Sequence[Message]]
"""The id of a row, and what it asks: a query, or a conversation that ends with one."""


def info(
    recipe: Recipe, sources: Sequence[Source], *, after: StageInfo, gate: StageInfo
) -> StageInfo:
    """``sources`` are the recipe's responders; ``after`` is the sampling, whose queries are
    answered; ``gate`` decides which of them."""
    responders = recipe.respond.each
    keys = {}
    for number, (settings, source) in enumerate(zip(responders, sources, strict=True)):
        derived = source.template.describe()
        own = {
            "model": source.model.identity,
            **described(settings),
            **{key: derived[key] for key in ("post_query", "answer_stops", "thinking")},
        }
        if settings.thinking_tokens is not None:
            own["thinking_tokens"] = str(settings.thinking_tokens)
        if recipe.respond.answers > 1:
            own["answers"] = str(recipe.respond.answers)
        if len(responders) == 1:
            keys = own
        else:
            own["weight"] = f"{settings.weight:g}"
            keys |= {f"responder {number} {key}": value for key, value in own.items()}
    revisions = [source.model.revision for source in sources]
    return StageInfo(
        name="respond",
        folder="responses",
        keys=keys,
        after=after.fingerprint,
        coverage=gate.fingerprint,
        columns=columns(sources),
        model=", ".join(dict.fromkeys(source.model.ref for source in sources)),
        revision=", ".join(dict.fromkeys(revisions)),
        writers=tuple(dict.fromkeys(stated(source.model) for source in sources)),
    )


def responding(
    run: Run,
    sources: Sequence[Source],
    *,
    stage: str = "respond",
    asked: Callable[[Run, int], Sequence[Question]] = kept,
) -> list[Asking]:
    """An answer to every question that is ``asked`` in a shard, each responder for its own
    slots."""
    responders = run.recipe.respond.each
    fingerprint = run.stage(stage).fingerprint

    def part(number: int, source: Source, settings: Responder) -> Asking:
        def job(shard: int, have: set[str]) -> dict[str, Steps]:
            rows = [row for row in asked(run, shard) if row[0] not in have]
            if len(responders) > 1:
                his = {slot.id for slot in run.slots(shard) if slot.responder == number}
                rows = [row for row in rows if row[0] in his]
            count, budget = run.recipe.respond.answers, settings.thinking_tokens
            return answers(source, settings, rows, fingerprint, count=count, budget=budget)

        return Asking(stage, source.model, job, part=number, parts=len(responders))

    return [
        part(number, source, settings)
        for number, (source, settings) in enumerate(zip(sources, responders, strict=True))
    ]


def answers(
    source: Source,
    settings: Decoded,
    rows: Sequence[Question],
    stage: str,
    *,
    count: int = 1,
    budget: int | None = None,
) -> dict[str, Steps]:
    """``count`` answers to each of ``rows``, as ``schema.RESPONSES`` stores them;
    ``stage`` is the fingerprint from which their seeds follow, ``budget`` the tokens after which
    thinking is ended."""
    prompts = source.template.answer_prompts([query for _, query in rows])
    return {
        name: answering(source, settings, prompt, f"{stage}:{name}", count=count, budget=budget)
        for (name, _), prompt in zip(rows, prompts, strict=True)
    }


@dataclass
class _Written:
    """An answer so far."""

    ids: list[int]
    finish_reason: str


def answering(
    source: Source,
    settings: Decoded,
    prompt: tuple[int, ...],
    key: str,
    *,
    count: int = 1,
    budget: int | None = None,
) -> Steps:
    """One row's answers, all asked for at once. Those that reach the ``budget`` go on behind it,
    and where they are still thinking, behind the end of the thinking."""
    template = source.template

    def request(place: int, so_far: Sequence[int], upto: int) -> Request:
        how = decoding(settings, max(1, upto - len(so_far)))
        # Only what is already written tells the two requests for one answer apart.
        seed = derive_seed(f"{key} on" if so_far else key, place)
        return Request((*prompt, *so_far), how, template.answer_stop_ids, seed)

    first = settings.max_tokens if budget is None else min(budget, settings.max_tokens)
    completions = yield [request(place, (), first) for place in range(count)]
    if lost := next((c.error for c in completions if c.finish_reason == "error"), None):
        return {"error": lost}
    written = [_Written(list(c.token_ids), c.finish_reason) for c in completions]
    cut = [place for place in range(count) if written[place].finish_reason == "length"]
    if first < settings.max_tokens and cut:
        for place in cut:
            written[place].ids += template.closing(written[place].ids)
        completions = yield [
            request(place, written[place].ids, settings.max_tokens) for place in cut
        ]
        for place, completion in zip(cut, completions, strict=True):
            written[place].ids += completion.token_ids
            written[place].finish_reason = completion.finish_reason
    found = [_read(template, each) for each in written]
    return {**found[0], "others": found[1:] or None, "responder": source.model.ref}


def _read(template: ChatTemplate, written: _Written) -> dict[str, Any]:
    thinking, text = template.split(written.ids)
    return {
        "response": text.strip(),
        "thinking": thinking,
        "finish_reason": written.finish_reason,
        "response_tokens": len(written.ids),
        "thinking_tokens": template.thinking_length(written.ids),
    }
