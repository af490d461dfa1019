"""Answer the queries that passed the screen.

Source: arXiv 2406.08464, section 2.1, step 2; greedy as there unless the recipe says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from magpie_hub.engines import Decoding, Request
from magpie_hub.pool import store
from magpie_hub.recipe import Recipe, Responder
from magpie_hub.run import Run, StageInfo, derive_seed
from magpie_hub.stage import Asking, Source, Steps

COLUMNS = ("messages", "responder", "finish_reason", "response_tokens", "turns")


class Answers(Protocol):
    """How an answer is decoded."""

    @property
    def temperature(self) -> float: ...
    @property
    def top_p(self) -> float: ...
    @property
    def max_tokens(self) -> int: ...


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
            "temperature": f"{settings.temperature:g}",
            "top_p": f"{settings.top_p:g}",
            "max_tokens": str(settings.max_tokens),
            **{key: derived[key] for key in ("post_query", "answer_stops", "thinking")},
        }
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
        columns=COLUMNS,
        model=", ".join(dict.fromkeys(source.model.ref for source in sources)),
        revision=", ".join(dict.fromkeys(revisions)),
    )


def responding(run: Run, sources: Sequence[Source]) -> list[Asking]:
    """An answer for every kept query, each responder for its own slots."""
    responders = run.recipe.respond.each
    stage = run.stage("respond").fingerprint

    def part(number: int, source: Source, settings: Responder) -> Asking:
        def job(shard: int, have: set[str]) -> dict[str, Steps]:
            rows = [row for row in kept(run, shard) if row[0] not in have]
            if len(responders) > 1:
                his = {slot.id for slot in run.slots(shard) if slot.responder == number}
                rows = [row for row in rows if row[0] in his]
            return answers(source, settings, rows, stage)

        return Asking("respond", source.model, job, part=number, parts=len(responders))

    return [
        part(number, source, settings)
        for number, (source, settings) in enumerate(zip(sources, responders, strict=True))
    ]


def answers(
    source: Source, settings: Answers, rows: Sequence[tuple[str, str]], stage: str
) -> dict[str, Steps]:
    """The answers to ``rows`` of (id, query), as ``schema.RESPONSES`` stores them; ``stage`` is the
    fingerprint from which their seeds follow."""
    prompts = source.template.answer_prompts([query for _, query in rows])
    decoding = Decoding(settings.temperature, settings.top_p, settings.max_tokens)
    stops = source.template.answer_stop_ids
    return {
        name: _answer(source, Request(prompt, decoding, stops, derive_seed(f"{stage}:{name}", 0)))
        for (name, _), prompt in zip(rows, prompts, strict=True)
    }


def _answer(source: Source, request: Request) -> Steps:
    template = source.template
    [completion] = yield [request]
    thinking, text = template.split(completion.token_ids)
    return {
        "response": text.strip(),
        "thinking": thinking,
        "finish_reason": completion.finish_reason,
        "response_tokens": len(completion.token_ids),
        "responder": source.model.ref,
    }


def kept(run: Run, shard: int) -> list[tuple[str, str]]:
    """(id, query) of the shard's queries that passed the screen, in slot order."""
    verdicts = store(run, "screen").read(shard)["kept"].to_pylist()
    queries = store(run, "sample").read(shard)
    rows = zip(queries["id"].to_pylist(), queries["query"].to_pylist(), verdicts, strict=True)
    return [(name, query) for name, query, passed in rows if passed]
