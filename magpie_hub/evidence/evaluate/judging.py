"""Two answers side by side, judged in both orders, with verdicts that cannot be anything else.

The words are our own, the grades those of the benchmarks: three of AlpacaEval and MT-Bench, five of
Arena-Hard and WildBench. The judge's output is bound to a JSON schema that ends with the verdict,
behind room for its reasons.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from magpie_hub.engines import Decoding, EngineSpec, Request
from magpie_hub.errors import EngineError
from magpie_hub.evidence.asking import Stage, fingerprint, rows
from magpie_hub.evidence.evaluate.opponents import Answer, model_slug
from magpie_hub.evidence.evaluate.prompts import Kind, Prompt
from magpie_hub.stages import Progress, Source, Steps
from magpie_hub.template import ChatTemplate

THREE = ("A", "B", "tie")
FIVE = ("A>>B", "A>B", "A=B", "B>A", "B>>A")
SCALES: dict[Kind, tuple[str, ...]] = {"arena-hard": FIVE, "wildbench": FIVE}
"""THREE for all others."""
_AS_FIVE = {"A": "A>B", "B": "B>A", "tie": "A=B"}
_TURNED = dict(zip(FIVE, reversed(FIVE), strict=True))
_GREEDY = Decoding(temperature=0.0, top_p=1.0, max_tokens=1024)
_WARM = Decoding(temperature=0.7, top_p=0.95, max_tokens=1024)
_REASONS = 600
"""Characters of a judge's reasons, so that one that rambles comes to its verdict."""

_INSTRUCTION = """\
Compare two answers to a user, and say which one is better: right, helpful, to the point, and \
what was asked for. Length is no merit, and neither is the order in which they stand.{checklist}
Reply with JSON: "reason", and then "verdict", one of {verdicts}.
{references}
[Conversation with answer A]
{a}

[Conversation with answer B]
{b}"""
_SCORING = """\
Grade the answer to a user from 1 (makes no sense) over 5 (fair, with faults) to 10 (perfect).\
{checklist}
Reply with JSON: "reason", and then "score", one of 1 to 10.

[Conversation]
{a}"""
_MEANING = {
    THREE: '"A", "B" or "tie"',
    FIVE: '"A>>B" (A is much better), "A>B", "A=B", "B>A" or "B>>A" (B is much better)',
}
_JUDGED = pa.schema([("forward", pa.string()), ("backward", pa.string()), ("score", pa.int64())])


@dataclass(frozen=True)
class Verdict:
    """Of one prompt, on the scale of five with ``A`` as the model and ``B`` as its opponent,
    whatever stood first: ``forward`` with the model's answer first, ``backward`` with it second;
    None where the judge gave none. ``score`` is that of the model's answer alone, 1 to 10."""

    forward: str | None
    backward: str | None
    score: int | None

    @property
    def valid(self) -> tuple[str, ...]:
        return tuple(each for each in (self.forward, self.backward) if each is not None)


@dataclass(frozen=True)
class Judgement:
    """By one judge; ``verdicts`` are those of the prompts that were judged, in their order."""

    judge: str
    revision: str
    verdicts: tuple[Verdict, ...]


def judge(
    ref: str,
    source: Source,
    kind: Kind,
    prompts: Sequence[Prompt],
    answers: Sequence[Answer],
    opponents: Sequence[Answer] | None,
    *,
    folder: Path,
    engine: EngineSpec,
    progress: Progress,
) -> Judgement:
    """``answers`` against ``opponents`` by the judge ``source``, which was asked for as ``ref``;
    and, of prompts with a checklist, each answer's own score. ``EngineError`` where it gives no
    valid verdict at all."""
    scale = SCALES.get(kind, THREE)
    games = [
        Games.of(source.template, scale, prompt, answer, opponents[place] if opponents else None)
        for place, (prompt, answer) in enumerate(zip(prompts, answers, strict=True))
    ]
    keys = fingerprint(
        source.model.identity,
        source.template.describe(),
        [(game.texts, game.schemas) for game in games],
    )
    stage = Stage(
        title=f"judge {ref}",
        folder=folder / model_slug(ref),
        schema=_JUDGED,
        keys=keys,
        model=source.model,
        steps=lambda place: _judged(source, games[place]),
    )
    found = rows(stage, [prompt.id for prompt in prompts], engine=engine, progress=progress)
    verdicts = tuple(_read(row) for row in found)
    if not any(each.valid or each.score is not None for each in verdicts):
        raise EngineError(f"{ref} gave no valid verdict at all; take another judge.")
    return Judgement(ref, source.model.revision, verdicts)


@dataclass(frozen=True)
class Games:
    """What the judge is asked about one prompt: ``names`` of the verdicts, the texts, and which
    JSON may follow each."""

    names: tuple[str, ...]
    texts: tuple[str, ...]
    schemas: tuple[str, ...]
    prompts: tuple[tuple[int, ...], ...]

    @classmethod
    def of(
        cls,
        template: ChatTemplate,
        scale: tuple[str, ...],
        prompt: Prompt,
        answer: Answer,
        opponent: Answer | None,
    ) -> Games:
        names, texts, schemas = [], [], []
        checklist = "".join(f"\n- {each}" for each in prompt.checklist)
        if checklist:
            checklist = f" Let this list guide you:{checklist}"
        if opponent is not None:
            pairs = {"forward": (answer, opponent), "backward": (opponent, answer)}
            for name, (first, second) in pairs.items():
                said = {
                    "checklist": checklist,
                    "verdicts": _MEANING[scale],
                    "references": "".join(
                        f"\n[Reference answer]\n{each}\n" for each in prompt.references
                    ),
                    "a": _shown(prompt, first),
                    "b": _shown(prompt, second),
                }
                names.append(name)
                texts.append(_INSTRUCTION.format(**said))
                schemas.append(_schema("verdict", list(scale)))
        if prompt.checklist:
            names.append("score")
            texts.append(_SCORING.format(checklist=checklist, a=_shown(prompt, answer)))
            schemas.append(_schema("score", list(range(1, 11))))
        asked = tuple(template.answer_prompt(text) for text in texts)
        return cls(tuple(names), tuple(texts), tuple(schemas), asked)


def _shown(prompt: Prompt, answer: Answer) -> str:
    parts = [f"[{message['role']}]\n{message['content']}" for message in prompt.history]
    for turn, text in zip(prompt.turns, answer, strict=True):
        parts += [f"[user]\n{turn}", f"[assistant]\n{text}"]
    return "\n".join(parts)


def _schema(name: str, values: list[Any]) -> str:
    made = {
        "type": "object",
        "properties": {"reason": {"type": "string", "maxLength": _REASONS}, name: {"enum": values}},
        "required": ["reason", name],
        "additionalProperties": False,
    }
    return json.dumps(made)


def _judged(source: Source, games: Games) -> Steps:
    """What has no valid verdict is asked for once more, warm: greedy would say the same again."""
    row: dict[str, Any] = {}
    for decoding in (_GREEDY, _WARM):
        left = [n for n, name in enumerate(games.names) if row.get(name) is None]
        if not left:
            break
        completions = yield [
            Request(
                games.prompts[n],
                decoding,
                source.template.answer_stop_ids,
                schema=games.schemas[n],
            )
            for n in left
        ]
        for n, completion in zip(left, completions, strict=True):
            said = source.template.split(completion.token_ids)[1]
            row[games.names[n]] = read_verdict(said, games.schemas[n])
    return row


def read_verdict(said: str, schema: str) -> str | int | None:
    """The judge's verdict or score, None where it is none of those that ``schema`` has."""
    try:
        found = json.loads(said)
    except json.JSONDecodeError:
        return None
    properties = json.loads(schema)["properties"]
    name = next(name for name in properties if name != "reason")
    value = found.get(name) if isinstance(found, dict) else None
    # Equal is not the same: true is 1.
    known = [each for each in properties[name]["enum"] if each == value]
    return known[0] if known and type(known[0]) is type(value) else None


def _read(row: dict[str, Any]) -> Verdict:
    first, second = (row[name] and _AS_FIVE.get(row[name], row[name]) for name in _ORDERS)
    return Verdict(first, _TURNED[second] if second else None, row["score"])


_ORDERS = ("forward", "backward")
