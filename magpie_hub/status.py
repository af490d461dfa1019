"""How far a run is: a listing of its files."""

from __future__ import annotations

from pydantic import BaseModel

from magpie_hub.pool import rejections
from magpie_hub.release import MANIFEST
from magpie_hub.run import Run


class StageStatus(BaseModel):
    """A stage's shards and the slots that they stand for."""

    name: str
    shards_done: int
    shards: int
    rows_done: int
    rows: int


class Status(BaseModel):
    """A run as it stands. ``rejected`` counts by reason, for the shards screened so far."""

    run: str
    name: str
    rows: int
    finished: bool
    stages: list[StageStatus]
    rejected: dict[str, int]
    releases: list[str]


def status(run: Run) -> Status:
    """Reads folder listings and shard headers, and the verdicts for their counts."""
    stages = []
    for stage in run.info.stages:
        left = set(run.missing(stage.name))
        done = [shard for shard in range(run.shard_count) if shard not in left]
        stages.append(
            StageStatus(
                name=stage.name,
                shards_done=len(done),
                shards=run.shard_count,
                rows_done=sum(run.rows_in(shard) for shard in done),
                rows=run.info.rows,
            )
        )
    releases = sorted(p.parent.name for p in (run.path / "releases").glob(f"*/{MANIFEST}"))
    return Status(
        run=str(run.path),
        name=run.recipe.name,
        rows=run.info.rows,
        finished=all(s.shards_done == s.shards for s in stages),
        stages=stages,
        rejected=rejections(run),
        releases=releases,
    )
