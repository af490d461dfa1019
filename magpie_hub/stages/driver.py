"""One engine, many rows in the making: requests in, completions back to the row that asked.

Rows are generators (see ``stages/__init__.py``), and any number of shards is in the making at once,
so that the engine always has something to do. An engine's time is shared out among the shards by
their requests in flight.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from magpie_hub.engines import Completion, Engine, Request
from magpie_hub.stages import Progress, Steps


@dataclass(eq=False)
class Batch:
    """The rows of a shard that one stage has to make, by id in the order of the slots; ``made``
    holds them when they are done."""

    stage: str
    made: dict[str, dict[str, Any]]
    unfinished: int
    flying: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    new_tokens: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    wave: list[Request] = field(default_factory=list)

    def account(self) -> dict[str, Any]:
        names = ("prompt_tokens", "new_tokens", "seconds", "cpu_seconds")
        return {"rows": len(self.made), **{name: getattr(self, name) for name in names}}


@dataclass(eq=False)
class _Row:
    """A row, the requests that it waits for, and the answers to them that are there."""

    batch: Batch
    id: str
    steps: Steps
    asked: list[Request] = field(default_factory=list)
    got: dict[Request, Completion] = field(default_factory=dict)


class Driver:
    """Makes rows on ``engine``. Begin batches while there is ``room``, and ``poll``."""

    def __init__(self, engine: Engine, progress: Progress) -> None:
        self._engine = engine
        self._progress = progress
        self._flying: dict[Request, _Row] = {}
        self._batches: list[Batch] = []
        self._unsent: list[Request] = []
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    @property
    def room(self) -> bool:
        """Whether the engine would be busier with more."""
        return len(self._flying) < self._engine.capacity

    @property
    def open_rows(self) -> int:
        """Rows in memory."""
        return sum(len(batch.made) for batch in self._batches)

    @property
    def idle(self) -> bool:
        return not self._flying

    def begin(self, stage: str, rows: dict[str, Steps]) -> Batch:
        """A batch of one row or more, on its way."""
        batch = Batch(stage, {name: {} for name in rows}, unfinished=len(rows))
        self._batches.append(batch)
        for name, steps in rows.items():
            self._step(_Row(batch, name, steps), None)
        self._submit([batch])
        return batch

    def poll(self) -> list[Batch]:
        """Wait for completions; the batches that they finish."""
        flights = len(self._flying)
        completions = self._engine.poll()
        self._share_out(flights)
        touched: dict[Batch, None] = {}
        for completion in completions:
            row = self._flying.pop(completion.request)
            touched[row.batch] = None
            self._take(row, completion)
        self._submit(touched)
        done = [batch for batch in touched if not batch.unfinished]
        for batch in done:
            self._batches.remove(batch)
        return done

    def _take(self, row: _Row, completion: Completion) -> None:
        batch, tokens = row.batch, len(completion.token_ids)
        batch.flying -= 1
        batch.prompt_tokens += len(completion.request.prompt)
        batch.new_tokens += tokens
        self._progress.advance(batch.stage, tokens=tokens)
        row.got[completion.request] = completion
        if len(row.got) == len(row.asked):
            self._step(row, [row.got[request] for request in row.asked])

    def _step(self, row: _Row, answers: list[Completion] | None) -> None:
        """Let a row go on to its next requests, or to its end."""
        batch = row.batch
        try:
            row.asked = next(row.steps) if answers is None else row.steps.send(answers)
        except StopIteration as end:
            # A row fails by what its last step came to: an earlier failure it may have mended.
            lost = next((c.error for c in answers or () if c.finish_reason == "error"), None)
            error = end.value.get("error") or lost
            batch.made[row.id] = {**end.value, "id": row.id, "error": error}
            batch.unfinished -= 1
            batch.failed += error is not None
            return
        row.got = {}
        batch.flying += len(row.asked)
        self._flying.update(dict.fromkeys(row.asked, row))
        (batch.wave if self._engine.batched else self._unsent).extend(row.asked)

    def _submit(self, batches: list[Batch] | dict[Batch, None]) -> None:
        """What an engine computes together goes to it together: the requests of all rows of a
        batch, and their next ones when the last answer to those is there."""
        if self._unsent:
            self._engine.submit(self._unsent)
            self._unsent = []
        for batch in batches:
            if batch.wave and len(batch.wave) == batch.flying:
                self._engine.submit(batch.wave)
                batch.wave = []

    def _share_out(self, flights: int) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        for batch in self._batches:
            share = batch.flying / flights
            batch.seconds += (wall - self._wall) * share
            batch.cpu_seconds += (cpu - self._cpu) * share
        self._wall, self._cpu = wall, cpu
