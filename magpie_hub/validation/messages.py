"""The rules of conversations, over all messages of a column at once, and of the columns that count
what stands in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from magpie_hub.validation.texts import Rows

Found: TypeAlias = tuple[str, Rows, Sequence[object]]
"""A rule, the rows that break it and, for each, what it holds."""
_Marks: TypeAlias = npt.NDArray[np.bool_]

COLUMNS = ("messages", "prompt", "chosen", "rejected")
_SPEAKERS = pa.array(["user", "assistant", "system"])
_USER, _ASSISTANT, _SYSTEM = range(3)
_SINGLE = ("chosen", "rejected")


@dataclass(frozen=True)
class Talk:
    """The messages of a column one behind the other: row ``r`` has ``lengths[r]`` of them, from
    ``starts[r]`` on."""

    name: str
    lengths: Rows
    messages: pa.StructArray
    empty: _Marks

    @classmethod
    def of(cls, batch: pa.RecordBatch, name: str) -> Talk:
        """A column of a pair may be null where the whole conversation stands beside it: of the
        answers to a question none may have been worse."""
        column = batch.column(name)
        lengths = _integers(pc.list_value_length(column), 0)
        empty = lengths == 0
        if name != "messages" and "messages" in batch.schema.names:
            empty &= _flags(column.is_valid())
        return cls(name, lengths, pc.list_flatten(column), empty)

    @cached_property
    def starts(self) -> Rows:
        return np.cumsum(self.lengths) - self.lengths

    @cached_property
    def row(self) -> Rows:
        """Of each message."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    @cached_property
    def speaker(self) -> Rows:
        """Of each message: its place in ``_SPEAKERS``, -1 for another."""
        return _integers(pc.index_in(self.field("role"), value_set=_SPEAKERS), -1)

    @cached_property
    def led(self) -> Rows:
        """1 for rows that open with the system's message, 0 for others."""
        led = np.zeros(len(self.lengths), dtype=np.int64)
        some = np.flatnonzero(self.lengths)
        led[some] = self.speaker[self.starts[some]] == _SYSTEM
        return led

    @cached_property
    def said(self) -> Rows:
        """Messages behind the system's."""
        return self.lengths - self.led

    @cached_property
    def users(self) -> Rows:
        """Messages of the user."""
        return np.bincount(self.row[self.speaker == _USER], minlength=len(self.lengths))

    @cached_property
    def contents(self) -> pa.StringArray:
        return self.field("content")

    def field(self, name: str) -> pa.StringArray:
        return pc.struct_field(self.messages, name)

    def breaches(self) -> Iterator[Found]:
        name = self.name
        empty = np.flatnonzero(self.empty)
        yield f"{name} is not empty", empty, [None] * len(empty)
        yield from self._single() if name in _SINGLE else self._alternating()
        yield self._at(f"{name} have content", _blank(self.contents, null=True), self.contents)
        if "thinking" not in (field.name for field in self.messages.type):
            return
        thinking = self.field("thinking")
        if thinking.null_count < len(thinking):
            hollow = _blank(thinking, null=False)
            yield self._at(f"{name} have no empty thinking", hollow, thinking)
            strange = _flags(thinking.is_valid()) & (self.speaker != _ASSISTANT)
            yield self._at(f"{name} have thinking in answers alone", strange, thinking)

    def _alternating(self) -> Iterator[Found]:
        roles = self.field("role")
        place = np.arange(len(self.row)) - np.repeat(self.starts + self.led, self.lengths)
        odd = self.speaker != np.where(place < 0, _SYSTEM, place % 2)
        yield self._at(f"{self.name} alternate user and assistant", odd, roles)
        asks = self.name == "prompt"
        ending = "the user's query" if asks else "the assistant's answer"
        closed = (self.said > 0) & (self.said % 2 == asks)
        unended = np.flatnonzero((self.lengths > 0) & ~closed)
        last = (self.starts + self.lengths - 1)[unended]
        yield f"{self.name} end with {ending}", unended, _taken(roles, last)

    def _single(self) -> Iterator[Found]:
        some = np.flatnonzero(self.lengths)
        lone = (self.lengths[some] == 1) & (self.speaker[self.starts[some]] == _ASSISTANT)
        bad = some[~lone]
        roles = self.field("role")
        values = [
            roles.slice(start, length).to_pylist()
            for start, length in zip(self.starts[bad], self.lengths[bad], strict=True)
        ]
        yield f"{self.name} is one answer of the assistant", bad, values

    def _at(self, rule: str, bad: _Marks, shown: pa.Array) -> Found:
        """By row what is marked by message, of several the first."""
        marked = np.flatnonzero(bad)
        rows, first = np.unique(self.row[marked], return_index=True)
        return rule, rows, _taken(shown, marked[first])


def breaches(batch: pa.RecordBatch) -> Iterator[Found]:
    """Those of every conversation in the batch. What counts or compares messages is looked at where
    they keep to their own rules, so that one fault is one breach."""
    names = batch.schema.names
    talks = {name: Talk.of(batch, name) for name in COLUMNS if name in names}
    sound = np.ones(len(batch), dtype=np.bool_)
    for talk in talks.values():
        for found in talk.breaches():
            sound[found[1]] = False
            yield found
    if "chosen" in talks and "rejected" in talks:
        yield _alike(talks["chosen"], talks["rejected"], sound)
    if whole := talks.get("messages") or talks.get("prompt"):
        if "turns" in names:
            turns = batch.column("turns")
            counted = _integers(turns, 0)
            bad = np.flatnonzero(sound & (counted > 0) & (counted != whole.users))
            yield "turns is the number of the user's messages", bad, _taken(turns, bad)
        if "turn_labels" in names:
            counted = _integers(pc.list_value_length(batch.column("turn_labels")), -1)
            bad = np.flatnonzero(sound & (counted >= 0) & (counted != whole.users))
            values = [f"{counted[row]} for {whole.users[row]} turns" for row in bad]
            yield "turn_labels has a label for each turn", bad, values
    if "messages" in talks:
        yield from _characters(batch, talks["messages"], sound)


def _alike(chosen: Talk, rejected: Talk, sound: _Marks) -> Found:
    rows = np.flatnonzero(sound & (chosen.lengths > 0) & (rejected.lengths > 0))
    ours, theirs = (t.contents.take(pa.array(t.starts[rows])) for t in (chosen, rejected))
    same = np.flatnonzero(_flags(pc.equal(ours, theirs)))
    return "chosen and rejected differ", rows[same], _taken(ours, same)


def _characters(batch: pa.RecordBatch, talk: Talk, sound: _Marks) -> Iterator[Found]:
    """Of the first question and the last answer. White space at their ends may count or not."""
    rows = np.flatnonzero(sound)
    lengths = pl.Series(talk.contents, dtype=pl.String).str.len_chars().to_numpy()
    first, last = (talk.starts + talk.led)[rows], (talk.starts + talk.lengths - 1)[rows]
    for name, message in (("query_chars", first), ("response_chars", last)):
        if name not in batch.schema.names:
            continue
        counts = _integers(batch.column(name), 0)[rows]
        off = np.flatnonzero((counts > 0) & (counts != lengths[message]))
        texts = _taken(talk.contents, message[off])
        bad = [
            (row, count)
            for row, count, text in zip(rows[off], counts[off], texts, strict=True)
            if not len(str(text).strip()) <= count <= len(str(text))
        ]
        yield (
            f"{name} is the length of its text",
            np.array([row for row, _ in bad], dtype=np.int64),
            [int(count) for _, count in bad],
        )


def _blank(texts: pa.StringArray, *, null: bool) -> _Marks:
    """``null``: what is marked in place of a null."""
    return _flags(
        pc.fill_null(pc.or_(pc.utf8_is_space(texts), pc.equal(pc.binary_length(texts), 0)), null)
    )


def _taken(values: pa.Array, places: Rows) -> list[object]:
    found: list[object] = values.take(pa.array(places)).to_pylist() if len(places) else []
    return found


def _integers(values: pa.Array, null: int) -> Rows:
    return np.asarray(pc.fill_null(values, null), dtype=np.int64)


def _flags(values: pa.Array) -> _Marks:
    return np.asarray(values, dtype=np.bool_)
