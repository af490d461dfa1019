"""How far a run is: a listing of its files."""

from __future__ import annotations

from pydantic import BaseModel

from magpie_hub.release import MANIFEST, Yield
from magpie_hub.run import Run
from magpie_hub.run.accounts import Account, accounts, seconds_left, total
from magpie_hub.run.rejections import rejections
from magpie_hub.run.stored import store
from magpie_hub.run.yields import yields


class StageStatus(BaseModel):
    """A stage's shards and the slots that they stand for; ``failed`` counts rows whose requests the
    engine gave up."""

    name: str
    shards_done: int
    shards: int
    rows_done: int
    rows: int
    failed: int
    account: Account


class Status(BaseModel):
    """A run as it stands. ``kept`` and ``rejected``, by reason, are of the shards screened so far;
    ``seconds_left`` is None where a stage has not begun."""

    run: str
    name: str
    rows: int
    finished: bool
    stages: list[StageStatus]
    kept: int
    rejected: dict[str, int]
    yields: tuple[Yield, ...]
    seconds_left: float | None
    hours_per_1000_kept: float | None
    usd_per_1000_kept: float | None
    engines: tuple[str, ...]
    determinism: str | None
    releases: list[str]


def status(run: Run, *, usd_per_hour: float | None = None) -> Status:
    """Reads folder listings, shard headers and accounts, and the verdicts for their counts."""
    costs = accounts(run)
    stages = []
    for stage in run.info.stages:
        left = set(run.missing(stage.name))
        done = [shard for shard in range(run.shard_count) if shard not in left]
        shards = store(run, stage.name)
        stages.append(
            StageStatus(
                name=stage.name,
                shards_done=len(done),
                shards=run.shard_count,
                rows_done=sum(run.rows_in(shard) for shard in done),
                rows=run.info.rows,
                failed=sum(shards.failed(shard) for shard in done),
                account=costs.get(stage.name, Account()),
            )
        )
    rejected = rejections(run)
    screened = next(stage.rows_done for stage in stages if stage.name == "screen")
    kept = max(screened - sum(rejected.values()), 0)
    whole = total(costs.values())
    hours = whole.hours * 1000 / kept if kept else None
    return Status(
        run=str(run.folder),
        name=run.recipe.name,
        rows=run.info.rows,
        finished=all(s.shards_done == s.shards for s in stages),
        stages=stages,
        kept=kept,
        rejected=rejected,
        yields=yields(run),
        seconds_left=seconds_left(run, {s.name: s.shards - s.shards_done for s in stages}),
        hours_per_1000_kept=hours,
        usd_per_1000_kept=None if hours is None or usd_per_hour is None else hours * usd_per_hour,
        engines=whole.engines,
        determinism=whole.determinism,
        releases=_releases(run),
    )


def _releases(run: Run) -> list[str]:
    if run.folder.remote:
        return []
    return sorted(p.parent.name for p in (run.path / "releases").glob(f"*/{MANIFEST}"))
