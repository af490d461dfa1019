"""Sample queries: the model continues the left side of its own chat template.

Source: arXiv 2406.08464, section 2.1, step 1.
"""

from __future__ import annotations

from magpie_hub.engines import Decoding, Request
from magpie_hub.models import Model, stated
from magpie_hub.recipe import Recipe, Sample
from magpie_hub.run import Run
from magpie_hub.run.info import StageInfo
from magpie_hub.run.slots import Slot
from magpie_hub.stages import Asking, Source, Steps
from magpie_hub.template import ChatTemplate

COLUMNS = ("id", "model", "temperature", "top_p", "seed", "system_prompt", "query_tokens")


def info(recipe: Recipe, model: Model, template: ChatTemplate) -> StageInfo:
    derived = template.describe()
    keys = {
        "model": model.identity,
        **{key: derived[key] for key in ("prefix", "query_stops", "date", "variables")},
        **recipe.sample.describe(),
        "seed": str(recipe.seed),
    }
    return StageInfo(
        name="sample",
        folder="queries",
        keys=keys,
        columns=COLUMNS,
        model=model.ref,
        revision=model.revision,
        writers=(stated(model),),
    )


def sampling(run: Run, source: Source) -> Asking:
    """A query for every slot, good or bad; what is wrong with one is the screen's to say."""
    ref = run.stage("sample").model

    def job(shard: int, have: set[str]) -> dict[str, Steps]:
        slots = (slot for slot in run.slots(shard) if slot.id not in have)
        return {slot.id: _ask(slot, source.template, run.recipe.sample, ref) for slot in slots}

    return Asking("sample", source.model, job)


def _ask(slot: Slot, template: ChatTemplate, settings: Sample, ref: str | None) -> Steps:
    cell = slot.cell
    prompt = template.query_prompt(slot.system, slot.prefill)
    opening = template.opening(slot.system, slot.prefill)
    [completion] = yield [
        Request(
            prompt=prompt,
            decoding=Decoding(
                cell.temperature, cell.top_p, settings.max_tokens, settings.repetition_penalty
            ),
            stop_ids=template.stop_ids,
            seed=slot.seed,
            shared=len(prompt) - len(opening) - 1,
        )
    ]
    query, ended = template.query(completion.token_ids, opening)
    return {
        "query": query,
        "query_finish": "stop" if ended else completion.finish_reason,
        "query_tokens": len(opening) + len(completion.token_ids),
        "model": ref,
        "temperature": cell.temperature,
        "top_p": cell.top_p,
        "seed": slot.seed,
        "system_prompt": slot.key,
    }
