"""Probe: is this model a source of queries? Its derived template, a few samples, their health.

Nothing is written. What is measured turns into sentences that say what to try next, and into the
lines of a recipe.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from magpie_hub import licences, models, template
from magpie_hub.annotate import judge as judging
from magpie_hub.engines import (
    Completion,
    Decoding,
    Engine,
    EngineSpec,
    Request,
    generate,
    open_engine,
)
from magpie_hub.errors import UsageError
from magpie_hub.health import USABLE, Health, Query, advice, health, measure, shares
from magpie_hub.licences import ModelLicense
from magpie_hub.models import Model
from magpie_hub.run.slots import derive_seed
from magpie_hub.template import ChatTemplate, Override

SHOWN = 8
_WIDTH = 300


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Derived(_Part):
    """The template as people see it: control tokens in ⟨⟩, spaces as ·, line ends as ⏎."""

    prefix: str
    prefix_ids: tuple[int, ...]
    post_query: str
    followup: str | None
    query_stops: tuple[str, ...]
    query_end: str | None
    answer_stops: tuple[str, ...]
    system: str
    thinking: str
    thinking_switch: str | None
    date: str | None


class Probe(_Part):
    model: str
    revision: str
    license: str | None
    template: Derived
    queries: tuple[Query, ...]
    health: Health
    advice: tuple[str, ...]
    recipe: str
    usable: bool

    def lines(self) -> list[str]:
        """What a person reads, in plain text."""
        t, health = self.template, self.health
        stops = (*t.query_stops, *([repr(t.query_end)] if t.query_end else []))
        facts = {
            "model": self.model,
            "revision": self.revision[:19],
            "license": self.license or "not stated",
            "before the query": t.prefix,
            "behind the query": t.post_query,
            "second turn": t.followup or "not possible",
            "a query ends at": ", ".join(stops),
            "an answer ends at": ", ".join(t.answer_stops),
            "system prompt": t.system,
            "thinking": t.thinking + (f" (switch: {t.thinking_switch})" * bool(t.thinking_switch)),
        }
        if t.date:
            facts["date told"] = t.date
        faults = ", ".join(f"{name} {share:.0%}" for name, share in health.faults.items())
        facts["health"] = f"{health.good:.0%} good; {faults}"
        facts["mean length"] = (
            f"{health.mean_tokens:.0f} tokens, {health.mean_characters:.0f} chars"
        )
        for name, found in (("languages", health.languages), ("categories", health.categories)):
            if found:
                facts[name] = ", ".join(f"{label} {share:.0%}" for label, share in found.items())
        wide = max(map(len, facts))
        out = [f"{key:<{wide}}  {value}" for key, value in facts.items()]
        out += ["", f"{min(SHOWN, len(self.queries))} of {len(self.queries)} queries:"]
        for query in self.queries[:SHOWN]:
            text = " ⏎ ".join(query.text.split("\n"))
            text = text if len(text) <= _WIDTH else text[:_WIDTH] + " …"
            out.append(f"  · {text or '(nothing)'}" + (f"   [{query.detail}]" * bool(query.detail)))
        out += ["", *(f"→ {sentence}" for sentence in self.advice), ""]
        return [*out, "# recipe.yaml", *self.recipe.splitlines()]


def probe(
    model_ref: str,
    n: int = 64,
    engine: EngineSpec | None = None,
    *,
    revision: str | None = None,
    temperature: float = 1.0,
    top_p: float = 1.0,
    max_tokens: int = 512,
    system: str | None = None,
    seed: int = 0,
    override: Override | None = None,
    judge: bool = True,
) -> Probe:
    """Sample ``n`` queries from ``model_ref`` through the engine and measure them. ``judge``: the
    model also labels their categories itself, which takes about as long again.

    ``UsageError`` where the template cannot be proved, ``EngineError`` where the model fails. A
    probe that is not ``usable`` is a result, not an error."""
    if n < 1:
        raise UsageError(f"probe needs at least one query, not {n}.")
    spec = engine or EngineSpec()
    spec.require()
    model = models.resolve(model_ref, revision)
    derived = template.load(model.path, override=override)
    prompt = derived.query_prompt(system)
    opened = open_engine(spec, model)
    decoding = Decoding(temperature, top_p, max_tokens)
    requests = [
        Request(
            prompt=prompt,
            decoding=decoding,
            stop_ids=derived.stop_ids,
            seed=derive_seed(f"probe:{seed}", key),
            shared=len(prompt) - 1,
        )
        for key in range(n)
    ]
    queries = measure(_in_order(opened, requests), derived, max_tokens)
    categories = None
    if judge and not derived.no_answer:
        # A judge's answer is bound to JSON, so it must not begin with thinking.
        switched = derived.thinking.switch is not None
        asked = (
            template.load(model.path, override=override, thinking=False) if switched else derived
        )
        categories = _categories(opened, asked, queries)
    opened.close()
    measured = health(queries, categories)
    usable = measured.good >= USABLE
    stated = models.stated(model)
    return Probe(
        model=model_ref,
        revision=model.revision,
        license=licence(model),
        template=_derived(derived),
        queries=queries,
        health=measured,
        advice=tuple(
            advice(measured, derived, decoding, steered=system is not None, usable=usable)
        ),
        recipe=_recipe(model_ref, _license(stated), decoding, measured, system),
        usable=usable,
    )


def _in_order(engine: Engine, requests: list[Request]) -> list[Completion]:
    got = {completion.request: completion for completion in generate(engine, requests)}
    return [got[request] for request in requests]


def _categories(
    engine: Engine, derived: ChatTemplate, queries: tuple[Query, ...]
) -> dict[str, float] | None:
    prompt = judging.prompts("three")[0]
    asked = [
        Request(
            prompt=derived.answer_prompt(prompt.about(query.text)),
            decoding=Decoding(temperature=0.0, top_p=1.0, max_tokens=64),
            stop_ids=derived.answer_stop_ids,
            schema=prompt.schema,
        )
        for query in queries
        if query.fault is None
    ]
    labels = Counter[str]()
    for completion in generate(engine, asked):
        text = derived.decode(completion.token_ids)
        if (found := judging.read_labels(text, prompt.columns)) is not None:
            labels[found["category"]] += 1
    return shares(labels)


def _derived(chat: ChatTemplate) -> Derived:
    def names(ids: Iterable[int]) -> tuple[str, ...]:
        return tuple(str(chat.tokenizer.convert_ids_to_tokens(i)) for i in sorted(ids))

    return Derived(
        prefix=chat.visible(chat.prefix),
        prefix_ids=chat.prefix_ids,
        post_query=chat.visible(chat.post_query),
        followup=None if chat.followup is None else chat.visible(chat.followup),
        query_stops=names(chat.stop_ids),
        query_end=chat.query_end,
        answer_stops=names(chat.answer_stop_ids),
        system=chat.system,
        thinking=_THINKING[chat.thinking.state],
        thinking_switch=chat.thinking.switch,
        date=chat.date,
    )


_THINKING = {
    "none": "the template knows of none",
    "free": "the model decides",
    "opened": "always: the prompt opens it",
    "closed": "off: the prompt closes it",
}


def licence(model: Model) -> str | None:
    """What the model's card states in its front matter."""
    found = models.stated(model)
    return (found.license == licences.OTHER and found.license_name) or found.license


def _license(found: ModelLicense) -> dict[str, str]:
    """The keys of a recipe whose data keep the model's licence, where the Hub can name it."""
    if found.license != licences.OTHER:
        known = found.license is not None and found.license in licences.identifiers()
        return {"license": found.license} if known and found.license else {}
    link = found.license_link or ""
    link = link if "://" in link else licences.link(found.key or "") or ""
    if not found.license_name or not link:
        return {}
    return {"license": licences.OTHER, "license_name": found.license_name, "license_link": link}


def _recipe(
    ref: str, license: dict[str, str], decoding: Decoding, health: Health, system: str | None
) -> str:
    """Lines of a recipe that make a dataset as it was probed."""
    name = re.sub(r"[^a-z0-9]+", "-", ref.rpartition("/")[2].lower()).strip("-")
    settings: dict[str, Any] = {"name": f"magpie-{name}", "model": ref, **license}
    longest = int(max(128, min(decoding.max_tokens, health.mean_tokens * 8)))
    sampling: dict[str, Any] = {
        "grid": [{"temperature": decoding.temperature, "top_p": decoding.top_p}],
        "max_tokens": longest,
    }
    if system is not None:
        sampling["steer"] = [{"key": "probed", "system": system}]
    settings |= {"rows": 1000, "sample": sampling}
    return yaml.safe_dump(settings, sort_keys=False, default_flow_style=None, allow_unicode=True)
