"""What every published row keeps to, checked by whole columns.

``Validator`` takes the tables of a pool one after the other; only ids are remembered from table to
table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from magpie_hub.validation import columns, messages
from magpie_hub.validation.report import NO_CONTROLS, BadRow, Report, Validation, excerpt
from magpie_hub.validation.texts import Rows, Texts, control_characters, not_utf8

__all__ = ["SCHEMA", "UNIQUE", "BadRow", "Validation", "Validator", "validate"]

SCHEMA = "the table has the columns and types of the schema"
UNIQUE = "id is unique"


class Validator:
    """Checks one table of the pool after the other; ``result`` closes with what spans them.
    ``report``: the file that gets every bad row, where there is one."""

    def __init__(self, arrow: pa.Schema, report: Path | None = None) -> None:
        self._schema = arrow
        self._flat = [name for name in arrow.names if name not in messages.COLUMNS]
        self._rules = tuple(columns.rules(self._flat))
        self._ids: list[pa.Array] = []
        self._lengths: list[int] = []
        self._report = Report(report)

    @property
    def ok(self) -> bool:
        """No breach so far; ids are compared across tables only by ``result``."""
        return not self._report.counts

    def check(self, table: pa.Table) -> None:
        shard, start = len(self._lengths), 0
        self._lengths.append(table.num_rows)
        if not table.schema.equals(self._schema):
            difference = _schema_difference(table.schema, self._schema)
            self._report.add([BadRow(shard, 0, None, SCHEMA, difference)])
            self._ids.append(pa.nulls(table.num_rows, pa.binary()))
            return
        ids = [pa.array([], pa.binary())]
        for batch in table.combine_chunks().to_batches():
            numbers = np.arange(start, start + len(batch))
            self._report.add(self._check(batch, shard, numbers))
            start += len(batch)
            there = "id" in self._flat
            ids.append(
                batch.column("id").cast(pa.binary()) if there else pa.nulls(len(batch), pa.binary())
            )
        self._ids.append(pa.concat_arrays(ids))  # a copy, which does not hold on to the table

    def result(self) -> Validation:
        self._report.add(self._repeated())
        return self._report.close(sum(self._lengths))

    def _check(self, batch: pa.RecordBatch, shard: int, numbers: Rows) -> Iterator[BadRow]:
        """``numbers``: those of the batch's rows in the table. A row that is not UTF-8 is looked at
        no further."""
        texts = Texts.of(batch)
        if strange := not_utf8(texts):
            names = _ids(batch, np.array(list(strange)))
            for (row, (name, said)), id in zip(strange.items(), names, strict=True):
                yield BadRow(shard, int(numbers[row]), id, f"{name} is valid UTF-8", said)
            rest = np.setdiff1d(np.arange(len(batch)), list(strange))
            yield from self._check(batch.take(pa.array(rest)), shard, numbers[rest])
            return
        for rule, rows, excerpts in self._found(batch, texts):
            for row, id, said in zip(rows, _ids(batch, rows), excerpts, strict=True):
                yield BadRow(shard, int(numbers[row]), id, rule, said)

    def _found(
        self, batch: pa.RecordBatch, texts: Sequence[Texts]
    ) -> Iterator[tuple[str, Rows, Sequence[str]]]:
        frame = pl.from_arrow(batch.select(self._flat))
        assert isinstance(frame, pl.DataFrame)
        marks = frame.select_seq(rule.bad.alias(rule.sentence) for rule in self._rules)
        for rule, mark in zip(self._rules, marks, strict=True):
            if mark.any():
                rows = np.flatnonzero(mark.fill_null(False).to_numpy())
                shown = batch.select(rule.shows).take(pa.array(rows)).to_pylist()
                yield rule.sentence, rows, [_shown(row) for row in shown]
        for sentence, rows, values in messages.breaches(batch):
            yield sentence, rows, [excerpt(value) for value in values]
        for name, rows, excerpts in control_characters(texts):
            yield f"{name} {NO_CONTROLS}", rows, excerpts

    def _repeated(self) -> Iterator[BadRow]:
        """Rows whose id stands on a row before. Ids are compared by their 64-bit hash, and where
        two agree, themselves."""
        ids = pl.Series(pa.chunked_array(self._ids, pa.binary()), dtype=pl.Binary)
        hashes = ids.hash()
        if hashes.n_unique() == len(ids):
            return
        suspects = pl.DataFrame({"id": ids, "place": np.arange(len(ids))}).filter(
            hashes.is_duplicated() & ids.is_not_null()
        )
        starts = np.cumsum([0, *self._lengths])

        def stands(place: int) -> tuple[int, int]:
            shard = int(np.searchsorted(starts, place, side="right")) - 1
            return shard, place - int(starts[shard])

        firsts: dict[bytes, int] = {}
        for name, place in suspects.iter_rows():
            first = firsts.setdefault(name, place)
            if first != place:
                shard, row = stands(first)
                before = f"that of shard {shard}, row {row}"
                yield BadRow(*stands(place), _text(name), UNIQUE, before)


def validate(
    tables: Iterable[pa.Table], arrow: pa.Schema, report: Path | None = None
) -> Validation:
    validator = Validator(arrow, report)
    for table in tables:
        validator.check(table)
    return validator.result()


def _ids(batch: pa.RecordBatch, rows: Rows) -> list[str | None]:
    if "id" not in batch.schema.names or not len(rows):
        return [None] * len(rows)
    ids = batch.column("id").take(pa.array(rows)).cast(pa.binary())
    return [None if raw is None else _text(raw) for raw in ids.to_pylist()]


def _text(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")


def _shown(values: Mapping[str, object]) -> str:
    if len(values) == 1:
        return excerpt(next(iter(values.values())))
    return ", ".join(f"{name} {excerpt(value)}" for name, value in values.items())


def _schema_difference(found: pa.Schema, expected: pa.Schema) -> str:
    for name in expected.names:
        if name not in found.names:
            return f"no column {name}"
        if (is_type := found.field(name).type) != expected.field(name).type:
            return f"{name} as {is_type} instead of {expected.field(name).type}"
    if extra := [name for name in found.names if name not in expected.names]:
        return f"an unknown column {extra[0]}"
    return "the columns in another order, twice, or not nullable"
