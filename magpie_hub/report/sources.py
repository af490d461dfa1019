"""Where a report's rows come from: a run, with what it turned away, or a release alone.

Rows come as frames, a shard or a row group each, in the order of slots; texts are asked for by id,
since those of all rows would not fit into memory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Protocol

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from magpie_hub.building.pools import ReleasePool
from magpie_hub.release import Release
from magpie_hub.report.columns import WANTED, made
from magpie_hub.rows.pool import RunPool
from magpie_hub.run import Run
from magpie_hub.run.rejections import TurnedAway, turned_away
from magpie_hub.run.stored import is_further_reward, joined, store

Turn = tuple[str, str]
"""Who speaks (a name of :data:`ROLES`), and what."""
ROLES = ("user", "assistant", "assistant, thinking", "chosen", "rejected", "system")
KEPT = "kept"
PENDING = ("pending", "not finished")
FAILED = ("respond", "failed")
"""Stage and reason of rows that are on their way still, and of those that the engine gave up."""
_APART = ("screen", "choose", "baseline", "overlap", "duplicates", "map")
_TURNS = ("ask-", "answer-")


class Source(Protocol):
    """``there`` are the columns read, a part of ``WANTED``; ``frames`` have a ``stage`` and a
    ``reason``, which are "kept" for rows that are published."""

    there: tuple[str, ...]

    def frames(self) -> Iterator[pl.DataFrame]: ...
    def texts(self, ids: Collection[str]) -> dict[str, list[Turn]]:
        """The conversations of rows; of those turned away the question, and the answer if there
        is one."""
        ...

    def questions(self, ids: Collection[str]) -> dict[str, str]: ...
    def fates(self, ids: Collection[str]) -> dict[str, tuple[str, str]]:
        """Stage and reason of each."""
        ...


class RunRows:
    """What a run has sampled so far. A shard counts as kept once all of its stages are done; the
    map is not waited for."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._left = {stage.name: set(run.missing(stage.name)) for stage in run.info.stages}
        waited = [left for stage, left in self._left.items() if stage != "map"]
        every = range(run.shard_count)
        self._done = [shard for shard in every if not any(shard in left for left in waited)]
        self._sampled = [shard for shard in every if shard not in self._left["sample"]]
        self._paired = run.recipe.builder == "preference"
        published = RunPool(run, only=[]).columns()
        self.there = tuple(name for name in WANTED if name in published)

    def pool(self) -> RunPool:
        """The rows that are published, so far."""
        return RunPool(self._run, only=self._done)

    def frames(self) -> Iterator[pl.DataFrame]:
        return map(self._frame, self._sampled)

    def fates(self, ids: Collection[str]) -> dict[str, tuple[str, str]]:
        found: dict[str, tuple[str, str]] = {}
        for shard, names in self._by_shard(ids).items():
            rows = self._frame(shard).filter(pl.col("id").is_in(names))
            found |= {name: (stage, reason) for name, stage, reason in _fates(rows)}
        return found

    def _frame(self, shard: int) -> pl.DataFrame:
        turned = {row.id: row for row in turned_away(self._run, shard, self._left)}
        ids = store(self._run, "sample").read(shard)["id"]
        if shard not in self._done:
            return self._others(shard, ids, turned, None)
        (rows,) = self._pool([shard], ["id", *self.there])
        others = self._others(shard, ids, turned, rows)
        frame = pl.DataFrame(rows).filter(~pl.col("id").is_in([*turned]))
        return pl.concat([others, made(_kept(frame), self.there)]).sort("id")

    def texts(self, ids: Collection[str]) -> dict[str, list[Turn]]:
        found: dict[str, list[Turn]] = {}
        columns = ("prompt", "chosen", "rejected") if self._paired else ("messages",)
        by_shard = self._by_shard(ids)
        done = [shard for shard in by_shard if shard in self._done]
        for table in self._pool(done, ["id", *columns]):
            wanted = table.filter(pc.is_in(table["id"], pa.array(list(ids), pa.string())))
            found |= {row["id"]: turns(row) for row in wanted.to_pylist()}
        for shard, names in by_shard.items():
            missing = pa.chunked_array(
                [pa.array([n for n in names if n not in found], pa.string())]
            )
            stages = ["sample"] if shard in self._left["respond"] else ["sample", "respond"]
            some = joined(self._run, shard, missing, stages, only={"query", "response"})
            for row in some.to_pylist() if len(missing) else ():
                said = [("user", row["query"]), ("assistant", row.get("response"))]
                found[row["id"]] = [(role, text) for role, text in said if text]
        return found

    def questions(self, ids: Collection[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for shard, names in self._by_shard(ids).items():
            rows = joined(
                self._run, shard, pa.chunked_array([pa.array(names, pa.string())]), ["sample"]
            )
            found |= dict(zip(names, rows["query"].to_pylist(), strict=True))
        return found

    def _pool(self, shards: Sequence[int], columns: Sequence[str]) -> Iterator[pa.Table]:
        return RunPool(self._run, only=shards).shards(columns)

    def _by_shard(self, ids: Iterable[str]) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        for name in sorted(ids):
            found.setdefault(self._shard_of(name), []).append(name)
        return {shard: found[shard] for shard in sorted(found) if shard in self._sampled}

    def _shard_of(self, name: str) -> int:
        """By the number of its slot, which ends an id."""
        _, _, slot = name.rpartition("-")
        return int(slot) // self._run.info.shard_rows if slot.isdecimal() else -1

    def _others(
        self,
        shard: int,
        ids: pa.ChunkedArray,
        turned: dict[str, TurnedAway],
        rows: pa.Table | None,
    ) -> pl.DataFrame:
        """The rows that are not published."""
        if rows is not None:
            kept = pc.and_(
                pc.is_in(ids, rows["id"].combine_chunks()),
                pc.invert(pc.is_in(ids, pa.array(turned, pa.string()))),
            )
            ids = ids.filter(pc.invert(kept))
        stages = [name for name in self._left if shard not in self._left[name]]
        looked = [
            name
            for name in stages
            if name not in _APART and not is_further_reward(name) and not name.startswith(_TURNS)
        ]
        frame = pl.DataFrame(joined(self._run, shard, ids, looked, only={*self.there}))
        screened = self._screened(shard)
        why = [_why(turned.get(name), name in screened, rows is not None) for name in frame["id"]]
        stage, reason, detail = zip(*why, strict=True) if why else ((), (), ())
        told = {"stage": stage, "reason": reason, "detail": detail}
        columns = [pl.Series(name, each, pl.String) for name, each in told.items()]
        return made(frame.with_columns(columns), self.there)

    def _screened(self, shard: int) -> set[str]:
        """The ids that the screen turned away."""
        if shard in self._left["screen"]:
            return set()
        verdicts = store(self._run, "screen").read(shard)
        return set(verdicts.filter(pc.invert(verdicts["kept"]))["id"].to_pylist())


class ReleaseRows:
    """The published rows of a release."""

    def __init__(self, release: Release) -> None:
        self._pool = ReleasePool(release)
        columns = self._pool.columns()
        self.there = tuple(name for name in WANTED if name in columns)
        pair = tuple(name for name in ("prompt", "chosen", "rejected") if name in columns)
        self._said = pair if "chosen" in pair else ("messages",)

    def frames(self) -> Iterator[pl.DataFrame]:
        for table in self._pool.shards(["id", *self.there]):
            yield made(_kept(pl.DataFrame(table)), self.there)

    def fates(self, ids: Collection[str]) -> dict[str, tuple[str, str]]:
        return dict.fromkeys(self.texts(ids), (KEPT, KEPT))

    def texts(self, ids: Collection[str]) -> dict[str, list[Turn]]:
        wanted = pa.array(list(ids), pa.string())
        found = {}
        for table in self._pool.shards(["id", *self._said]):
            for row in table.filter(pc.is_in(table["id"], wanted)).to_pylist():
                found[row["id"]] = turns(row)
        return found

    def questions(self, ids: Collection[str]) -> dict[str, str]:
        found = self.texts(ids)
        return {
            name: next((t for role, t in said if role == "user"), "")
            for name, said in found.items()
        }


def _kept(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(
        stage=pl.lit(KEPT), reason=pl.lit(KEPT), detail=pl.lit(None, pl.String)
    )


def _fates(rows: pl.DataFrame) -> Iterator[tuple[str, str, str]]:
    return rows.select("id", "stage", "reason").iter_rows()


def turns(row: dict[str, Any]) -> list[Turn]:
    """The texts of a published row, in the order in which they are read."""
    found: list[Turn] = []
    parts = [("", "messages")] if row.get("messages") else [("", "prompt")]
    parts += [(name, name) for name in ("chosen", "rejected") if "messages" not in row]
    for role, column in parts:
        for message in row.get(column) or ():
            if thought := message.get("thinking"):
                found.append(("assistant, thinking", thought))
            name = role or message["role"]
            found.append((name if name in ROLES else "user", message["content"] or ""))
    return found


def _why(
    turned: TurnedAway | None, by_the_screen: bool, finished: bool
) -> tuple[str, str, str | None]:
    """Stage, reason and detail of a row that is not published."""
    if turned is None:
        return (*(FAILED if finished else PENDING), None)
    if by_the_screen:
        return "screen", turned.reason, turned.detail
    stage = {"no answer": "respond", "unsafe": "safety", "pii": "pii"}.get(turned.reason)
    if stage is None:
        stage = "extend" if turned.reason.startswith("one turn: ") else "choose"
    return stage, turned.reason, turned.detail
