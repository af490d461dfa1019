"""The one seam to models: an iterator of requests goes in, completions come out as they finish.

Prompts are token ids, so that nothing is tokenised twice and a doubled BOS cannot happen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, Protocol

from magpie_hub.errors import MissingExtra, UsageError
from magpie_hub.models import Model

FinishReason = Literal["stop", "length"]
ENGINES = {"transformers": ("torch", "llguidance")}
"""The packages that an engine needs; its extra has its name."""


@dataclass(frozen=True, slots=True)
class Decoding:
    """``temperature`` 0 is greedy, whatever ``top_p`` says; ``max_tokens`` counts new tokens."""

    temperature: float
    top_p: float
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Request:
    """One completion that is wanted.

    ``key`` comes back with it. ``group`` names the requests that are computed together: on engines
    whose arithmetic depends on the batch, a group's bytes do not depend on what else is in flight.
    ``seed`` is the request's own. ``schema`` is a JSON schema, as text, that the output must obey.
    ``shared`` counts the leading prompt tokens that many requests have in common (a judge's
    instructions); it changes nothing but the speed.
    """

    key: int
    group: int
    prompt: tuple[int, ...]
    decoding: Decoding
    stop_ids: frozenset[int]
    seed: int = 0
    schema: str | None = None
    shared: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """``token_ids`` are the new tokens without the one that stopped them; "length" means that the
    model was cut off at ``max_tokens`` or at the end of its context."""

    request: Request
    token_ids: tuple[int, ...]
    finish_reason: FinishReason


class Engine(Protocol):
    """Runs one causal language model. Requests are drawn lazily and answered in any order."""

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]: ...


class Scorer(Protocol):
    """Runs one sequence-classification model with a single output: one score a token sequence."""

    def score(self, sequences: Sequence[tuple[int, ...]]) -> list[float]: ...


def require(name: str) -> None:
    """``UsageError`` where there is no such engine, ``MissingExtra`` where it is not installed."""
    if name not in ENGINES:
        raise UsageError(f"there is no engine '{name}'; there are: {', '.join(ENGINES)}.")
    for package in ENGINES[name]:
        if find_spec(package) is None:
            raise MissingExtra(package, extra=name)


def open_engine(name: str, model: Model) -> Engine:
    """The engine of that name with ``model`` loaded. ``MissingExtra`` where it is not installed,
    ``EngineError`` where the model does not load."""
    require(name)
    from magpie_hub.engines.transformers import TransformersEngine

    return TransformersEngine(model)


def open_scorer(model: Model) -> Scorer:
    from magpie_hub.engines.transformers import TransformersScorer

    return TransformersScorer(model)
