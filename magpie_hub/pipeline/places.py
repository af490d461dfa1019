"""Where each shard of a run is in the line, and which are ready for whom.

A shard goes through the stages in their order. What may hold it back is its fellows: a stage may
need the queries of all shards before, or its own verdicts on them, or all shards at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

from magpie_hub.engines import Task
from magpie_hub.run import Run
from magpie_hub.run.stored import store
from magpie_hub.stages import Asking, Local, Whole, Work

Who = tuple[str, Task] | None
"""The model that a stage needs, and what for; None where it needs none."""


class Places:
    """``at[shard]`` is the place of its first unfinished stage in ``works``, or their number. With
    ``retry_failed``, a shard with rows that failed is unfinished, once."""

    def __init__(self, run: Run, works: Sequence[Work], *, retry_failed: bool = False) -> None:
        self._run = run
        self._works = works
        self._retry = retry_failed
        self._retried: set[tuple[str, int]] = set()
        # By the place of a stage: shards that are ready for it, and that wait for fellows. The
        # latest stage comes first, so that what is begun is finished soon.
        self._ready: dict[Who, list[tuple[int, int]]] = {}
        self._behind: dict[int, list[int]] = {}
        self._gathered: dict[int, list[int]] = {}
        self._ahead = {gate: 0 for place in range(len(works)) if (gate := self._gate(place)) >= 0}
        self.at = [self._first_left(shard) for shard in range(run.shard_count)]
        for shard in range(run.shard_count):
            self.queue(shard)
        self._move_ahead()

    @property
    def finished(self) -> bool:
        return all(place == len(self._works) for place in self.at)

    def done(self, shard: int) -> bool:
        """Whether the stage that the shard is at has been done."""
        return self._done(self.at[shard], shard)

    def retried(self, stage: str, shard: int) -> None:
        self._retried.add((stage, shard))

    def queue(self, shard: int) -> None:
        """The shard is free for whoever does its stage."""
        if (place := self.at[shard]) == len(self._works):
            return
        work, gate = self._works[place], self._gate(place)
        if isinstance(work, Whole):
            self._gathered.setdefault(place, []).append(shard)
        elif gate >= 0 and shard > self._ahead[gate]:
            heappush(self._behind.setdefault(gate, []), shard)
        else:
            heappush(self._ready.setdefault(_who(work), []), (-place, shard))

    def passed(self, shard: int) -> None:
        """The shard is through its stage."""
        self.at[shard] = self._first_left(shard)
        self.queue(shard)
        self._move_ahead()

    def take(self, who: Who) -> tuple[int, int] | None:
        """The place and number of the next shard for this engine."""
        if ready := self._ready.get(who):
            place, shard = heappop(ready)
            return -place, shard
        return None

    def take_whole(self) -> tuple[int, list[int]] | None:
        """The place of a stage that has all shards together, and those that it has to do."""
        for place, shards in self._gathered.items():
            if shards and len(shards) == sum(at <= place for at in self.at):
                return place, sorted(self._gathered.pop(place))
        return None

    def wanted(self) -> dict[Who, int]:
        """Who has something to do, and the place of the earliest stage of it."""
        return {who: -max(ready)[0] for who, ready in self._ready.items() if ready}

    def _first_left(self, shard: int) -> int:
        places = range(len(self._works))
        return next((p for p in places if not self._done(p, shard)), len(self._works))

    def _done(self, place: int, shard: int) -> bool:
        work = self._works[place]
        shards = store(self._run, work.stage)
        found = shards.coverage(shard)
        if found is None:
            return False
        if self._retry and (work.stage, shard) not in self._retried and shards.failed(shard):
            return False
        whole = self._run.coverage(work.stage, shard)
        parts = range(work.part, work.parts) if isinstance(work, Asking) else ()
        return found == whole or found in [up_to(part, whole) for part in parts]

    def _gate(self, place: int) -> int:
        """The place that all shards before must be through; -1 where there is none."""
        work = self._works[place]
        if isinstance(work, Local) and work.in_order:
            return place
        return 0 if not isinstance(work, Whole) and work.orderly else -1

    def _move_ahead(self) -> None:
        """``_ahead[gate]`` is the first shard that is not through the gate."""
        for gate in self._ahead:
            while self._ahead[gate] < len(self.at) and self.at[self._ahead[gate]] > gate:
                self._ahead[gate] += 1
            behind = self._behind.get(gate, [])
            while behind and behind[0] <= self._ahead[gate]:
                self.queue(heappop(behind))


def _who(work: Work) -> Who:
    return (work.model.identity, work.task) if isinstance(work, Asking) else None


def up_to(part: int, coverage: str) -> str:
    """The coverage of a shard that several models make, when this one has done its rows."""
    return f"{coverage}/part {part + 1}"
