"""The rows of local files, some at a time: JSON, a line or an array, and Parquet.

What is in memory is a batch, whatever the size of the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from magpie_hub.errors import InvalidData, UsageError
from magpie_hub.evidence.sources.shapes import fits_type, fits_value, read_value

JSON_LINES, JSON, PARQUET = (".jsonl", ".ndjson"), (".json",), (".parquet",)
SUFFIXES = (*JSON_LINES, *JSON, *PARQUET)
BATCH = 4096
"""Rows at a time."""
_PEEKED = 1000
"""Rows of a JSON file that say which columns it has."""
_CHUNK = 1 << 20
_BETWEEN = re.compile(r"[\s\[\],]*")
Row = dict[str, Any]
Columns = Mapping[str, pl.DataType]


class Table(Protocol):
    """Rows with named columns; ``columns`` says of which type they are, for people."""

    @property
    def columns(self) -> Mapping[str, str]: ...
    def fits(self, name: str, kind: pl.DataType) -> bool: ...
    def batches(self, wanted: Columns) -> Iterator[pl.DataFrame]: ...


@dataclass(frozen=True)
class ArrowTable:
    """Tables of one schema, whoever reads them: ``read(columns)`` gives them in order."""

    schema: pa.Schema
    read: Any

    @property
    def columns(self) -> dict[str, str]:
        return {field.name: _plain(str(field.type)) for field in self.schema}

    def fits(self, name: str, kind: pl.DataType) -> bool:
        if name not in self.schema.names:
            return False
        empty = pl.from_arrow(self.schema.empty_table().select([name]))
        assert isinstance(empty, pl.DataFrame)
        return fits_type(empty.schema[name], kind)

    def batches(self, wanted: Columns) -> Iterator[pl.DataFrame]:
        for table in self.read(list(wanted)):
            frame = pl.from_arrow(table.select(list(wanted)))
            assert isinstance(frame, pl.DataFrame)
            yield frame


class JsonTable:
    """The objects of JSON files, one after the other; the first rows say which columns there
    are."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files
        self._peeked = list(islice(self._rows(), _PEEKED))
        self._names = list(dict.fromkeys(name for row in self._peeked for name in row))

    @property
    def columns(self) -> dict[str, str]:
        return {name: _described(self._values(name)) for name in self._names}

    def fits(self, name: str, kind: pl.DataType) -> bool:
        values = [value for value in self._values(name) if value is not None]
        return bool(values) and all(fits_value(value, kind) for value in values)

    def batches(self, wanted: Columns) -> Iterator[pl.DataFrame]:
        rows = self._rows()
        while some := list(islice(rows, BATCH)):
            yield pl.DataFrame(
                {
                    name: pl.Series([read_value(row.get(name), kind) for row in some], dtype=kind)
                    for name, kind in wanted.items()
                }
            )

    def _values(self, name: str) -> list[Any]:
        return [row.get(name) for row in self._peeked]

    def _rows(self) -> Iterator[Row]:
        return chain.from_iterable(map(_objects, self._files))


def open_files(place: Path) -> Table:
    """A file, or the files of a folder and of those in it, of one kind. ``UsageError`` where there
    are none, or of two kinds; ``InvalidData`` where one cannot be read."""
    files = _found(place)
    suffixes = {file.suffix for file in files}
    if suffixes <= {*PARQUET}:
        return parquet(files)
    if suffixes <= {*JSON_LINES, *JSON}:
        return JsonTable(files)
    raise UsageError(
        f"{place} holds files of several kinds ({', '.join(sorted(suffixes))}); name one."
    )


def _found(place: Path) -> list[Path]:
    if place.is_file():
        files = [place] if place.suffix in SUFFIXES else []
    else:
        files = sorted(f for f in place.rglob("*") if f.suffix in SUFFIXES and f.is_file())
    if not files:
        raise UsageError(f"{place} holds no rows: give {', '.join(SUFFIXES)}, or a folder of them.")
    return files


def parquet(files: Sequence[Path]) -> ArrowTable:
    """Those files as one table; the first says which columns there are."""
    try:
        schema = pq.read_schema(files[0])
    except (OSError, pa.ArrowException) as error:
        raise InvalidData(f"{files[0]} cannot be read as Parquet: {_first(error)}.") from error
    return ArrowTable(schema, lambda columns: _tables(files, columns))


def _tables(files: Iterable[Path], columns: Sequence[str]) -> Iterator[pa.Table]:
    for file in files:
        try:
            with pq.ParquetFile(file, pre_buffer=False) as opened:  # else it keeps what it read
                for batch in opened.iter_batches(BATCH, columns=list(columns)):
                    yield pa.table(batch)
        except (OSError, pa.ArrowException) as error:
            raise InvalidData(f"{file} cannot be read as Parquet: {_first(error)}.") from error


def _objects(file: Path) -> Iterator[Row]:
    try:
        with file.open(encoding="utf-8-sig") as stream:
            lines = file.suffix in JSON_LINES
            for place, value in _lines(stream) if lines else _values(stream):
                if not isinstance(value, dict):
                    raise InvalidData(f"{file}, {place}: this is no object with columns.")
                yield value
    except json.JSONDecodeError as error:
        raise InvalidData(f"{file} is no JSON: {error.msg}, near {error.doc[:40]!r}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidData(f"{file} cannot be read: {_first(error)}.") from error


def _lines(stream: Iterable[str]) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(stream, 1):
        if line.strip():
            yield f"line {number}", json.loads(line)


def _values(stream: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """The items of an array, without the array; also values that follow one another."""
    decoder, text, at, ended, number = json.JSONDecoder(), "", 0, False, 0
    while True:
        at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]
        try:
            value, end = decoder.raw_decode(text, at)
            # What ends where the text ends may go on.
            whole = ended or end < len(text)
        except json.JSONDecodeError:
            if ended and at < len(text):
                raise
            whole = False
        if whole:
            yield f"row {number}", value
            at, number = end, number + 1
        elif ended:
            return
        else:
            left = text[at:]
            more = stream.read(max(_CHUNK, len(left)))
            text, at, ended = left + more, 0, not more


def _described(values: Iterable[Any]) -> str:
    """The type of the first value that is there, for people."""
    first = next((value for value in values if value is not None), None)
    if isinstance(first, list):
        return f"list of {_described(first)}"
    if isinstance(first, dict):
        return f"{{{', '.join(first)}}}"
    names = {str: "text", bool: "true or false", int: "number", float: "number"}
    return names.get(type(first), "null")


def _plain(kind: str) -> str:
    return kind.replace("large_string", "string").replace("string", "text")


def _first(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
