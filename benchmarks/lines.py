"""The house's own line of stages, as benchmarks drive it: on an engine that is open already."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from harness import digest

from magpie_hub.engines import Completion, Decoding, Engine, EngineFacts, Request, generate
from magpie_hub.pipeline.plan import Plan
from magpie_hub.pipeline.scheduler import Scheduler, Stop
from magpie_hub.recipe import Recipe
from magpie_hub.run import Run
from magpie_hub.stages import Silent
from magpie_hub.storage.claims import Alone

_PLAIN = """
name: benchmark
model: {model}
rows: {rows}
shard_rows: {shard_rows}
seed: {seed}
screen: {{dedup: {dedup}}}
sample: {{grid: [{{temperature: 1.0, top_p: 1.0}}], max_tokens: {query_tokens}}}
respond: {{temperature: {temperature}, max_tokens: {answer_tokens}}}
"""
WARM = 64


def recipe(
    model: str,
    rows: int,
    *,
    shard_rows: int = 100,
    seed: int = 0,
    dedup: str = "none",
    temperature: float = 0.0,
    query_tokens: int = 128,
    answer_tokens: int = 256,
) -> Recipe:
    """Queries at temperature 1, and answers; no labels. Without ``dedup`` every query that is
    whole is answered."""
    text = _PLAIN.format(
        model=model,
        rows=rows,
        shard_rows=shard_rows,
        seed=seed,
        dedup=dedup,
        temperature=temperature,
        query_tokens=query_tokens,
        answer_tokens=answer_tokens,
    )
    return Recipe.parse(text, name="the benchmark's recipe")


class Recorder:
    """Keeps the engine ``inner`` open, and remembers what went through it; ``inside`` are the CPU
    seconds that were its own."""

    def __init__(self, engine: Engine) -> None:
        self.inner = engine
        self.capacity, self.batched, self.exclusive = engine.capacity, engine.batched, False
        self.inside = 0.0
        self._asked: list[Request] = []
        self._answered: list[Completion] = []

    @property
    def facts(self) -> EngineFacts:
        return self.inner.facts

    def submit(self, requests: Sequence[Request]) -> None:
        self._asked += requests
        began = time.process_time()
        self.inner.submit(requests)
        self.inside += time.process_time() - began

    def poll(self) -> list[Completion]:
        began = time.process_time()
        done = self.inner.poll()
        self.inside += time.process_time() - began
        self._answered += done
        return done

    def close(self) -> None:
        pass

    def take(self) -> tuple[list[Request], int, str]:
        """What was asked since the last time, how many tokens were written, and their digest."""
        asked, answered = self._asked, self._answered
        self._asked, self._answered = [], []
        return asked, *written((done.request, done.token_ids) for done in answered)


class Ragged:
    """An engine whose model never stops, made to: each request ends after a number of tokens that
    follows from its seed, with the shape of an exponential and the mean ``query`` or, for one
    that asks for an answer, ``answer``."""

    def __init__(self, engine: Engine, query: int, answer: int) -> None:
        self._engine = engine
        self.capacity, self.batched, self.exclusive = engine.capacity, engine.batched, False
        self._means = query, answer
        self._asked: dict[Request, Request] = {}

    @property
    def facts(self) -> EngineFacts:
        return self._engine.facts

    def submit(self, requests: Sequence[Request]) -> None:
        shorter = [self._shorter(request) for request in requests]
        self._asked.update(zip(shorter, requests, strict=True))
        self._engine.submit(shorter)

    def poll(self) -> list[Completion]:
        return [self._ended(done) for done in self._engine.poll()]

    def close(self) -> None:
        self._engine.close()

    def _shorter(self, request: Request) -> Request:
        assert request.decoding is not None
        query, answer = self._means
        # Only what asks for a query shares its whole prompt with others.
        mean = query if request.shared else answer
        tokens = 1 + int(random.Random(request.seed).expovariate(1 / mean))
        most = min(tokens, request.decoding.max_tokens)
        decoding = replace(request.decoding, max_tokens=most)
        return replace(request, decoding=decoding, stop_ids=frozenset())

    def _ended(self, done: Completion) -> Completion:
        asked, cut = self._asked.pop(done.request), done.request.decoding
        whole = cut is not None and asked.decoding is not None and cut != asked.decoding
        return replace(done, request=asked, finish_reason="stop" if whole else "length")


def written(answers: Iterable[tuple[Request, Sequence[int]]]) -> tuple[int, str]:
    """How many new tokens, without the ones that stop, and a digest by the requests' seeds."""
    found = [(request.seed, tuple(tokens)) for request, tokens in answers]
    return sum(len(tokens) for _, tokens in found), digest(found)


def warm(plan: Plan, engine: Engine) -> None:
    """Some queries that are not the run's."""
    template, decoding = plan.sources.asker.template, Decoding(1.0, 1.0, 32)
    prompt, stops = template.query_prompt(), template.stop_ids
    list(generate(engine, [Request(prompt, decoding, stops, seed) for seed in range(WARM)]))


def bring(plan: Plan, out: Path, until: str, engine: Engine, scorer: Engine | None = None) -> Run:
    """Do what is left of the plan in ``out``, up to the stage ``until``."""
    run = Run.start(plan.recipe, out, plan.stages)
    line = Scheduler(
        run,
        plan.works(run, until),
        open_engine=lambda model, task: scorer if scorer and task == "score" else engine,
        claims=Alone(),
        progress=Silent(),
        stop=Stop(),
    )
    if not line.work():
        raise RuntimeError("the line of stages did not come to its end")
    return run
