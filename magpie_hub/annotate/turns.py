"""The judge on conversations: the labels of each further question, given what stands before it, and
the quality of the whole.

Asked and read as in ``judge.py``. A conversation stands in its prompt as one line a message, in
quotes and escaped, so that no message can open a line and speak for another.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from magpie_hub.annotate.judge import Labels, Question, ask, failure, read_prompt
from magpie_hub.recipe import Judge, Passes
from magpie_hub.run import Run
from magpie_hub.run.answered import Answered, Message, dialogues
from magpie_hub.run.info import StageInfo
from magpie_hub.run.stored import store
from magpie_hub.stages import Asking, Source, Steps
from magpie_hub.template import ChatTemplate

STAGE = "judge-turns"
COLUMNS = ("turn_labels", "conversation_quality", "conversation_explanation")
LABELS = ("category", "difficulty", "quality")
"""Of each turn."""
WHOLE = "conversation"
PASSES: dict[Passes, tuple[str, ...]] = {
    "one": ("turn",),
    "three": ("turn-category", "turn-difficulty", "turn-quality"),
}
"""The prompts about a turn."""

_SHOWN, _END = 1000, 200
"""Characters of a past message that a judge is shown, and how many of them are its end."""
_BREAKS = re.compile(r"[\x85\u2028\u2029]")


def info(settings: Judge, source: Source, judge: StageInfo, last: StageInfo) -> StageInfo:
    """``judge`` labels the first questions, ``last`` makes the last answers."""
    hashes = [read_prompt(name).sha256 for name in (*PASSES[settings.passes], WHOLE)]
    return StageInfo(
        name=STAGE,
        folder=f"annotations/{STAGE}",
        keys={
            "model": source.model.identity,
            "prompts": " ".join(sha[:12] for sha in hashes),
            "first turn": judge.fingerprint,
            "decoding": judge.keys["decoding"],
        },
        after=last.fingerprint,
        coverage=last.coverage,
        columns=COLUMNS,
        model=source.model.ref,
        revision=source.model.revision,
        prompt_sha256=hashlib.sha256("".join(hashes).encode()).hexdigest(),
    )


def judging(run: Run, settings: Judge, source: Source) -> Asking:
    """The labels of every conversation of two turns or more. Those of its first question are the
    judge's; where that failed, it is asked about here too."""
    asked = Asked.of(settings.passes, source.template)

    def job(shard: int, have: set[str]) -> dict[str, Steps]:
        firsts = {
            row["id"]: {name: row[name] for name in LABELS}
            for row in store(run, "judge").read(shard).to_pylist()
            if row["error"] is None
        }
        return {
            row.id: label(asked, source.template, row, firsts.get(row.id))
            for row in dialogues(run, shard)
            if len(row.queries) > 1 and row.id not in have
        }

    return Asking(STAGE, source.model, job)


@dataclass(frozen=True)
class Asked:
    """What a judge is asked about each turn, and about the whole."""

    turn: tuple[Question, ...]
    whole: Question

    @classmethod
    def of(cls, passes: Passes, template: ChatTemplate) -> Asked:
        turn, whole = PASSES[passes], Question.of(read_prompt(WHOLE), template)
        return cls(tuple(Question.of(read_prompt(name), template) for name in turn), whole)


def label(asked: Asked, template: ChatTemplate, row: Answered, first: Labels | None) -> Steps:
    """The labels of one conversation; ``first`` are those of its first question, where they are
    known. Where the judge gives none the row fails, and says what it lacks."""
    messages = row.messages
    turns = range(1 if first is None else 2, len(row.queries) + 1)
    about = [
        (t, question, transcript(messages[: 2 * t - 1])) for t in turns for question in asked.turn
    ]
    answers = yield from ask(
        [*((question, text) for _, question, text in about), (asked.whole, transcript(messages))],
        template,
    )
    *found, whole = answers
    labels: list[Labels] = [dict.fromkeys(LABELS) for _ in row.queries]
    labels[0] |= first or {}
    lacking: list[str] = []
    for (turn, question, _), answer in zip(about, found, strict=True):
        names = [name for name in question.prompt.columns if name in LABELS]
        if answer is None:
            lacking += [f"{name} of turn {turn}" for name in names]
        else:
            labels[turn - 1] |= {name: answer[name] for name in names}
    if whole is None:
        lacking += asked.whole.prompt.columns
    made = {"turn_labels": labels, **(whole or {})}
    return made | ({"error": failure(lacking)} if lacking else {})


def transcript(messages: Sequence[Message]) -> str:
    """One line a message, in JSON's quotes; what stands before the last one is shortened."""
    *past, last = messages
    shown = [
        *((m["role"], _shortened(m["content"])) for m in past),
        (last["role"], last["content"]),
    ]
    return "\n".join(f"{role}: {_quoted(content)}" for role, content in shown)


def _quoted(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    return _BREAKS.sub(lambda found: f"\\u{ord(found.group()):04x}", quoted)


def _shortened(text: str) -> str:
    if len(text) <= _SHOWN:
        return text
    return f"{text[: _SHOWN - _END]} … {text[-_END:]}"
