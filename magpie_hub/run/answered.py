"""What has been answered so far: the rows that the stages behind the answers look at.

Where a query has several answers, it is the chosen one; where a conversation goes on, it is all of
its turns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from magpie_hub.run import Run
from magpie_hub.run.stored import answer, ask, store

Message = dict[str, str]
ANSWER_CUT, NO_ANSWER = "answer cut off", "no answer"
"""Why a conversation ends where its last question was a good one."""


@dataclass(frozen=True)
class Candidate:
    """One answer to a question; an empty ``response`` is none (cut off while thinking)."""

    response: str
    thinking: str | None
    finish_reason: str
    response_tokens: int
    thinking_tokens: int | None


@dataclass(frozen=True)
class Answered:
    """A row: its questions, the answer to each, and where there is one the worse answer to the same
    question; ``ended`` says why there are no more turns."""

    id: str
    queries: tuple[str, ...]
    answers: tuple[Candidate, ...]
    rejected: str | None = None
    ended: str | None = None

    @property
    def open(self) -> bool:
        """Whether a further question may be asked."""
        return self.ended is None and self.answers[-1].finish_reason == "stop"

    @property
    def messages(self) -> list[Message]:
        """The conversation, which ends with an answer; without thinking."""
        pairs = zip(self.queries, self.answers, strict=True)
        return [message for query, said in pairs for message in exchange(query, said.response)]

    @property
    def texts(self) -> list[str]:
        """All that is published of it."""
        thoughts = [each.thinking for each in self.answers]
        texts = [m["content"] for m in self.messages] + [*thoughts, self.rejected]
        return [text for text in texts if text]


def exchange(query: str, response: str) -> list[Message]:
    return [{"role": "user", "content": query}, {"role": "assistant", "content": response}]


def kept(run: Run, shard: int) -> list[tuple[str, str]]:
    """(id, query) of the shard's queries that passed the screen, in slot order."""
    verdicts = store(run, "screen").read(shard)["kept"].to_pylist()
    queries = store(run, "sample").read(shard)
    rows = zip(queries["id"].to_pylist(), queries["query"].to_pylist(), verdicts, strict=True)
    return [(name, query) for name, query, passed in rows if passed]


def candidates(run: Run, shard: int) -> list[tuple[str, str, list[Candidate]]]:
    """(id, query, answers) of the rows that were answered, in slot order."""
    queries = dict(kept(run, shard))
    return [
        (row["id"], queries[row["id"]], [_candidate(one) for one in (row, *(row["others"] or ()))])
        for row in store(run, "respond").read(shard).to_pylist()
        if row["id"] in queries and row["error"] is None
    ]


def dialogues(run: Run, shard: int, *, turns: int | None = None) -> list[Answered]:
    """The answered rows of a shard with their conversations, up to so many ``turns`` of the user;
    all of them where it is None. A row whose first answer is empty is none, and one that failed in
    a further turn is none until it is mended."""
    rows = {row.id: row for row in _first_turns(run, shard)}
    for turn in range(2, (turns or run.recipe.extend.turns) + 1):
        asked, said = _by_id(run, ask(turn), shard), _by_id(run, answer(turn), shard)
        for name, row in list(rows.items()):
            further = asked.get(name)
            if not row.open:
                rows[name] = replace(row, ended=row.ended or ANSWER_CUT)
            elif further is None or (further["ended"] is None and name not in said):
                del rows[name]
            else:
                rows[name] = _continued(row, further, said.get(name))
    return list(rows.values())


def _continued(
    row: Answered, further: Mapping[str, Any], reply: Mapping[str, Any] | None
) -> Answered:
    if reply is None:
        return replace(row, ended=further["ended"])
    if not reply["response"]:
        return replace(row, ended=NO_ANSWER)
    queries, answers = (*row.queries, further["query"]), (*row.answers, _candidate(reply))
    return replace(row, queries=queries, answers=answers)


def _first_turns(run: Run, shard: int) -> list[Answered]:
    if not run.has("choose"):
        return [
            Answered(name, (query,), (answers[0],))
            for name, query, answers in candidates(run, shard)
            if answers[0].response
        ]
    choices = _by_id(run, "choose", shard)
    rows = []
    for name, query, answers in candidates(run, shard):
        choice = choices.get(name, {})
        chosen, rejected = choice.get("chosen_place"), choice.get("rejected_place")
        if chosen is not None:
            worse = None if rejected is None else answers[rejected].response
            rows.append(Answered(name, (query,), (answers[chosen],), worse))
    return rows


def _candidate(row: Mapping[str, Any]) -> Candidate:
    return Candidate(**{name: row[name] for name in Candidate.__dataclass_fields__})


def _by_id(run: Run, stage: str, shard: int) -> dict[str, dict[str, Any]]:
    """The stage's rows that did not fail."""
    rows = store(run, stage).read(shard).to_pylist()
    return {row["id"]: row for row in rows if row["error"] is None}
