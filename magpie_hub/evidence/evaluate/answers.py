"""A model's answers to the prompts of a benchmark: greedy, turn after turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from magpie_hub.engines import Decoding, EngineSpec, Request
from magpie_hub.errors import EngineError
from magpie_hub.evidence.asking import Stage, fingerprint, rows
from magpie_hub.evidence.evaluate.opponents import Answer, model_slug
from magpie_hub.evidence.evaluate.prompts import Benchmark, Prompt
from magpie_hub.stages import Progress, Source, Steps

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
    source: Source,
    benchmark: Benchmark,
    *,
    decoding: Decoding,
    folder: Path,
    engine: EngineSpec,
    progress: Progress,
) -> Answered:
    """Of ``source``, which was asked for as ``ref``; those that are in ``folder`` already are taken
    from there. ``EngineError`` where not one came."""
    prompts = benchmark.prompts
    keys = fingerprint(
        source.model.identity,
        source.template.describe(),
        asdict(decoding),
        [(prompt.id, prompt.history, prompt.turns) for prompt in prompts],
    )
    stage = Stage(
        title=f"answers {ref}",
        folder=folder / model_slug(ref),
        schema=_ANSWERS,
        keys=keys,
        model=source.model,
        steps=lambda place: _conversation(source, prompts[place], decoding),
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


def _conversation(source: Source, prompt: Prompt, decoding: Decoding) -> Steps:
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
