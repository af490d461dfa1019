"""How many queries of each category pass, first come first served in the order of slots.

Only slots before count, so that a verdict never changes when rows are added behind.
"""

from __future__ import annotations

from collections import Counter
from math import ceil

from magpie_hub.recipe import Screen
from magpie_hub.run import Run
from magpie_hub.run.stored import joined, store

_OTHERS = "the others"


class Quotas:
    """The room in ``settings.keep`` rows, and what of it is taken by the shards so far."""

    def __init__(self, run: Run, settings: Screen) -> None:
        assert settings.keep is not None
        self._run = run
        self._keep = settings.keep
        self._room = {name: ceil(share * self._keep) for name, share in settings.quotas.items()}
        if self._room:
            self._room[_OTHERS] = max(self._keep - sum(self._room.values()), 0)
        self._taken: Counter[str] = Counter()
        self._counted = 0

    def count_up_to(self, shard: int) -> None:
        """Take in the verdicts on the shards before this one; they must be there."""
        for before in range(self._counted, shard):
            verdicts = store(self._run, "screen").read(before)
            kept = verdicts.filter(verdicts["kept"])["id"]
            if self._room:
                labels = joined(self._run, before, kept, ["judge"])["category"].to_pylist()
            else:
                labels = [None] * len(kept)
            self._taken.update(self._name(label) for label in labels)
        self._counted = max(self._counted, shard)

    def admit(self, category: str | None) -> tuple[str, str] | None:
        """Take a place for a query of the next shard's; why there is none."""
        if self._taken.total() >= self._keep:
            return ("enough", f"{self._keep} queries have passed")
        name = self._name(category)
        if self._room and self._taken[name] >= self._room[name]:
            return ("quota", f"{name} have their {self._room[name]}")
        self._taken[name] += 1
        return None

    def close(self, shard: int) -> None:
        """The shard's own queries have been admitted."""
        self._counted = shard + 1

    def _name(self, category: str | None) -> str:
        return category if category in self._room else _OTHERS


def kept_so_far(run: Run, first: int = 0) -> int:
    """How many queries of the shards from ``first`` on have passed the screen."""
    verdicts = store(run, "screen").read_each(range(first, run.shard_count))
    return sum(table["kept"].to_pylist().count(True) for table in verdicts)
