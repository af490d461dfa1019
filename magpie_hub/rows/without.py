"""Rows that stay out of a build, since they were taken down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from magpie_hub.recipe import ConfigSpec
from magpie_hub.release import Producer, Provenance
from magpie_hub.release.withdrawn import REASON
from magpie_hub.rows.pool import Pool


class Without:
    """A pool without these rows. ``left_out`` are the ids that came, once it was gone through."""

    def __init__(self, pool: Pool, withdrawn: Iterable[str]) -> None:
        self._pool = pool
        self._withdrawn = pa.array(sorted(withdrawn), pa.string())
        self.left_out: set[str] = set()

    def columns(self) -> tuple[str, ...]:
        return self._pool.columns()

    def shards(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        if not len(self._withdrawn):
            yield from self._pool.shards(columns)
            return
        for table in self._pool.shards(None if columns is None else [*columns, "id"]):
            out = pc.is_in(table["id"], self._withdrawn)
            if found := table["id"].filter(out).to_pylist():
                self.left_out.update(found)
                table = table.filter(pc.invert(out))
            yield table

    def provenance(self) -> Provenance:
        """With those rows among the ones that were turned away."""
        found = self._pool.provenance()
        out = {REASON: len(self.left_out)} if self.left_out else {}
        return found.model_copy(update={"rejected": found.rejected | out})

    def producers(self) -> dict[str, Producer]:
        return self._pool.producers()

    def recipe_text(self) -> str:
        return self._pool.recipe_text()

    def config_specs(self) -> Mapping[str, ConfigSpec]:
        return self._pool.config_specs()
