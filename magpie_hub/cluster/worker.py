"""What runs on the nodes: the workers, and the one that knows who has which shard."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

from magpie_hub.engines import EngineSpec
from magpie_hub.errors import MagpieHubError
from magpie_hub.recipe import Recipe

__all__ = ["LISTEN", "Coordinator", "Event", "Job", "Worker"]

LISTEN = 0.5
"""Seconds after which what a worker was told, or has to tell, is old."""
Event = tuple[str, dict[str, Any]]
"""A call of a ``Progress``: the method and its keywords."""
Job = tuple[Recipe, str, EngineSpec, str]
"""The recipe, the run's folder or URL, the engine, and the last stage to do."""


class Coordinator:
    """An actor: who has which shard, and what the workers tell."""

    def __init__(self) -> None:
        self._owners: dict[tuple[str, int], str] = {}
        self._events: list[Event] = []

    def take(self, worker: str, stage: str, shard: int) -> set[tuple[str, int]] | None:
        """None: it is yours now. Otherwise all that others have."""
        if self._owners.setdefault((stage, shard), worker) == worker:
            return None
        return {claim for claim, owner in self._owners.items() if owner != worker}

    def give_back(self, worker: str, stage: str, shard: int) -> None:
        if self._owners.get((stage, shard)) == worker:
            del self._owners[stage, shard]

    def drop(self, worker: str) -> None:
        self._owners = {claim: who for claim, who in self._owners.items() if who != worker}

    def tell(self, events: list[Event]) -> None:
        self._events += events

    def listen(self) -> list[Event]:
        events, self._events = self._events, []
        return events


class Worker:
    """An actor with the engines that its shards need."""

    def run(
        self,
        coordinator: Any,  # noqa: ANN401 (an actor's handle has no type)
        name: str,
        folder: str,
        job: Job,
    ) -> tuple[int, str] | None:
        """None, or the exit code and the sentence of what ended it."""
        from magpie_hub import pipeline

        with contextlib.suppress(OSError):  # relative names mean what they mean to the driver
            os.chdir(folder)
        recipe, out, engine, until = job
        told = _Telling(coordinator)
        told.start(name)
        try:
            pipeline.run(
                recipe,
                out,
                progress=told,
                engine=engine,
                until=until,
                claims=_Asked(coordinator, name),
            )
        except MagpieHubError as error:
            return error.exit_code, str(error)
        finally:
            told.flush()
        return None


class _Asked:
    """The claims of one worker. What others were said to have is not asked for again at once."""

    waits = True

    def __init__(self, coordinator: Any, name: str) -> None:  # noqa: ANN401
        self._coordinator, self._name = coordinator, name
        self._others: set[tuple[str, int]] = set()
        self._asked = 0.0

    def take(self, stage: str, shard: int) -> bool:
        import ray

        if (stage, shard) in self._others and time.monotonic() - self._asked < LISTEN:
            return False
        others = ray.get(self._coordinator.take.remote(self._name, stage, shard))
        if others is not None:
            self._others, self._asked = others, time.monotonic()
        return others is None

    def give_back(self, stage: str, shard: int) -> None:
        self._coordinator.give_back.remote(self._name, stage, shard)


class _Telling:
    """A worker's progress, sent a few times a second."""

    def __init__(self, coordinator: Any) -> None:  # noqa: ANN401
        self._coordinator = coordinator
        self._events: list[Event] = []
        self._counts: dict[str, dict[str, int]] = {}
        self._told = time.monotonic()

    def start(self, worker: str) -> None:
        self._events.append(("start", {"worker": worker}))
        self.flush()

    def begin(self, stage: str, *, total: int, done: int) -> None:
        self._events.append(("begin", {"stage": stage, "total": total, "done": done}))

    def advance(self, stage: str, **counts: int) -> None:
        sums = self._counts.setdefault(stage, {})
        for name, count in counts.items():
            sums[name] = sums.get(name, 0) + count
        if time.monotonic() - self._told > LISTEN:
            self.flush()

    def end(self, stage: str) -> None:
        self.flush()

    def note(self, line: str) -> None:
        self._events.append(("note", {"line": line}))

    def flush(self) -> None:
        self._events += [("advance", {"stage": s, **sums}) for s, sums in self._counts.items()]
        self._coordinator.tell.remote(self._events)
        self._events, self._counts, self._told = [], {}, time.monotonic()
