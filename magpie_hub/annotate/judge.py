"""The judge: a chat model labels each query's category, difficulty and quality.

Prompts are the files in ``prompts/``; each names the columns that it asks for, and the JSON that
the judge may write is derived from ``schema.py``, so a label outside its set cannot come out. The
query stands behind all instructions, and whatever it says, only such JSON can follow.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from magpie_hub import schema
from magpie_hub.engines import Decoding, Request
from magpie_hub.models import Model
from magpie_hub.recipe import Recipe
from magpie_hub.run import Run, StageInfo
from magpie_hub.screen import Rules, rules_keys
from magpie_hub.stage import Asking, Source, Steps
from magpie_hub.template import ChatTemplate

_MAX_TOKENS = 256
_ORDER = ("category", "difficulty", "quality")


@dataclass(frozen=True)
class Prompt:
    """One question to the judge: its text, the columns that it fills, the hash of its file."""

    columns: tuple[str, ...]
    text: str
    sha256: str

    def about(self, query: str) -> str:
        return self.text.replace("{query}", query)

    @property
    def schema(self) -> str:
        return json.dumps(schema.json_schema(self.columns))


@cache
def prompts() -> tuple[Prompt, ...]:
    return tuple(_read(name) for name in _ORDER)


def _read(name: str) -> Prompt:
    file = resources.files("magpie_hub.annotate") / "prompts" / f"{name}.md"
    content = file.read_text(encoding="utf-8")
    _, front, text = content.split("---\n", 2)
    columns = tuple(yaml.safe_load(front)["columns"])
    return Prompt(columns, text.strip(), hashlib.sha256(content.encode()).hexdigest())


def info(recipe: Recipe, model: Model, sample: StageInfo, language: StageInfo | None) -> StageInfo:
    hashes = [prompt.sha256 for prompt in prompts()]
    coverage = json.dumps([rules_keys(recipe), language.fingerprint if language else None])
    return StageInfo(
        name="judge",
        folder="annotations/judge",
        keys={
            "model": model.identity,
            "prompts": " ".join(sha[:12] for sha in hashes),
            "decoding": "greedy, constrained to the labels",
        },
        after=sample.fingerprint,
        coverage=hashlib.blake2b(coverage.encode(), digest_size=8).hexdigest(),
        columns=schema.in_order(column for prompt in prompts() for column in prompt.columns),
        model=model.ref,
        revision=model.revision,
        prompt_sha256=hashlib.sha256("".join(hashes).encode()).hexdigest(),
    )


def judging(run: Run, source: Source, rules: Rules) -> Asking:
    """The labels of every query that breaks no rule of the screen."""
    asked = [(prompt, _shared(prompt, source.template)) for prompt in prompts()]

    def job(shard: int, have: set[str]) -> dict[str, Steps]:
        rows = rules.survivors(shard)
        return {
            name: _label(source.template, asked, text) for name, text in rows if name not in have
        }

    return Asking("judge", source.model, job, orderly=rules.orderly)


def _label(template: ChatTemplate, asked: list[tuple[Prompt, int]], query: str) -> Steps:
    completions = yield [
        Request(
            prompt=template.answer_prompt(prompt.about(query)),
            decoding=Decoding(temperature=0.0, top_p=1.0, max_tokens=_MAX_TOKENS),
            stop_ids=template.answer_stop_ids,
            schema=prompt.schema,
            shared=shared,
        )
        for prompt, shared in asked
    ]
    labels: dict[str, Any] = {}
    for completion in completions:
        labels |= read_labels(template.decode(completion.token_ids))
    return labels


def _shared(prompt: Prompt, template: ChatTemplate) -> int:
    """How many leading tokens the question has whatever the query is."""
    one, other = (template.answer_prompt(prompt.about(query)) for query in ("A", "7"))
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def read_labels(answer: str) -> dict[str, Any]:
    """The judge's JSON. Only a judge that was cut off has none: its labels stay null, and null
    passes no filter."""
    try:
        labels = json.loads(answer)
    except json.JSONDecodeError:
        return {}
    return labels if isinstance(labels, dict) else {}
