"""How queries are sampled, which are worth an answer, and how they are answered."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from magpie_hub import schema
from magpie_hub.recipe.part import Part, Penalty

_TOPIC = "{topic}"


class Cell(Part):
    """One way to decode, used for ``weight`` of every ``sum(weights)`` slots."""

    temperature: float = Field(1.0, ge=0, le=10)
    top_p: float = Field(1.0, gt=0, le=1)
    weight: float = Field(1.0, gt=0)


class Steer(Part):
    """What steers the queries: a ``system`` prompt (null is the bare prefix, as in the paper), the
    beginning of the user's message (``prefill``), or both, with ``{topic}`` for each of ``topics``
    in turn. ``key`` is recorded with each row, as "key: topic" where there are topics."""

    key: str = Field(min_length=1)
    system: str | None = None
    prefill: str = ""
    topics: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    weight: float = Field(1.0, gt=0)

    @model_validator(mode="after")
    def _topics_are_used(self) -> Steer:
        used = _TOPIC in (self.system or "") or _TOPIC in self.prefill
        if used and not self.topics:
            raise ValueError(f"{_TOPIC} stands here and there are no topics; give `topics`")
        if self.topics and not used:
            raise ValueError(f"the topics are never used; write {_TOPIC} in system or prefill")
        return self

    def text(self, topic: str | None) -> tuple[str | None, str]:
        """The system prompt and the prefill, with the topic filled in."""
        if topic is None:
            return self.system, self.prefill
        system = None if self.system is None else self.system.replace(_TOPIC, topic)
        return system, self.prefill.replace(_TOPIC, topic)

    def texts(self) -> Iterator[tuple[str | None, str]]:
        """All that it may say: one pair of system prompt and prefill a topic."""
        return (self.text(topic) for topic in (self.topics or (None,)))

    def name(self, topic: str | None) -> str:
        """What rows record."""
        return self.key if topic is None else f"{self.key}: {topic}"

    def describe(self) -> dict[str, str]:
        """What a fingerprint should know of it."""
        keys = {f"steer {self.key}": f"weight {self.weight:g}: {self.system or '(none)'}"}
        if self.prefill:
            keys[f"prefill {self.key}"] = self.prefill
        if self.topics:
            digest = hashlib.sha256("\n".join(self.topics).encode()).hexdigest()
            keys[f"topics {self.key}"] = f"{len(self.topics)}, sha256 {digest[:16]}"
        return keys


class Sample(Part):
    grid: tuple[Cell, ...] = Field((Cell(),), min_length=1)
    steer: tuple[Steer, ...] = ()
    repetition_penalty: Penalty = 1.0
    max_tokens: int = Field(512, ge=1)

    def describe(self) -> dict[str, str]:
        """What a fingerprint should know of it."""
        cells = (
            f"temperature {c.temperature:g}, top-p {c.top_p:g}, weight {c.weight:g}"
            for c in self.grid
        )
        keys = {"grid": "; ".join(cells), "max_tokens": str(self.max_tokens)}
        if self.repetition_penalty != 1:
            keys["repetition_penalty"] = f"{self.repetition_penalty:g}"
        for steer in self.steer:
            keys |= steer.describe()
        if len(self.steer) > 1:
            keys["steer order"] = ", ".join(steer.key for steer in self.steer)
        return keys


class Screen(Part):
    """What a query must pass before it is answered. Empty, cut off, leaked and garbled ones never
    do.

    With ``keep``, sampling goes on until so many have passed, as long as ``rows`` allow it and at
    least ``min_yield`` of those sampled last did. ``quotas`` are the shares of ``keep`` that
    categories get; what they leave is for the others."""

    dedup: Literal["exact", "none"] = "exact"
    languages: tuple[str, ...] = ()
    where: str | None = None
    keep: int | None = Field(None, ge=1)
    min_yield: float = Field(0.0, ge=0, le=1)
    quotas: dict[str, float] = Field(default_factory=dict)

    @field_validator("quotas")
    @classmethod
    def _shares(cls, value: dict[str, float]) -> dict[str, float]:
        for name in value:
            if name not in schema.CATEGORIES:
                close = difflib.get_close_matches(name, schema.CATEGORIES, n=1)
                hint = f"did you mean '{close[0]}'" if close else ", ".join(schema.CATEGORIES)
                raise ValueError(f"'{name}' is no category; {hint}")
        if any(share < 0 for share in value.values()) or sum(value.values()) > 1 + 1e-9:
            raise ValueError("shares are not negative and add up to 1 at most")
        return value


class Answering(Part):
    """How queries are answered; ``model`` is another responder than the asker. ``thinking`` turns
    a model's thinking on or off where its template has a switch; unset is the template's own. One
    that has thought for ``thinking_tokens`` is made to answer."""

    model: str | None = None
    revision: str | None = None
    thinking: bool | None = None
    thinking_tokens: int | None = Field(None, ge=1)
    temperature: float = Field(0.0, ge=0, le=10)
    top_p: float = Field(1.0, gt=0, le=1)
    repetition_penalty: Penalty = 1.0
    max_tokens: int = Field(2048, ge=1)


class Responder(Answering):
    """One of several responders, which answers ``weight`` of every ``sum(weights)`` slots."""

    weight: float = Field(1.0, gt=0)


class Respond(Answering):
    """One responder, or several over one pool. Each of ``responders`` has what stands beside the
    list, unless it says otherwise; one that names a model does not take over ``revision``. Each
    query gets so many ``answers``, of which ``choose`` picks one."""

    responders: tuple[Responder, ...] = ()
    answers: int = Field(1, ge=1, le=256)

    @model_validator(mode="before")
    @classmethod
    def _inherited(cls, value: object) -> object:
        if not isinstance(value, dict) or not isinstance(value.get("responders"), list):
            return value
        shared = {key: value[key] for key in Answering.model_fields if key in value}
        alone = {key: shared[key] for key in shared if key != "revision"}
        each = [
            {**(alone if "model" in own else shared), **own} if isinstance(own, dict) else own
            for own in value["responders"]
        ]
        return {**value, "responders": each}

    @property
    def each(self) -> tuple[Responder, ...]:
        """The responders; where none are listed, the one that this is."""
        alone = {key: getattr(self, key) for key in Answering.model_fields}
        return self.responders or (Responder(**alone),)


class Choose(Part):
    """Which of several answers is published: the one with the highest ``reward``, or the first of
    those whose final answer most of them came to (``vote``; with ``run_code`` that of a program is
    what it prints). Unset is what the kind of dataset asks for.

    The worst stands beside it as the rejected one, where their scores are more than ``min_margin``
    apart."""

    by: Literal["reward", "vote"] | None = None
    min_margin: float = Field(0.0, ge=0)
    run_code: bool = False


class Extend(Part):
    """Further turns: up to ``turns`` user turns in all, the later ones sampled so. ``system`` is a
    system prompt for those questions alone, where no steering brings its own: it tells the model
    that a user asks on, which small ones forget."""

    turns: int = Field(1, ge=1, le=16)
    system: str | None = Field(None, min_length=1)
    temperature: float = Field(1.0, ge=0, le=10)
    top_p: float = Field(1.0, gt=0, le=1)
    repetition_penalty: Penalty = 1.0
    max_tokens: int = Field(512, ge=1)
