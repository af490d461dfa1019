"""Sample queries: the model continues the left side of its own chat template.

Source: arXiv 2406.08464, section 2.1, step 1.
"""

from __future__ import annotations

import pyarrow as pa

from magpie_hub import schema
from magpie_hub.engines import Completion, Decoding, Engine, Request
from magpie_hub.models import Model
from magpie_hub.recipe import Recipe
from magpie_hub.run import Run, Slot, StageInfo
from magpie_hub.stage import Job, Progress, generate
from magpie_hub.template import ChatTemplate

COLUMNS = ("id", "model", "temperature", "top_p", "seed", "system_prompt", "query_tokens")


def info(recipe: Recipe, model: Model, template: ChatTemplate) -> StageInfo:
    derived = template.describe()
    keys = {
        "model": model.identity,
        **{key: derived[key] for key in ("prefix", "query_stops", "date", "variables")},
        "grid": "; ".join(
            f"temperature {c.temperature:g}, top-p {c.top_p:g}, weight {c.weight:g}"
            for c in recipe.sample.grid
        ),
        "max_tokens": str(recipe.sample.max_tokens),
        "seed": str(recipe.seed),
    }
    for steer in recipe.sample.steer:
        keys[f"steer {steer.key}"] = f"weight {steer.weight:g}: {steer.system or '(none)'}"
    return StageInfo(
        name="sample",
        folder="queries",
        keys=keys,
        columns=COLUMNS,
        model=model.ref,
        revision=model.revision,
    )


def sample(run: Run, engine: Engine, template: ChatTemplate, progress: Progress) -> None:
    """Write a query for every slot, good or bad; what is wrong with one is the screen's to say."""
    model = run.stage("sample").model

    def job(shard: int, have: set[str]) -> Job:
        slots = [slot for slot in run.slots(shard) if slot.id not in have]
        prompts = [template.query_prompt(s.steer.system if s.steer else None) for s in slots]
        requests = [
            Request(
                key=slot.index,
                group=shard,
                prompt=prompt,
                decoding=Decoding(
                    slot.cell.temperature, slot.cell.top_p, run.recipe.sample.max_tokens
                ),
                stop_ids=template.stop_ids,
                seed=slot.seed,
                shared=len(prompt) - 1,
            )
            for slot, prompt in zip(slots, prompts, strict=True)
        ]

        def finish(completions: list[Completion]) -> pa.Table:
            return _table(slots, completions, template, model)

        return Job(requests, finish)

    generate(run, "sample", engine, job, progress)


def _table(
    slots: list[Slot], completions: list[Completion], template: ChatTemplate, model: str | None
) -> pa.Table:
    rows = []
    for slot, completion in zip(slots, completions, strict=True):
        query, ended = template.query(completion.token_ids)
        rows.append(
            {
                "id": slot.id,
                "query": query,
                "query_finish": "stop" if ended else completion.finish_reason,
                "query_tokens": len(completion.token_ids),
                "model": model,
                "temperature": slot.cell.temperature,
                "top_p": slot.cell.top_p,
                "seed": slot.seed,
                "system_prompt": slot.steer.key if slot.steer else None,
            }
        )
    return pa.Table.from_pylist(rows, schema=schema.QUERIES)
