"""What an evaluation found: one object, as JSON and as a table."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from magpie_hub.evidence.resampling import LEVEL, TIMES, Interval


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Number(_Frozen):
    """``unit``: "%" for shares, "points" for scores, "" for the rest. ``meaning`` is a sentence."""

    name: str
    title: str
    value: Interval
    unit: str
    meaning: str

    @property
    def factor(self) -> int:
        return 100 if self.unit == "%" else 1


class Judging(_Frozen):
    """``games`` are verdicts asked for, ``invalid`` of them had none. ``first``: the share of valid
    ones, without ties, for what stood first: 1/2 without bias. ``consistent``: the share of prompts
    for which both orders came to the same winner."""

    judge: str
    revision: str
    games: int
    invalid: int
    first: Interval | None
    consistent: Interval | None
    numbers: tuple[Number, ...]


class Evaluation(_Frozen):
    """``judged`` of ``prompts`` were answered by both sides. ``agreement`` is Cohen's kappa of two
    judges on win, tie and loss of each game. ``absent`` says why a number is not there; ``file``
    is the answers in the benchmark's own format, without the folder."""

    model: str
    revision: str
    opponent: str | None
    benchmark: str
    kind: str
    prompts: int
    judged: int
    failed: int
    cut: int
    settings: dict[str, Any]
    numbers: tuple[Number, ...]
    judges: tuple[Judging, ...]
    agreement: float | None
    absent: dict[str, str]
    file: str

    def to_dict(self) -> dict[str, Any]:
        return {
            **self.model_dump(mode="json"),
            "interval": {"level": LEVEL, "bootstrap": TIMES},
        }
