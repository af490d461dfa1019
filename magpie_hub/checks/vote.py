"""What most of several answers to one question say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from magpie_hub.checks.values import same


@dataclass(frozen=True)
class Vote:
    """``winner`` is the index of the first answer of the largest group, None where no answer can be
    checked, and ``value`` that answer. ``votes`` is the size of the group, ``counted`` how many
    answers have a value, ``agreement`` the part of all answers that is in the group."""

    winner: int | None
    value: str | None
    votes: int
    counted: int
    agreement: float


def majority(answers: Sequence[str | None]) -> Vote:
    """The vote over final answers; None or blank has no voice. Of groups of one size the one whose
    first answer came first wins."""
    groups: dict[int, int] = {}
    for index, answer in enumerate(answers):
        if answer is None or not answer.strip():
            continue
        first = next((f for f in groups if same(answers[f] or "", answer)), index)
        groups[first] = groups.get(first, 0) + 1
    if not groups:
        return Vote(None, None, 0, 0, 0.0)
    winner = max(groups, key=groups.__getitem__)
    votes = groups[winner]
    return Vote(winner, answers[winner], votes, sum(groups.values()), votes / len(answers))
