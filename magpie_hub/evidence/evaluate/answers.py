"""A model's answers to the prompts of a benchmark: greedy, turn after turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from magpie_hub.engines import Decoding, EngineSpec, Request
from magpie_hub.errors import EngineError
from magpie_hub.evidence.asking import Stage, fingerprint, rows, speaker
from magpie_hub.evidence.evaluate.opponents import Answer, model_slug
from magpie_hub.evidence.evaluate.prompts import Benchmark, Prompt
from magpie_hub.stage import Progress, Source, Steps

_ANSWERS = pa.schema(
    [
        ("answers", pa.list_(pa.string())),
        ("finish_reasons", pa.list_(pa.string())),
        ("tokens", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Answered:
    """``answers`` has one for each prompt, None where the engine gave it up; ``cut`` counts those
    that reached ``max_tokens`` or the end of the model's context."""

    model: str
    revision: str
    answers: tuple[Answer | None, ...]
    cut: int
    tokens: int

    @property
    def failed(self) -> int:
        return self.answers.count(None)


def answer(
    ref: str,
    benchmark: Benchmark,
    *,
    max_tokens: int,
    folder: Path,
    engine: EngineSpec,
    progress: Progress,
) -> Answered:
    """Of ``folder`` where they are there already. ``EngineError`` where not one came."""
    source = speaker(ref)
    prompts = benchmark.prompts
    keys = fingerprint(
        source.model.identity,
        source.template.describe(),
        max_tokens,
        [(prompt.id, prompt.history, prompt.turns) for prompt in prompts],
    )
    stage = Stage(
        title=f"answers {ref}",
        folder=folder / model_slug(ref),
        schema=_ANSWERS,
        keys=keys,
        asked=source,
        steps=lambda place: _conversation(source, prompts[place], max_tokens),
    )
    found = rows(stage, [prompt.id for prompt in prompts], engine=engine, progress=progress)
    if all(row["error"] for row in found):
        raise EngineError(f"{ref} answered none of {len(found)} prompts: {found[0]['error']}.")
    return Answered(
        model=ref,
        revision=source.model.revision,
        answers=tuple(None if row["error"] else tuple(row["answers"]) for row in found),
        cut=sum("length" in (row["finish_reasons"] or ()) for row in found),
        tokens=sum(row["tokens"] or 0 for row in found),
    )


def _conversation(source: Source, prompt: Prompt, max_tokens: int) -> Steps:
    decoding = Decoding(temperature=0.0, top_p=1.0, max_tokens=max_tokens)
    messages = [dict(message) for message in prompt.history]
    texts: list[str] = []
    reasons: list[str] = []
    tokens = 0
    for turn in prompt.turns:
        messages.append({"role": "user", "content": turn})
        asked = source.template.answer_prompt(messages)
        [completion] = yield [Request(asked, decoding, source.template.answer_stop_ids)]
        if completion.finish_reason == "error":
            return {"error": completion.error}
        text = source.template.split(completion.token_ids)[1].strip()
        messages.append({"role": "assistant", "content": text})
        texts.append(text)
        reasons.append(completion.finish_reason)
        tokens += len(completion.token_ids)
    made: dict[str, Any] = {"answers": texts, "finish_reasons": reasons, "tokens": tokens}
    return made


def lengths(answers: Sequence[Answer]) -> list[float]:
    """In characters, all turns together."""
    return [float(sum(map(len, each))) for each in answers]
