"""A run on a Ray cluster: one engine an actor, and shards go to whoever asks for the next.

The files of the run say what is done, as everywhere; Ray only says who does what at the moment. So
a lost node costs the shards that it had in flight, and where the driver is lost, any other run of
the recipe goes on, with Ray or without.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from magpie_hub.engines import EngineSpec
from magpie_hub.errors import (
    EngineError,
    Interrupted,
    InvalidData,
    MagpieHubError,
    MissingExtra,
    UsageError,
)
from magpie_hub.locks import locked
from magpie_hub.recipe import Recipe
from magpie_hub.run import Run
from magpie_hub.stage import Progress
from magpie_hub.storage import open_folder

_LOST = 3
"""Workers that may be lost, one after the other, without a row being made in between."""
_PATIENCE = 600.0
"""Seconds without a single living worker after which the cluster is taken to have no room."""
_GRACE = 10.0
_LISTEN = 0.5
_ERRORS = {error.exit_code: error for error in (UsageError, InvalidData)}
Event = tuple[str, dict[str, Any]]
"""A call of a ``Progress``: the method and its keywords."""


def run_on_ray(
    recipe: Recipe,
    out: str | Path,
    *,
    address: str | None = None,
    workers: int = 1,
    gpus_per_worker: float = 0.0,
    engine: EngineSpec,
    progress: Progress,
    until: str = "annotate",
) -> Run:
    """Do what is left of ``recipe`` in ``out``, a folder or URL that every node reaches.

    ``address`` is a cluster's; "auto" finds the one of this machine, and None or "local" starts one
    that lives as long as this call. ``EngineError`` where no worker can be kept alive.
    """
    folder = open_folder(out)
    place = str(folder) if folder.remote else str(folder.path.resolve())
    # Our own lock keeps a second driver out; the workers share the run's with us.
    with (
        locked(folder.child(".ray")),
        locked(folder, shared=True),
        contextlib.redirect_stdout(sys.stderr),  # where Ray's own messages belong
        _connected(address, workers),
    ):
        crew = _Crew(gpus_per_worker, (recipe, place, engine, until), progress)
        try:
            crew.work(workers)
        except KeyboardInterrupt as error:
            raise Interrupted(
                f"stopped; what was finished is in {out}, and the same command goes on from there."
            ) from error
        finally:
            crew.close()
    return Run.open(place)


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
        job: tuple[Recipe, str, EngineSpec, str],
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

        if (stage, shard) in self._others and time.monotonic() - self._asked < _LISTEN:
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
        if time.monotonic() - self._told > _LISTEN:
            self.flush()

    def end(self, stage: str) -> None:
        self.flush()

    def note(self, line: str) -> None:
        self._events.append(("note", {"line": line}))

    def flush(self) -> None:
        self._events += [("advance", {"stage": s, **sums}) for s, sums in self._counts.items()]
        self._coordinator.tell.remote(self._events)
        self._events, self._counts, self._told = [], {}, time.monotonic()


class _Together:
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


class _Crew:
    """The workers of one driver, by the future of what they do."""

    def __init__(
        self, gpus: float, job: tuple[Recipe, str, EngineSpec, str], progress: Progress
    ) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        # Beside us; should it die, a new one that knows of no claims costs double work at worst.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        self._coordinator = ray.remote(
            num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here
        )(Coordinator).remote()
        self._worker = ray.remote(num_cpus=1, num_gpus=gpus)(Worker)
        self._job = job
        self._progress, self._told = progress, _Together(progress)
        self._members: dict[Any, _Member] = {}
        self._hired = self._lost = 0
        self._living: set[str] = set()
        self._alive_at = time.monotonic()

    def work(self, workers: int) -> None:
        for _ in range(workers):
            self._hire()
        while True:
            for member, said in self._look(_LISTEN):
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


@contextlib.contextmanager
def _connected(address: str | None, workers: int) -> Iterator[None]:
    """A connection that was there before stays."""
    # For good: Ray's own defaults are a report to its makers and no GPU for whoever asks for none.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if address in (None, "local") and "RAY_AUTH_MODE" not in os.environ:
        # A cluster of our own has a secret of its own, where Ray would leave one in the home folder
        # that clusters of later days then ask for.
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    try:
        import ray
    except ImportError as error:
        raise MissingExtra("ray", "ray") from error
    if ray.is_initialized():
        yield
        return
    try:
        _connect(address, workers)
        yield
    finally:
        ray.shutdown()


def _connect(address: str | None, workers: int) -> None:
    import ray
    from ray.exceptions import AuthenticationError

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address in (None, "local"):
        ray.init(
            address="local",
            num_cpus=max(workers, os.cpu_count() or 1),
            include_dashboard=False,
            _node_ip_address="127.0.0.1",
            **quiet,
        )
        return
    try:
        ray.init(address=address, **quiet)
    except (ConnectionError, AuthenticationError) as error:
        raise EngineError(
            f"no Ray cluster at {address} lets us in; check the address, and RAY_AUTH_MODE and the "
            "token where it asks for one."
        ) from error
