"""Whether what a model is tested on is hidden from its training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from magpie_hub.errors import InvalidData
from magpie_hub.validation.messages import Talk
from magpie_hub.words import normal_forms


@dataclass(frozen=True)
class Shared:
    """A row that opens with the words of another split's row."""

    split: str
    id: str
    other_split: str
    other_id: str


class Splits:
    """Takes the rows of each split, in any order, and finds conversations that stand on both sides:
    whose first question is the same but for case, white space and Unicode form.

    Questions are compared by 64 bits of hash: at 4 M rows two that differ share one with a chance
    of 1 in 10^6. 8 bytes a row are remembered, and the id."""

    def __init__(self) -> None:
        self._splits: list[str] = []
        self._hashes: list[pl.Series] = []
        self._ids: list[pa.Array] = []

    def add(self, split: str, table: pa.Table) -> None:
        """``table`` has ``id``, and ``messages`` or ``prompt``, with at least one question each."""
        name = "messages" if "messages" in table.column_names else "prompt"
        for batch in table.select(["id", name]).combine_chunks().to_batches():
            talk = Talk.of(batch, name)
            questions = pl.Series(talk.contents.take(pa.array(talk.starts + talk.led)))
            self._splits.append(split)
            self._hashes.append(normal_forms(questions).hash())
            nothing = pa.array([], pa.string())
            self._ids.append(pa.concat_arrays([nothing, batch.column("id")]))  # a copy

    def shared(self) -> list[Shared]:
        """Each row that shares its question with a row added before, of another split."""
        if len(set(self._splits)) < 2:
            return []
        lengths = [len(hashes) for hashes in self._hashes]
        names = list(dict.fromkeys(self._splits))
        numbers = np.repeat([names.index(split) for split in self._splits], lengths)
        rows = pl.DataFrame({"hash": pl.concat(self._hashes), "split": numbers}).with_row_index()
        first = pl.col("index").min().over("hash")
        both = (
            rows.filter(pl.col("hash").is_duplicated())
            .filter(pl.col("split").n_unique().over("hash") > 1)
            .with_columns(first=first)
        )
        of = dict(zip(both["index"], both["split"], strict=True))
        ids = pa.chunked_array(self._ids, pa.string())
        return [
            Shared(names[of[row]], ids[row].as_py(), names[of[before]], ids[before].as_py())
            for row, before in both.select("index", "first").iter_rows()
            if of[row] != of[before]
        ]

    def raise_if_shared(self, config: str) -> None:
        """``InvalidData`` with their number and the first."""
        shared = self.shared()
        if shared:
            one, rows = shared[0], len(shared)
            raise InvalidData(
                f"the config {config!r} has {rows:,} conversation{'s' * (rows > 1)} in several of "
                f"its splits: {one.id!r} in {one.split} opens as {one.other_id!r} in "
                f"{one.other_split} does; leave out the splits, or have repetitions turned away "
                "(screen.dedup, annotate.duplicates)."
            )
