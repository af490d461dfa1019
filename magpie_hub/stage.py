"""Doing a stage: which shards are left, their requests through one engine, each shard written the
moment that its last completion is there.

The engine draws requests lazily, so its queue stays full across shards and drains once, at the end
of the stage; only the shards in flight are in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from magpie_hub.engines import Completion, Engine, Request
from magpie_hub.pool import store
from magpie_hub.run import Run


class Progress(Protocol):
    """Who is told how far a run is. Counts are of rows; tokens are new ones."""

    def begin(self, stage: str, *, total: int, done: int) -> None: ...
    def advance(self, *, rows: int, tokens: int = 0, rejected: int = 0) -> None: ...
    def end(self) -> None: ...


@dataclass
class Job:
    """A shard's work: requests whose keys are unique in it, and what to make of the completions,
    which come in the order of the requests."""

    requests: list[Request]
    finish: Callable[[list[Completion]], pa.Table]
    got: dict[int, Completion] = field(default_factory=dict)


def generate(
    run: Run, stage: str, engine: Engine, job: Callable[[int, set[str]], Job], progress: Progress
) -> None:
    """Do what is left of a stage that asks a model.

    ``job(shard, have)`` gives the work for the rows of ``shard`` whose ids are not in ``have``.
    """
    shards = store(run, stage)
    old: dict[int, pa.Table] = {}
    flying: dict[int, Job] = {}

    def requests() -> Iterator[Request]:
        for shard in run.missing(stage):
            if shards.coverage(shard) is not None:
                old[shard] = shards.read(shard)
            have = set(old[shard]["id"].to_pylist()) if shard in old else set()
            flying[shard] = work = job(shard, have)
            if not work.requests:
                land(shard)
            yield from work.requests

    def land(shard: int) -> None:
        work = flying.pop(shard)
        table = work.finish([work.got[request.key] for request in work.requests])
        shards.write(shard, _merged(old.pop(shard, None), table), run.coverage(stage, shard))
        progress.advance(rows=len(table))

    with _told(run, stage, progress):
        for completion in engine.generate(requests()):
            work = flying[completion.request.group]
            work.got[completion.request.key] = completion
            progress.advance(rows=0, tokens=len(completion.token_ids))
            if len(work.got) == len(work.requests):
                land(completion.request.group)


def compute(
    run: Run, stage: str, make: Callable[[int, set[str]], pa.Table], progress: Progress
) -> None:
    """Do what is left of a stage that needs no engine: ``make(shard, have)`` gives the rows of
    ``shard`` whose ids are not in ``have``, which for a cheap stage is always empty."""
    shards = store(run, stage)
    cheap = run.stage(stage).cheap
    with _told(run, stage, progress):
        for shard in run.missing(stage):
            stays = not cheap and shards.coverage(shard) is not None
            old = shards.read(shard) if stays else None
            have = set(old["id"].to_pylist()) if old is not None else set()
            table = make(shard, have)
            shards.write(shard, _merged(old, table), run.coverage(stage, shard))
            rejected = table["kept"].to_pylist().count(False) if "kept" in table.schema.names else 0
            progress.advance(rows=len(table), rejected=rejected)


class _told:  # noqa: N801 (reads as the statement it is)
    """Tell ``progress`` where the stage begins and that it has ended, however it ends."""

    def __init__(self, run: Run, stage: str, progress: Progress) -> None:
        self._progress = progress
        left = set(run.missing(stage))
        self._done = sum(run.rows_in(s) for s in range(run.shard_count) if s not in left)
        self._stage, self._total = stage, run.info.rows

    def __enter__(self) -> None:
        self._progress.begin(self._stage, total=self._total, done=self._done)

    def __exit__(self, *_: object) -> None:
        self._progress.end()


def _merged(old: pa.Table | None, new: pa.Table) -> pa.Table:
    """Old and new rows in the order of their ids, which is that of the slots."""
    if old is None:
        return new
    return pa.concat_tables([old, new.cast(old.schema)]).sort_by("id")
