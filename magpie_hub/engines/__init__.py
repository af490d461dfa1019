"""The one seam to models: requests go in, completions come out as they finish, in any order.

Prompts are token ids, so that nothing is tokenised twice and a doubled BOS cannot happen. Whoever
drives an engine submits while it polls, and so the engine's queue need never run empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from typing import Any, Literal, Protocol, cast

from magpie_hub.errors import MissingExtra, UsageError
from magpie_hub.models import Model

FinishReason = Literal["stop", "length", "error"]
Determinism = Literal["plan", "seeds", "bits"]
"""What two runs of one recipe have in common: the plan of slots; the rows, on the same engine,
version and machine; every bit, whatever the number of workers, stops and resumes."""
Task = Literal["generate", "score"]
ENGINES = {"transformers": ("torch", "llguidance"), "vllm": ("vllm",), "server": ("httpx",)}
"""The packages that an engine needs; its extra and its module have its name."""


@dataclass(frozen=True, slots=True)
class Decoding:
    """``temperature`` 0 is greedy, whatever ``top_p`` says; ``max_tokens`` counts new tokens.

    ``repetition_penalty``: what the logits of tokens that the prompt or the output holds already
    are divided by where they are positive, and multiplied by where they are not
    (arXiv 1909.05858); 1 is none.
    """

    temperature: float
    top_p: float
    max_tokens: int
    repetition_penalty: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One completion that is wanted, or, without ``decoding``, the model's scores of ``prompt``.

    ``seed`` is the request's own. ``schema`` is a JSON schema, as text, that the output must obey.
    ``shared`` counts the leading prompt tokens that many requests have in common (a judge's
    instructions); it changes nothing but the speed. Requests are equal only to themselves.
    """

    prompt: tuple[int, ...]
    decoding: Decoding | None = None
    stop_ids: frozenset[int] = frozenset()
    seed: int = 0
    schema: str | None = None
    shared: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """What became of ``request``, the very object that was submitted.

    ``token_ids`` are the new tokens without the one that stopped them. "length": the model was cut
    off at ``max_tokens`` or at the end of its context. "error": this request failed for good, for
    the reason in ``error``, while the engine goes on. ``scores``: of a sequence-classification
    model, its raw outputs, one a label.
    """

    request: Request
    token_ids: tuple[int, ...] = ()
    finish_reason: FinishReason = "stop"
    scores: tuple[float, ...] = ()
    error: str | None = None


class Engine(Protocol):
    """Runs one model. Used from one thread.

    ``capacity``: requests in flight from which more would not make it faster. ``batched``: its
    arithmetic depends on what is computed together; requests submitted in one call are computed
    together and apart from all others, so that they always come out the same. ``exclusive``: it
    takes the machine's memory for itself; close it before another is opened.
    """

    capacity: int
    batched: bool
    exclusive: bool

    @property
    def facts(self) -> EngineFacts: ...

    def submit(self, requests: Sequence[Request]) -> None: ...

    def poll(self) -> list[Completion]:
        """Some completions, as soon as there are any; none only where nothing is in flight.
        ``EngineError`` where the engine itself is lost."""

    def close(self) -> None:
        """Give back the model's memory; what is in flight is dropped."""


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What did the computing, for the record: ``version`` of the library (a server's own where it
    tells), ``device`` as people call it, how many of them, and what it guarantees."""

    name: str
    version: str
    device: str
    devices: int
    determinism: Determinism


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """How models are run: the engine's name and its options, which no fingerprint knows of.

    ``options`` are passed to the engine. Under ``models`` stand, by reference, further options for
    single models, which come first; with ``engine`` among them, the model runs on that engine.
    """

    name: str = "transformers"
    options: Mapping[str, Any] = field(default_factory=dict)
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def resolve(self, model: Model, task: Task) -> tuple[str, dict[str, Any]]:
        """The engine for ``model`` and its options. Servers of text rarely score: a scoring model
        without a ``url`` of its own runs here, on transformers."""
        own = dict(self.models.get(model.ref, {}))
        scoring_here = self.name == "server" and task == "score" and "url" not in own
        name = own.pop("engine", "transformers" if scoring_here else self.name)
        return name, own if name != self.name else {**self.options, **own}

    def require(self) -> None:
        """``UsageError`` where there is no such engine, ``MissingExtra`` where it is not
        installed."""
        _require(self.name)


def open_engine(spec: EngineSpec, model: Model, task: Task = "generate") -> Engine:
    """The engine of ``spec`` with ``model`` loaded for ``task``. ``MissingExtra`` where it is not
    installed, ``UsageError`` for an option that it does not know, ``EngineError`` where the model
    does not load."""
    name, options = spec.resolve(model, task)
    _require(name)
    module = import_module(f"magpie_hub.engines.{name}")
    return cast(Engine, module.open_engine(model, task, options))


def _require(name: str) -> None:
    if name not in ENGINES:
        raise UsageError(f"there is no engine '{name}'; there are: {', '.join(ENGINES)}.")
    for package in ENGINES[name]:
        if find_spec(package) is None:
            raise MissingExtra(package, extra=name)


def generate(engine: Engine, requests: Iterable[Request]) -> Iterator[Completion]:
    """The completions of single requests, in the order in which they finish; drawn lazily."""
    source = iter(requests)
    flying = 0
    while True:
        room = 0 if engine.batched and flying else engine.capacity - flying
        if wanted := list(islice(source, max(room, 0))):
            engine.submit(wanted)
            flying += len(wanted)
        if not flying:
            return
        for completion in engine.poll():
            flying -= 1
            yield completion
