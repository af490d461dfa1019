"""The map of a run's questions, as the annotator ``map`` has stored it."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from magpie_hub.run import Run
from magpie_hub.run.stored import store


def coordinates(run: Run) -> pa.Table | None:
    """Where the questions stand: ``id`` (string), ``x`` and ``y`` (float32, from -1 to 1), in the
    order of slots. None where there is no finished map. Questions that broke a rule of the screen
    are not on it."""
    if not run.has("map") or run.missing("map"):
        return None
    tables = [
        table.select(["id", "x", "y"])
        for table in store(run, "map").read_each(range(run.shard_count))
    ]
    found = pa.concat_tables(tables)
    found = found.filter(pc.is_valid(found["x"]))
    return found if len(found) else None
