"""The workers as the driver sees them: hired, heard, replaced where they are lost."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from magpie_hub.cluster.worker import LISTEN, Coordinator, Event, Job, Worker
from magpie_hub.errors import EngineError, InvalidData, UsageError
from magpie_hub.stages import Progress

__all__ = ["Crew", "Together"]

_LOST = 3
"""Workers that may be lost, one after the other, without a row being made in between."""
_PATIENCE = 600.0
"""Seconds without a single living worker after which the cluster is taken to have no room."""
_GRACE = 10.0
_ERRORS = {error.exit_code: error for error in (UsageError, InvalidData)}


class Together:
    """What all workers tell as one story: a stage begins with the first that begins it, and ends
    with its last row."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._left: dict[str, int] = {}

    def hear(self, events: Iterable[Event]) -> bool:
        """Whether any rows were made."""
        rows = 0
        for kind, said in events:
            if kind == "note":
                self._progress.note(said["line"])
            elif kind == "begin" and said["stage"] not in self._left:
                self._left[said["stage"]] = said["total"] - said["done"]
                self._progress.begin(**said)
            elif kind == "advance":
                self._progress.advance(**said)
                rows += said.get("rows", 0)
                self._count(said["stage"], said.get("rows", 0))
        return rows > 0

    def _count(self, stage: str, rows: int) -> None:
        before = self._left[stage]
        self._left[stage] -= rows
        if before > 0 >= self._left[stage]:
            self._progress.end(stage)

    def close(self) -> None:
        for stage, left in self._left.items():
            if left > 0:
                self._progress.end(stage)


class _Member(NamedTuple):
    name: str
    actor: Any


class Crew:
    """The workers of one driver, by the future of what they do."""

    def __init__(self, gpus: float, job: Job, progress: Progress) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        # Beside us; should it die, a new one that knows of no claims costs double work at worst.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        self._coordinator = ray.remote(
            num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here
        )(Coordinator).remote()
        self._worker = ray.remote(num_cpus=1, num_gpus=gpus)(Worker)
        self._job = job
        self._progress, self._told = progress, Together(progress)
        self._members: dict[Any, _Member] = {}
        self._hired = self._lost = 0
        self._living: set[str] = set()
        self._alive_at = time.monotonic()

    def work(self, workers: int) -> None:
        for _ in range(workers):
            self._hire()
        while True:
            for member, said in self._look(LISTEN):
                if said is None:
                    self._dismiss()
                    return
                self._replace(member, *said, enough=max(_LOST, workers))
            if self._living:
                self._alive_at = time.monotonic()
            elif time.monotonic() - self._alive_at > _PATIENCE:
                raise EngineError(
                    f"no node of the Ray cluster had room for a worker within {_PATIENCE:.0f} s; "
                    "ask for fewer --gpus-per-worker, or add nodes."
                )

    def _hire(self) -> None:
        self._hired += 1
        member = _Member(f"worker {self._hired}", self._worker.remote())
        future = member.actor.run.remote(self._coordinator, member.name, os.getcwd(), self._job)
        self._members[future] = member

    def _look(self, seconds: float) -> Iterator[tuple[_Member, tuple[int, str] | None]]:
        """Hear what is told; the workers that have ended, and what they said of it."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        ended, _ = ray.wait(list(self._members), num_returns=len(self._members), timeout=seconds)
        self._hear()
        for future in ended:
            member = self._members.pop(future)
            self._living.discard(member.name)
            try:
                yield member, ray.get(future)
            except RayTaskError:
                raise
            except RayError as error:
                yield member, (EngineError.exit_code, str(error).strip().splitlines()[0])

    def _hear(self) -> None:
        import ray

        events = ray.get(self._coordinator.listen.remote())
        self._living.update(said["worker"] for kind, said in events if kind == "start")
        if self._told.hear(events):
            self._lost = 0

    def _replace(self, member: _Member, code: int, reason: str, *, enough: int) -> None:
        """The worker is lost, and its shards with it; or it found what no other can mend."""
        import ray

        if code in _ERRORS:
            raise _ERRORS[code](reason)
        ray.kill(member.actor)
        self._lost += 1
        if self._lost >= enough:
            raise EngineError(
                f"{self._lost} workers were lost before any made a row; the last said: {reason}"
            )
        self._progress.note(f"{member.name} was lost, another takes its shards: {reason}")
        self._coordinator.drop.remote(member.name)
        self._hire()

    def _dismiss(self) -> None:
        """All is done: the others need a moment to see it; those without room never start."""
        import ray

        if self._members:
            ray.wait(list(self._members), num_returns=len(self._members), timeout=_GRACE)
        self._hear()

    def close(self) -> None:
        import ray

        for member in self._members.values():
            ray.kill(member.actor)
        ray.kill(self._coordinator)
        self._told.close()
