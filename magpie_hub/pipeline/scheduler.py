"""Doing what is left of a run: every shard goes through the stages, and no engine waits for one.

A shard is at one stage at a time, but different shards are at different ones: while the last
queries are sampled, the first are already answered by the same engine, so that its queue drains
once, when nothing is left for it, and not at the end of a batch or a stage.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

import pyarrow as pa

from magpie_hub.engines import Engine, Task
from magpie_hub.models import Model
from magpie_hub.pipeline.places import Places, Who, up_to
from magpie_hub.run import Run
from magpie_hub.run.stored import store
from magpie_hub.stages import Asking, Local, Progress, Steps, Whole, Work
from magpie_hub.stages.driver import Batch, Driver
from magpie_hub.storage.claims import Claims

_ROWS_OPEN = 1 << 16
"""Rows of unfinished shards in memory from which no further shard is begun, whatever the number of
slots; the oldest then catch up."""
_LOOK_AGAIN = 1.0
"""Seconds between two looks at what others have finished."""


class Stop:
    """Somebody wants the run to end: shards in flight are finished, no further one is begun."""

    asked = False


class Scheduler:
    """Brings every shard of ``run`` through ``works``, in their order.

    ``open_engine(model, task)`` loads a model. ``claims`` says which shards are ours, and ``stop``
    that no more are wanted. With ``retry_failed``, rows that failed are made again, once.
    """

    def __init__(
        self,
        run: Run,
        works: Sequence[Work],
        *,
        open_engine: Callable[[Model, Task], Engine],
        claims: Claims,
        progress: Progress,
        stop: Stop,
        retry_failed: bool = False,
    ) -> None:
        self._run = run
        self._works = works
        self._open_engine = open_engine
        self._claims = claims
        self._progress = progress
        self._stop = stop
        self._retry = retry_failed
        self._engines: dict[Who, Engine] = {}
        self._held: set[tuple[str, int]] = set()
        self._others: list[int] = []
        self._places = Places(run, works, retry_failed=retry_failed)
        self._stages = _Told(run, works, self._places.at, progress)

    def work(self) -> bool:
        """Do all that can be done; whether nothing is left."""
        try:
            while not self._stop.asked:
                self._do_local()
                if (who := self._next_engine()) is not None:
                    self._drive(who)
                elif not self._do_whole():
                    if not (self._others and self._claims.waits):
                        break
                    time.sleep(_LOOK_AGAIN)
                    self._look_again()
        finally:
            gc.unfreeze()
            for engine in self._engines.values():
                engine.close()
            for stage, shard in self._held:
                self._claims.give_back(stage, shard)
            self._stages.close()
        return self._places.finished

    # Whose the shards are.

    def _take(self, who: Who) -> tuple[int, int] | None:
        """The place and number of the next shard for this engine that nobody else is at."""
        while (found := self._places.take(who)) is not None:
            place, shard = found
            stage = self._works[place].stage
            if not self._claims.take(stage, shard):
                self._others.append(shard)
            elif self._claims.waits and self._done_by_others(stage, shard):
                self._claims.give_back(stage, shard)
                self._passed(shard)
            else:
                self._held.add((stage, shard))
                self._stages.begin(stage)
                return place, shard
        return None

    def _done_by_others(self, stage: str, shard: int) -> bool:
        self._run.refresh(stage, shard)
        return self._places.done(shard)

    def _look_again(self) -> None:
        self._run.refresh()
        unfinished, self._others = self._others, []
        for shard in unfinished:
            if self._places.done(shard):
                self._passed(shard)
            else:
                self._places.queue(shard)

    def _passed(self, shard: int) -> None:
        before = self._places.at[shard]
        self._places.passed(shard)
        self._stages.passed(before, self._places.at[shard])

    def _land(self, stage: str, shard: int, old: pa.Table | None, new: pa.Table, part: str) -> None:
        store(self._run, stage).write(shard, _merged(old, new), part)
        self._held.discard((stage, shard))
        self._claims.give_back(stage, shard)
        self._passed(shard)

    # Stages without a model.

    def _do_local(self) -> None:
        while (taken := self._take(None)) is not None:
            place, shard = taken
            work = self._works[place]
            assert isinstance(work, Local)
            stage = work.stage
            wall, cpu = time.perf_counter(), time.process_time()
            old = None if self._run.stage(stage).cheap else self._old(stage, shard)
            table = work.make(shard, _ids(old))
            rejected = table["kept"].to_pylist().count(False) if "kept" in table.schema.names else 0
            account = {
                "rows": len(table),
                "seconds": time.perf_counter() - wall,
                "cpu_seconds": time.process_time() - cpu,
            }
            self._run.account(stage, shard, account, adding=old is not None)
            self._progress.advance(stage, rows=len(table), rejected=rejected)
            self._land(stage, shard, old, table, self._run.coverage(stage, shard))

    def _do_whole(self) -> bool:
        """Do a stage that has all shards together, if there is one and it is ours."""
        if (taken := self._places.take_whole()) is None:
            return False
        place, shards = taken
        work, lock = self._works[place], shards[0]
        assert isinstance(work, Whole)
        if not self._claims.take(work.stage, lock):
            self._others += shards
            return False
        self._held.add((work.stage, lock))
        self._stages.begin(work.stage)
        wall, cpu = time.perf_counter(), time.process_time()
        for shard, table in zip(shards, work.make(shards), strict=True):
            seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
            wall, cpu = wall + seconds, cpu + cpu_seconds
            account = {"rows": len(table), "seconds": seconds, "cpu_seconds": cpu_seconds}
            self._run.account(work.stage, shard, account)
            coverage = self._run.coverage(work.stage, shard)
            store(self._run, work.stage).write(shard, table, coverage)
            self._progress.advance(work.stage, rows=len(table))
        self._held.remove((work.stage, lock))
        self._claims.give_back(work.stage, lock)
        for shard in shards:
            self._passed(shard)
        return True

    # Stages with one.

    def _next_engine(self) -> Who:
        """Who has something to do: an engine that is open, else the earliest stage's."""
        wanted = self._places.wanted()
        return min(wanted, key=lambda who: (who not in self._engines, wanted[who]), default=None)

    def _engine(self, who: Who) -> Engine:
        if who not in self._engines:
            gc.unfreeze()
            for other in [w for w, engine in self._engines.items() if engine.exclusive]:
                self._engines.pop(other).close()
            work = self._works[self._places.wanted()[who]]
            assert isinstance(work, Asking)
            self._engines[who] = self._open_engine(work.model, work.task)
            # What is loaded now stays: collections need not look at it again and again.
            gc.freeze()
        return self._engines[who]

    def _drive(self, who: Who) -> None:
        """Keep an engine busy until nothing more is ready for it."""
        engine = self._engine(who)
        driver = Driver(engine, self._progress)
        begun: dict[Batch, tuple[Asking, int, pa.Table | None]] = {}
        while True:
            while self._wanted(driver) and (taken := self._take(who)) is not None:
                work, shard, old, rows = self._begin(*taken)
                if rows:
                    begun[driver.begin(work.stage, rows)] = (work, shard, old)
                else:
                    self._finish(work, shard, old, None, engine)
            if driver.idle:
                return
            for batch in driver.poll():
                self._finish(*begun.pop(batch), batch, engine)

    def _wanted(self, driver: Driver) -> bool:
        return driver.room and driver.open_rows < _ROWS_OPEN and not self._stop.asked

    def _begin(
        self, place: int, shard: int
    ) -> tuple[Asking, int, pa.Table | None, dict[str, Steps]]:
        work = self._works[place]
        assert isinstance(work, Asking)
        old = self._old(work.stage, shard)
        if old is not None and self._retry:
            old = old.filter(old["error"].is_null())
            self._places.retried(work.stage, shard)
        return work, shard, old, work.job(shard, _ids(old))

    def _finish(
        self, work: Asking, shard: int, old: pa.Table | None, batch: Batch | None, engine: Engine
    ) -> None:
        schema = store(self._run, work.stage).schema
        table = pa.Table.from_pylist(list(batch.made.values()) if batch else [], schema=schema)
        if batch:
            # Before the shard is there, so that no finished shard is without its account.
            account = {**batch.account(), "engine": asdict(engine.facts)}
            self._run.account(work.stage, shard, account, adding=old is not None)
            self._progress.advance(work.stage, rows=len(table), failed=batch.failed)
        whole = self._run.coverage(work.stage, shard)
        part = whole if work.part == work.parts - 1 else up_to(work.part, whole)
        self._land(work.stage, shard, old, table, part)
        self._do_local()

    def _old(self, stage: str, shard: int) -> pa.Table | None:
        shards = store(self._run, stage)
        return shards.read(shard) if shards.coverage(shard) is not None else None


class _Told:
    """Tells ``progress`` when the first shard of a stage is begun and the last one is through."""

    def __init__(self, run: Run, works: Sequence[Work], at: Sequence[int], to: Progress) -> None:
        self._run, self._works, self._progress = run, works, to
        self._left = [sum(place <= p for place in at) for p in range(len(works))]
        self._begun: list[str] = []

    def begin(self, stage: str) -> None:
        if stage not in self._begun:
            self._begun.append(stage)
            total = self._run.info.rows
            left = self._shards_left(stage) * self._run.info.shard_rows
            self._progress.begin(stage, total=total, done=max(total - left, 0))

    def passed(self, before: int, now: int) -> None:
        for place in range(before, now):
            self._left[place] -= 1
            stage = self._works[place].stage
            if stage in self._begun and not self._shards_left(stage):
                self._begun.remove(stage)
                self._progress.end(stage)

    def close(self) -> None:
        for stage in self._begun:
            self._progress.end(stage)

    def _shards_left(self, stage: str) -> int:
        return max(
            left for left, w in zip(self._left, self._works, strict=True) if w.stage == stage
        )


def _ids(table: pa.Table | None) -> set[str]:
    return set() if table is None else set(table["id"].to_pylist())


def _merged(old: pa.Table | None, new: pa.Table) -> pa.Table:
    """Old and new rows in the order of their ids, which is that of the slots."""
    if old is None:
        return new
    return pa.concat_tables([old, new.cast(old.schema)]).sort_by("id")
