"""The judge: a chat model labels each query's category, difficulty and quality.

Prompts are the files in ``prompts/``; each names the columns that it asks for, and the JSON that
the judge may write is derived from ``schema.py``, so a label outside its set cannot come out. The
query stands behind all instructions, and whatever it says, only such JSON can follow.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from magpie_hub import schema
from magpie_hub.engines import Completion, Decoding, Request
from magpie_hub.models import Model
from magpie_hub.recipe import Judge, Passes, Recipe
from magpie_hub.run import Run
from magpie_hub.run.info import StageInfo
from magpie_hub.stages import Asking, Source, Steps
from magpie_hub.stages.screen import Rules, rules_keys
from magpie_hub.template import ChatTemplate

Labels = dict[str, Any]
_GREEDY = Decoding(temperature=0.0, top_p=1.0, max_tokens=512)
_WARM = Decoding(temperature=0.7, top_p=0.95, max_tokens=1024)
_PASSES: dict[Passes, tuple[str, ...]] = {
    "one": ("all",),
    "three": ("category", "difficulty", "quality"),
}


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
def prompts(passes: Passes) -> tuple[Prompt, ...]:
    """What a judge is asked about each query: everything at once, or three questions."""
    return tuple(read_prompt(name) for name in _PASSES[passes])


def read_prompt(name: str) -> Prompt:
    """A file of ``prompts/``."""
    file = resources.files("magpie_hub.annotate") / "prompts" / f"{name}.md"
    content = file.read_text(encoding="utf-8")
    _, front, text = content.split("---\n", 2)
    columns = tuple(yaml.safe_load(front)["columns"])
    return Prompt(columns, text.strip(), hashlib.sha256(content.encode()).hexdigest())


def info(
    recipe: Recipe, settings: Judge, model: Model, sample: StageInfo, labels: Sequence[StageInfo]
) -> StageInfo:
    """``labels`` are what the rules of the screen look at besides the query."""
    asked = prompts(settings.passes)
    hashes = [prompt.sha256 for prompt in asked]
    before: list[str | None] = [stage.fingerprint for stage in labels] or [None]
    coverage = json.dumps([rules_keys(recipe), *before])
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
        columns=schema.in_order(column for prompt in asked for column in prompt.columns),
        model=model.ref,
        revision=model.revision,
        prompt_sha256=hashlib.sha256("".join(hashes).encode()).hexdigest(),
    )


def judging(run: Run, settings: Judge, source: Source, rules: Rules) -> Asking:
    """The labels of every query that breaks no rule of the screen."""
    asked = [Question.of(prompt, source.template) for prompt in prompts(settings.passes)]

    def job(shard: int, have: set[str]) -> dict[str, Steps]:
        rows = rules.survivors(shard)
        return {
            name: label(asked, source.template, query) for name, query in rows if name not in have
        }

    return Asking("judge", source.model, job, orderly=rules.orderly)


@dataclass(frozen=True)
class Question:
    """A prompt, and how many of its leading tokens are the same whatever the query is."""

    prompt: Prompt
    shared: int

    @classmethod
    def of(cls, prompt: Prompt, template: ChatTemplate) -> Question:
        return cls(prompt, _shared(prompt, template))


def label(asked: Sequence[Question], template: ChatTemplate, query: str) -> Steps:
    """The labels of one query; where the judge gives none the row fails, and says what it lacks."""
    answers = yield from ask([(question, query) for question in asked], template)
    labels: Labels = {}
    lacking: list[str] = []
    for question, found in zip(asked, answers, strict=True):
        if found is None:
            lacking += question.prompt.columns
        else:
            labels |= found
    return labels | ({"error": failure(lacking)} if lacking else {})


def failure(lacking: Sequence[str]) -> str:
    """What a row says that lacks these labels."""
    return f"the judge gave no valid {', '.join(lacking)}"


def ask(
    asked: Sequence[tuple[Question, str]], template: ChatTemplate
) -> Generator[list[Request], list[Completion], list[Labels | None]]:
    """The judge's answer to each question about its text, all asked at once. What has no valid one
    is asked once more, warm, since greedy decoding would say the same again; then it is None."""
    answers: list[Labels | None] = [None] * len(asked)
    for decoding in (_GREEDY, _WARM):
        left = [at for at, found in enumerate(answers) if found is None]
        if not left:
            break
        completions = yield [
            Request(
                prompt=template.answer_prompt(question.prompt.about(text)),
                decoding=decoding,
                stop_ids=template.answer_stop_ids,
                schema=question.prompt.schema,
                shared=question.shared,
            )
            for question, text in (asked[at] for at in left)
        ]
        for at, completion in zip(left, completions, strict=True):
            said = template.decode(completion.token_ids)
            answers[at] = read_labels(said, asked[at][0].prompt.columns)
    return answers


def _shared(prompt: Prompt, template: ChatTemplate) -> int:
    """How many leading tokens the question has whatever the query is."""
    one, other = (template.answer_prompt(prompt.about(query)) for query in ("A", "7"))
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def read_labels(answer: str, columns: Sequence[str]) -> Labels | None:
    """The judge's JSON, or None where it is not an object with a valid value for each of
    ``columns``: one that was cut off, or an engine that does not bind its output."""
    try:
        found = json.loads(answer)
    except json.JSONDecodeError:
        return None
    if not isinstance(found, dict):
        return None
    labels: Labels = {column: found.get(column) for column in columns}
    return labels if all(schema.is_valid(name, value) for name, value in labels.items()) else None
