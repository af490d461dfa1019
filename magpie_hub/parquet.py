"""The Parquet files of a release, as the Hub's viewer and a reader want them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from magpie_hub.errors import InvalidData
from magpie_hub.filters import Filter
from magpie_hub.release import ClauseCount, SplitEntry

SPLIT = "train"
GROUP_BYTES = 64 << 20
"""A row group holds at most this, uncompressed: the Hub's viewer wants less than 100 MB."""
FILE_BYTES = 512 << 20
"""A Parquet file is closed once it holds this much, uncompressed."""


def kept_rows(table: pa.Table, cut: Filter | None) -> tuple[pa.Table, tuple[ClauseCount, ...]]:
    """The rows that ``cut`` keeps, and what each of its clauses did; ``None`` keeps all."""
    if cut is None:
        return table, ()
    frame = pl.from_arrow(table.select(cut.columns))
    assert isinstance(frame, pl.DataFrame)
    keep, counts = cut.funnel(frame)
    return table.filter(keep.to_arrow()), counts


class ConfigWriter:
    """The files ``data/<name>/`` of one config under ``folder``: the rows of each table added that
    ``cut`` keeps, in that order.

    Rows wait in memory until they fill a row group of ``GROUP_BYTES``; a file ends at
    ``FILE_BYTES``, so a pool that grew changes none of the files before the last. ``funnel`` counts
    what each clause kept. ``close`` writes what waits, also where the work failed; after it
    ``split`` describes the files. ``InvalidData`` where no row was kept."""

    def __init__(
        self, folder: Path, name: str, arrow: pa.Schema, cut: Filter | None
    ) -> None:
        self._folder, self._name, self._filter = folder, name, cut
        self._schema = arrow
        self.funnel: tuple[ClauseCount, ...] = ()
        self._pending: list[pa.Table] = []
        self._parts: list[Path] = []
        self._open: pq.ParquetWriter | None = None
        self._rows = self._bytes = self._waiting = self._in_file = 0

    def add(self, table: pa.Table) -> None:
        table, counts = kept_rows(table, self._filter)
        self.funnel = _sum(self.funnel, counts)
        self._rows += table.num_rows
        self._bytes += table.nbytes
        self._pending.append(table)
        self._waiting += table.nbytes
        if self._waiting >= GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        self._flush()
        if self._open:
            self._open.close()
            self._open = None

    def split(self) -> SplitEntry:
        """Give the files their final names, which hold how many they are; to be called once."""
        if not self._rows:
            bad = next(count for count in self.funnel if not count.kept)
            raise InvalidData(
                f"the config {self._name!r} is empty: its clause `{bad.clause}` kept none of the "
                f"{bad.before:,} rows that came to it; loosen it or make more rows."
            )
        files = []
        for index, part in enumerate(self._parts):
            final = part.with_name(f"{SPLIT}-{index:05d}-of-{len(self._parts):05d}.parquet")
            part.rename(final)
            files.append(final.relative_to(self._folder).as_posix())
        return SplitEntry(rows=self._rows, num_bytes=self._bytes, files=tuple(files))

    def _flush(self) -> None:
        pending = pa.concat_tables(self._pending) if self._pending else None
        self._pending, self._waiting = [], 0
        for group in _groups(pending) if pending else ():
            if self._open is None:
                self._open = self._new_file()
            self._open.write_table(group, row_group_size=group.num_rows)
            self._in_file += group.nbytes
            if self._in_file >= FILE_BYTES:
                self._open.close()
                self._open, self._in_file = None, 0

    def _new_file(self) -> pq.ParquetWriter:
        part = self._folder / "data" / self._name / f"{len(self._parts):05d}.part"
        part.parent.mkdir(parents=True, exist_ok=True)
        self._parts.append(part)
        return pq.ParquetWriter(
            str(part),
            self._schema,
            compression="zstd",
            compression_level=3,
            use_content_defined_chunking=True,
            write_page_index=True,
        )


def _sum(left: tuple[ClauseCount, ...], right: tuple[ClauseCount, ...]) -> tuple[ClauseCount, ...]:
    """The funnel of two tables together; the first one may have seen none yet."""
    if not left:
        return right
    return tuple(
        ClauseCount(clause=a.clause, before=a.before + b.before, kept=a.kept + b.kept)
        for a, b in zip(left, right, strict=True)
    )


def _groups(table: pa.Table) -> Iterator[pa.Table]:
    """Halves until each is small enough, or a single row."""
    if table.nbytes <= GROUP_BYTES or table.num_rows <= 1:
        if table.num_rows:
            yield table
        return
    half = table.num_rows // 2
    yield from _groups(table.slice(0, half))
    yield from _groups(table.slice(half))
