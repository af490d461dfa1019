"""Answer the queries that passed the screen.

Source: arXiv 2406.08464, section 2.1, step 2; greedy as there unless the recipe says otherwise.
"""

from __future__ import annotations

import pyarrow as pa

from magpie_hub import schema
from magpie_hub.engines import Completion, Decoding, Engine, Request
from magpie_hub.models import Model
from magpie_hub.pool import store
from magpie_hub.recipe import Recipe
from magpie_hub.run import Run, StageInfo, derive_seed
from magpie_hub.stage import Job, Progress, generate
from magpie_hub.template import ChatTemplate

COLUMNS = ("messages", "responder", "finish_reason", "response_tokens", "turns")


def info(
    recipe: Recipe, model: Model, template: ChatTemplate, *, after: StageInfo, gate: StageInfo
) -> StageInfo:
    """``after`` is the sampling, whose queries are answered; ``gate`` decides which of them."""
    settings = recipe.respond
    derived = template.describe()
    return StageInfo(
        name="respond",
        folder="responses",
        keys={
            "model": model.identity,
            "temperature": f"{settings.temperature:g}",
            "top_p": f"{settings.top_p:g}",
            "max_tokens": str(settings.max_tokens),
            **{key: derived[key] for key in ("post_query", "answer_stops", "thinking")},
        },
        after=after.fingerprint,
        coverage=gate.fingerprint,
        columns=COLUMNS,
        model=model.ref,
        revision=model.revision,
    )


def respond(run: Run, engine: Engine, template: ChatTemplate, progress: Progress) -> None:
    """Write an answer for every kept query of each shard."""
    stage = run.stage("respond")
    settings = run.recipe.respond
    decoding = Decoding(settings.temperature, settings.top_p, settings.max_tokens)

    def job(shard: int, have: set[str]) -> Job:
        rows = [row for row in kept(run, shard) if row[0] not in have]
        requests = [
            Request(
                key=key,
                group=shard,
                prompt=template.answer_prompt(query),
                decoding=decoding,
                stop_ids=template.answer_stop_ids,
                seed=derive_seed(f"{stage.fingerprint}:{name}", 0),
            )
            for key, (name, query) in enumerate(rows)
        ]

        def finish(completions: list[Completion]) -> pa.Table:
            table = []
            for (name, _), completion in zip(rows, completions, strict=True):
                thinking, answer = template.split(completion.token_ids)
                table.append(
                    {
                        "id": name,
                        "response": answer.strip(),
                        "thinking": thinking,
                        "finish_reason": completion.finish_reason,
                        "response_tokens": len(completion.token_ids),
                        "responder": stage.model,
                    }
                )
            return pa.Table.from_pylist(table, schema=schema.RESPONSES)

        return Job(requests, finish)

    generate(run, "respond", engine, job, progress)


def kept(run: Run, shard: int) -> list[tuple[str, str]]:
    """(id, query) of the shard's queries that passed the screen, in slot order."""
    verdicts = store(run, "screen").read(shard)["kept"].to_pylist()
    queries = store(run, "sample").read(shard)
    rows = zip(queries["id"].to_pylist(), queries["query"].to_pylist(), verdicts, strict=True)
    return [(name, query) for name, query, passed in rows if passed]
