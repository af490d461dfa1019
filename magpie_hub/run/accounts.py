"""What a run has cost so far, by stage, and what the rest of it, or a whole recipe, will cost.

Every shard that is made leaves an account of its rows, tokens and seconds (``RUN/accounting/``).
Seconds are those of the engine: shards that it works on at the same time share them, so that they
add up to the time that the machine was busy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, computed_field

from magpie_hub.engines import Determinism
from magpie_hub.run import Run

_LATELY = 600.0
"""Seconds: workers that have finished a shard since are taken to be at work still."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Account(_Part):
    """A stage, or all of them. ``slots`` are those that its shards stand for, ``rows`` those that
    it made; ``hours`` are device-hours (of a GPU, or of a machine without one)."""

    slots: int = 0
    rows: int = 0
    prompt_tokens: int = 0
    new_tokens: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    hours: float = 0.0
    engines: tuple[str, ...] = ()
    determinism: Determinism | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def rows_per_second(self) -> float | None:
        return self.rows / self.seconds if self.seconds else None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def tokens_per_second(self) -> float | None:
        return self.new_tokens / self.seconds if self.seconds and self.new_tokens else None


class Estimate(_Part):
    """What ``rows`` slots of a recipe take, from a sample of ``measured_on`` slots: device-hours,
    new tokens, bytes of the run on disk, dollars where a price was given; ``kept`` are the rows
    that remain."""

    rows: int
    measured_on: int
    kept: int
    hours: float
    new_tokens: int
    disk_bytes: int
    usd: float | None


def accounts(run: Run) -> dict[str, Account]:
    """By stage, in the order of the stages; without stages that have made nothing yet."""
    found = {stage.name: run.accounts(stage.name) for stage in run.info.stages}
    return {
        name: total(_read(record, run.rows_in(shard)) for shard, record in by_shard.items())
        for name, by_shard in found.items()
        if by_shard
    }


def total(parts: Iterable[Account]) -> Account:
    sums = dict.fromkeys(_ADDED, 0.0)
    engines: dict[str, None] = {}
    levels = set[Determinism | None]()
    for part in parts:
        for name in _ADDED:
            sums[name] += getattr(part, name)
        engines |= dict.fromkeys(part.engines)
        levels.add(part.determinism)
    weakest = next((level for level in get_args(Determinism) if level in levels), None)
    # Two engines, or two versions of one, have no more than the plan in common.
    return Account(
        **sums, engines=tuple(engines), determinism="plan" if len(engines) > 1 else weakest
    )


def seconds_left(run: Run, shards_left: Mapping[str, int]) -> float | None:
    """Seconds until the run is through, at the pace of its shards so far and with the workers that
    were at it lately; None while a stage that is left has no shard to go by."""
    seconds, workers = 0.0, set[str]()
    records = {stage: run.accounts(stage).values() for stage in shards_left}
    newest = max((r["ended"] for found in records.values() for r in found), default=0.0)
    for stage, left in shards_left.items():
        if not left:
            continue
        if not records[stage]:
            return None
        seconds += left * sum(r["seconds"] for r in records[stage]) / len(records[stage])
    for found in records.values():
        workers |= {r["worker"] for r in found if r["ended"] > newest - _LATELY}
    return seconds / max(len(workers), 1)


def estimate(run: Run, rows: int, *, kept: int, usd_per_hour: float | None) -> Estimate:
    """What a recipe of ``rows`` takes, where the finished ``run`` is a sample of it of which
    ``kept`` rows remained."""
    whole = total(accounts(run).values())
    scale = rows / run.info.rows
    hours = whole.hours * scale
    disk = sum(file.stat().st_size for file in run.path.rglob("*.arrow"))
    return Estimate(
        rows=rows,
        measured_on=run.info.rows,
        kept=round(kept * scale),
        hours=hours,
        new_tokens=round(whole.new_tokens * scale),
        disk_bytes=round(disk * scale),
        usd=None if usd_per_hour is None else hours * usd_per_hour,
    )


_ADDED = (
    *("slots", "rows", "prompt_tokens", "new_tokens"),
    *("seconds", "cpu_seconds", "hours"),
)


def _read(record: Mapping[str, Any], slots: int) -> Account:
    """A shard's account as the scheduler writes it."""
    engine = record.get("engine")
    name = f"{engine['name']} {engine['version']} on {engine['device']}" if engine else None
    return Account(
        slots=slots,
        **{key: record[key] for key in _ADDED if key in record},
        hours=record["seconds"] * (engine["devices"] if engine else 1) / 3600,
        engines=(name,) if name else (),
        determinism=engine["determinism"] if engine else None,
    )
