"""What every published row keeps to, checked by whole columns.

A rule is its sentence and the polars expression that marks the rows which break it. ``Validator``
takes the tables of a pool one after the other; only ids are remembered from table to table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from magpie_hub import schema
from magpie_hub.errors import InvalidData

FIRST = 20
"""Bad rows that a result shows; all of them are counted."""

SCHEMA = "the table has the columns and types of the schema"
UNIQUE = "id is unique"
_ROLES = ("user", "assistant")
_POSITIVE = ("query_tokens", "response_tokens", "turns")
_EXCERPT = 80


@dataclass(frozen=True)
class BadRow:
    """Where a rule was broken: the table's index in the pool, the row in it, and what it holds."""

    shard: int
    row: int
    rule: str
    excerpt: str


@dataclass(frozen=True)
class Validation:
    """The verdict: ``counts`` holds the number of breaches of each broken rule; ``first`` the
    first bad rows in the order of the pool."""

    rows: int
    counts: dict[str, int]
    first: tuple[BadRow, ...]

    @property
    def ok(self) -> bool:
        return not self.counts

    def raise_if_bad(self, report: Path | None = None) -> None:
        """``InvalidData`` with the count, the first place and where the full report lies."""
        if self.ok:
            return
        breaches, bad = sum(self.counts.values()), self.first[0]
        others = len(self.counts) - 1
        raise InvalidData(
            f"{breaches:,} breach{'es' * (breaches > 1)} in {self.rows:,} rows; the first is shard "
            f"{bad.shard}, row {bad.row}: {bad.rule}, but found {bad.excerpt}"
            + (f"; {others} more rule{'s' * (others > 1)} broken" if others else "")
            + (f"; the full report is {report}." if report else ".")
        )


class Validator:
    """Checks one table of the pool after the other; ``result`` closes with what spans them."""

    def __init__(self, arrow: pa.Schema) -> None:
        self._schema = arrow
        self._rules = tuple(_rules(self._schema.names))
        self._ids: list[pl.Series] = []
        self._lengths: list[int] = []
        self._counts: Counter[str] = Counter()
        self._first: list[BadRow] = []

    @property
    def ok(self) -> bool:
        """No breach so far; ids are compared across tables only by ``result``."""
        return not self._counts

    def check(self, table: pa.Table) -> None:
        shard = len(self._lengths)
        self._lengths.append(table.num_rows)
        if not table.schema.equals(self._schema):
            self._add(BadRow(shard, 0, SCHEMA, _schema_difference(table.schema, self._schema)), 1)
            return
        flat = [name for name in table.column_names if name != "messages"]
        frame = pl.from_arrow(table.select(flat))
        assert isinstance(frame, pl.DataFrame)
        marks = frame.select(bad.alias(rule) for rule, _, bad in self._rules)
        for rule, name, _ in self._rules:
            if marks[rule].any():
                self._note(shard, rule, marks[rule].arg_true().to_numpy(), frame[name])
        if "messages" in table.column_names:
            for rule, rows, values in _bad_messages(table.column("messages")):
                self._note(shard, rule, rows, values)
        if "id" in flat:
            self._ids.append(frame["id"].hash())

    def result(self) -> Validation:
        self._check_unique()
        first = sorted(self._first, key=lambda bad: (bad.shard, bad.row))
        return Validation(sum(self._lengths), dict(self._counts), tuple(first[:FIRST]))

    def _check_unique(self) -> None:
        """Ids by their 64-bit hash: 8 bytes a row. That two different ids share one is less likely
        than 1 in 10^6 at 4 M rows, and then says so instead of losing a row in silence."""
        if not self._ids:
            return
        ids = pl.concat(self._ids)
        if ids.n_unique() == len(ids):
            return
        repeated = (~ids.is_first_distinct()).arg_true().to_numpy()
        starts = np.cumsum([0, *self._lengths])
        for position in repeated[:FIRST]:
            shard = int(np.searchsorted(starts, position, side="right")) - 1
            row = int(position - starts[shard])
            self._first.append(BadRow(shard, row, UNIQUE, "an id that stands on a row before"))
        self._counts[UNIQUE] += len(repeated)

    def _note(
        self, shard: int, rule: str, rows: np.ndarray, values: pl.Series | Sequence[object]
    ) -> None:
        self._counts[rule] += len(rows)
        for position, row in enumerate(rows[:FIRST]):
            value = values[int(row)] if isinstance(values, pl.Series) else values[position]
            self._first.append(BadRow(shard, int(row), rule, _excerpt(value)))

    def _add(self, bad: BadRow, count: int) -> None:
        self._counts[bad.rule] += count
        self._first.append(bad)


def validate(tables: Iterable[pa.Table], arrow: pa.Schema) -> Validation:
    validator = Validator(arrow)
    for table in tables:
        validator.check(table)
    return validator.result()


def _rules(columns: list[str]) -> Iterator[tuple[str, str, pl.Expr]]:
    """The rule, its column, and what marks a row that breaks it. Null is allowed where an
    annotator may fail (labels, scores); not in what every row has."""
    for name in columns:
        column, value = schema.column(name), pl.col(name)
        if name == "id":
            yield "id is not empty", name, value.fill_null("").str.strip_chars() == ""
        if column.labels:
            yield f"{name} is one of its labels", name, ~value.is_in(column.labels)
        if name == "other_categories":
            known = pl.element().is_in(schema.CATEGORIES)
            yield f"{name} are categories", name, ~value.list.eval(known).list.all()
        if pa.types.is_floating(column.type):
            yield f"{name} is a finite number", name, ~value.is_finite()
        if name == "language":
            yield f"{name} is an ISO 639 code", name, ~value.str.contains(r"^[a-z]{2,3}$")
        if name == "finish_reason":
            ended = value.is_in(["stop", "length"]).fill_null(False)
            yield f"{name} is stop or length", name, ~ended
        if name in _POSITIVE:
            yield f"{name} is above 0", name, ~(value > 0).fill_null(False)


def _bad_messages(
    column: pa.ChunkedArray,
) -> Iterator[tuple[str, np.ndarray, Sequence[object]]]:
    """The rules of a conversation, over the flattened messages: (rule, rows, excerpts)."""
    lists = column.combine_chunks()
    if isinstance(lists, pa.ChunkedArray):  # pyarrow gives this for zero chunks
        lists = pa.concat_arrays(lists.chunks) if lists.num_chunks else pa.array([], column.type)
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    messages = pc.list_flatten(lists)
    row = np.repeat(np.arange(len(lengths)), lengths)
    place = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    role = pc.fill_null(pc.struct_field(messages, "role"), "")
    content = pc.fill_null(pc.struct_field(messages, "content"), "")

    expected = pa.array(_ROLES).take(pa.array(place % 2))
    odd = pc.not_equal(role, expected).to_numpy(zero_copy_only=False)
    blank = pc.equal(pc.utf8_trim_whitespace(content), "").to_numpy(zero_copy_only=False)

    empty = np.flatnonzero(lengths == 0)
    open_ended = np.flatnonzero(lengths % 2)
    if len(empty):
        yield "messages is not empty", empty, [None] * min(len(empty), FIRST)
    for rule, marks, values in (
        ("messages alternate user and assistant", odd, role),
        ("messages have content", blank, content),
    ):
        rows, where = np.unique(row[marks], return_index=True)
        if len(rows):
            places = np.flatnonzero(marks)[where[:FIRST]]
            yield rule, rows, values.take(pa.array(places)).to_pylist()
    if len(open_ended):
        last = pa.array(np.cumsum(lengths)[open_ended[:FIRST]] - 1)
        yield "messages end with the assistant's answer", open_ended, role.take(last).to_pylist()


def _schema_difference(found: pa.Schema, expected: pa.Schema) -> str:
    for name in expected.names:
        if name not in found.names:
            return f"no column {name}"
        if (is_type := found.field(name).type) != expected.field(name).type:
            return f"{name} as {is_type} instead of {expected.field(name).type}"
    if extra := [name for name in found.names if name not in expected.names]:
        return f"an unknown column {extra[0]}"
    return "the columns in another order, twice, or not nullable"


def _excerpt(value: object) -> str:
    if isinstance(value, pl.Series):
        value = value.to_list()
    text = "nothing" if value is None else ascii(value) if _unprintable(value) else repr(value)
    return text if len(text) <= _EXCERPT else text[: _EXCERPT - 1] + "…"


def _unprintable(value: object) -> bool:
    return isinstance(value, str) and not value.isprintable()
