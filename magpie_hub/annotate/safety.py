"""The guard: a chat model that calls each exchange safe, or names the category of harm.

The conversation stands in the guard's own chat template, which asks the question; what comes back
is "safe", or "unsafe" and the categories on the next line (Llama Guard, arXiv 2312.06674).
"""

from __future__ import annotations

import re

from magpie_hub.engines import Decoding, Request
from magpie_hub.run import Run
from magpie_hub.run.answered import Answered, Message, dialogues
from magpie_hub.run.info import StageInfo
from magpie_hub.run.rejections import SAFE
from magpie_hub.stages import Asking, ReadSource, Steps

_DECODING = Decoding(temperature=0.0, top_p=1.0, max_tokens=32)
_CATEGORY = re.compile(r"[A-Za-z]+\d+")


def info(source: ReadSource, respond: StageInfo) -> StageInfo:
    return StageInfo(
        name="safety",
        folder="annotations/safety",
        keys={"model": source.model.identity},
        after=respond.fingerprint,
        coverage=respond.coverage,
        columns=("safety",),
        model=source.model.ref,
        revision=source.model.revision,
    )


def guarding(run: Run, source: ReadSource) -> Asking:
    """The guard's verdict on the conversation of every answered row."""

    def job(shard: int, have: set[str]) -> dict[str, Steps]:
        return {row.id: _judge(source, row) for row in dialogues(run, shard) if row.id not in have}

    return Asking("safety", source.model, job)


def _judge(source: ReadSource, row: Answered) -> Steps:
    """A row is safe where all that is published of it is: the rejected answer is read too."""
    conversations: list[list[Message]] = [row.messages]
    if row.rejected is not None:
        conversations.append([*row.messages[:-1], {"role": "assistant", "content": row.rejected}])
    completions = yield [
        Request(
            prompt=source.reader.conversation(each, generation=True),
            decoding=_DECODING,
            stop_ids=source.reader.stop_ids,
        )
        for each in conversations
    ]
    verdicts = []
    for completion in completions:
        said = source.reader.decode(completion.token_ids)
        if (verdict := read_verdict(said)) is None:
            return {"error": f"the guard gave no verdict but {said[:40]!r}"}
        verdicts.append(verdict)
    return {"safety": next((each for each in verdicts if each != SAFE), SAFE)}


def read_verdict(said: str) -> str | None:
    """ "safe", or the categories ("S1", "S1, S10"), or "unsafe" where none is named; None where it
    is no verdict."""
    first, _, rest = said.strip().partition("\n")
    word = first.strip().rstrip(".").lower()
    if word == SAFE:
        return SAFE
    if word != "unsafe":
        return None
    return ", ".join(dict.fromkeys(_CATEGORY.findall(rest))) or "unsafe"
