"""What holds for every text, wherever in a row it stands: valid UTF-8 without control characters.

Of the characters that no one sees, those are errors that break readers of a published file: C0
except tab, line feed and carriage return. What deceives or merely is odd (bidirectional overrides,
C1, non-characters, tags) stands in honest texts too and is labelled, or dropped, by the annotator
``pii``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from magpie_hub.validation.report import excerpt

Rows = npt.NDArray[np.int64]
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_ALLOWED = (10, 9, 13)  # most frequent first
_BLOCK = 1 << 18


@dataclass(frozen=True)
class Texts:
    """The strings of a column, or of one field of what it holds, and the row of each."""

    column: str
    values: pa.StringArray
    rows: Rows

    @classmethod
    def of(cls, batch: pa.RecordBatch) -> list[Texts]:
        """All that a batch holds, however deep."""
        rows = np.arange(len(batch))
        columns = zip(batch.schema.names, batch.columns, strict=True)
        return [cls(name, *each) for name, column in columns for each in _within(column, rows)]


def not_utf8(texts: Sequence[Texts]) -> dict[int, tuple[str, str]]:
    """By row the column that is not UTF-8, and an excerpt."""
    found: dict[int, tuple[str, str]] = {}
    for each in texts:
        try:
            each.values.validate(full=True)
        except pa.ArrowInvalid:
            for row, raw in zip(each.rows, each.values.cast(pa.binary()), strict=True):
                try:
                    (raw.as_py() or b"").decode()
                except UnicodeDecodeError as error:
                    said = excerpt(error.object[error.start :])
                    found.setdefault(int(row), (each.column, said))
    return found


def control_characters(texts: Sequence[Texts]) -> Iterator[tuple[str, Rows, list[str]]]:
    """The columns that hold one, the rows, and an excerpt of each."""
    for each in texts:
        found: dict[int, str] = {}
        for place in _controlled(each.values):
            if text := each.values[place].as_py():  # what stands behind a null is read by no one
                match = _CONTROL.search(text)
                assert match
                found.setdefault(int(each.rows[place]), excerpt(text, match.start()))
        if found:
            yield each.column, np.array(list(found), dtype=np.int64), list(found.values())


def _within(array: pa.Array, rows: Rows) -> Iterator[tuple[pa.StringArray, Rows]]:
    if pa.types.is_string(array.type):
        yield array, rows
    elif pa.types.is_list(array.type):
        lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
        yield from _within(pc.list_flatten(array), np.repeat(rows, lengths))
    elif pa.types.is_struct(array.type):
        for place in range(array.type.num_fields):
            yield from _within(pc.struct_field(array, [place]), rows)


def _controlled(values: pa.StringArray) -> list[int]:
    """The places of the texts that hold one. The bytes of all are looked at together, in pieces
    that stay in the processor's cache: a regular expression a text takes eight times as long."""
    _, offsets, data = values.buffers()
    if not len(values) or data is None:
        return []
    ends = np.frombuffer(offsets, dtype=np.int32)[values.offset :][: len(values) + 1]
    used = np.frombuffer(data, dtype=np.uint8)[: ends[-1]]
    hits = []
    for start in range(ends[0], ends[-1], _BLOCK):
        block = used[start : start + _BLOCK]
        low = np.count_nonzero(block < 32)
        for allowed in _ALLOWED:
            if low:
                low -= np.count_nonzero(block == allowed)
        if low:
            places = np.flatnonzero(block < 32)
            hits.append(start + places[~np.isin(block[places], _ALLOWED)])
    if not hits:
        return []
    found = np.searchsorted(ends, np.concatenate(hits), side="right") - 1
    return [int(place) for place in np.unique(found)]
