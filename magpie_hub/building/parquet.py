"""The Parquet files of a release, as the Hub's viewer and a reader want them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from magpie_hub.errors import InvalidData
from magpie_hub.release import Release, SplitEntry, numbers
from magpie_hub.rows.cuts import Decided
from magpie_hub.validation.splits import Splits

GROUP_BYTES = 95 << 20
"""A row group holds at most this, uncompressed: the Hub's viewer wants less than 100 MB. Each costs
some 100 kB of changed chunks where a release gets one more column, so there are few."""
FILE_BYTES = 512 << 20
"""A Parquet file is closed once it holds this much, uncompressed."""
TAIL_BYTES = 4 << 20
"""A smaller file at the end of a split is written again with the new rows, so that many small
releases do not leave many small files."""

Ends = Mapping[tuple[str, str], Sequence[int]]
"""Where files end, by config and split: the number of the split's rows up to there."""


def ends_before(releases: Path, version: str) -> Ends:
    """Where the files end in the release before ``version`` in ``releases``: a split that only grew
    then has the same files again, and its new rows in new ones."""
    found = {numbers(each.version): each for each in Release.beside(releases)}
    below = [each for each in found if each < numbers(version)]
    if not below:
        return {}
    release = found[max(below)]
    return {
        (name, split): _ends(release, entry.files)
        for name, config in release.manifest.configs.items()
        for split, entry in config.splits.items()
    }


def _ends(release: Release, files: Sequence[str]) -> tuple[int, ...]:
    """Those of ``files`` that are not small; none where a file cannot be read."""
    ends, rows = [], 0
    for name in files:
        try:
            rows += pq.read_metadata(release.path / name).num_rows
        except (OSError, pa.ArrowInvalid):
            return ()
        if release.manifest.files[name].size >= TAIL_BYTES:
            ends.append(rows)
    return tuple(ends)


class ConfigWriter:
    """The files ``data/<name>/`` of one config under ``folder``: of each table added the rows that
    ``decided`` takes, each split by itself and in that order. Files end at ``ends`` too.

    ``close`` writes what waits, also where the work failed; after it ``splits`` describes the
    files. ``InvalidData`` where a split has no row, or two of them the same question."""

    def __init__(
        self, folder: Path, arrow: pa.Schema, decided: Decided, ends: Ends | None = None
    ) -> None:
        self.decided = decided
        cut = decided.cut
        arrow = pa.schema([arrow.field(name) for name in cut.columns])
        home = folder / "data" / cut.name
        self._splits = {
            name: _SplitWriter(home, name, arrow, (ends or {}).get((cut.name, name), ()))
            for name in decided.splits
        }
        self._folder = folder
        self._first = 0
        asks = {"messages", "prompt"} & set(arrow.names)
        self._apart = Splits() if len(self._splits) > 1 and asks else None

    def add(self, table: pa.Table) -> None:
        for split, rows in self.decided.take(table, self._first):
            self._splits[split].add(rows)
            if self._apart is not None:
                self._apart.add(split, rows)
        self._first += table.num_rows

    def close(self) -> None:
        for split in self._splits.values():
            split.close()

    def splits(self) -> Mapping[str, SplitEntry]:
        """Give the files their final names, which hold how many they are; to be called once."""
        if empty := [name for name, split in self._splits.items() if not split.rows]:
            raise InvalidData(self._why_empty(empty))
        if self._apart is not None:
            self._apart.raise_if_shared(self.decided.cut.name)
        return {name: split.finish(self._folder) for name, split in self._splits.items()}

    def _why_empty(self, empty: list[str]) -> str:
        name = self.decided.cut.name
        if len(empty) < len(self._splits):
            return (
                f"the split {empty[0]!r} of the config {name!r} is empty; raise its share, make "
                "more rows, or name the config anew where all its rows are released already."
            )
        bad = next((count for count in self.decided.funnel if not count.kept), None)
        if bad is None:
            return f"the config {name!r} is empty: there is no row to take."
        return (
            f"the config {name!r} is empty: its clause `{bad.clause}` kept none of the "
            f"{bad.before:,} rows that came to it; loosen it or make more rows."
        )


class _SplitWriter:
    """The files of one split. Rows wait in memory until they fill a row group of ``GROUP_BYTES``;
    a file ends at each of ``ends``, and behind them at ``FILE_BYTES``, so a pool that grew changes
    none of the files before."""

    def __init__(self, home: Path, name: str, arrow: pa.Schema, ends: Sequence[int]) -> None:
        self._home, self._name, self._schema, self._ends = home, name, arrow, list(ends)
        self._pending: list[pa.Table] = []
        self._parts: list[Path] = []
        self._open: pq.ParquetWriter | None = None
        self.rows = self._bytes = self._waiting = self._in_file = 0

    def add(self, table: pa.Table) -> None:
        first = self.rows
        self.rows += table.num_rows
        self._bytes += table.nbytes
        while self._ends and self._ends[0] <= self.rows:
            until = self._ends.pop(0) - first
            self._wait(table.slice(0, until))
            self.close()
            table, first = table.slice(until), first + until
        self._wait(table)

    def close(self) -> None:
        """End the file with the rows that wait."""
        self._flush()
        if self._open:
            self._open.close()
        self._open, self._in_file = None, 0

    def finish(self, folder: Path) -> SplitEntry:
        files = []
        for index, part in enumerate(self._parts):
            final = part.with_name(f"{self._name}-{index:05d}-of-{len(self._parts):05d}.parquet")
            part.rename(final)
            files.append(final.relative_to(folder).as_posix())
        return SplitEntry(rows=self.rows, num_bytes=self._bytes, files=tuple(files))

    def _wait(self, table: pa.Table) -> None:
        for piece in _pieces(table):
            if self._waiting + piece.nbytes > GROUP_BYTES:
                self._flush()
            self._pending.append(piece)
            self._waiting += piece.nbytes

    def _flush(self) -> None:
        """Write the rows that wait, as one row group."""
        if not self._pending:
            return
        group = pa.concat_tables(self._pending)
        self._in_file += self._waiting
        self._pending, self._waiting = [], 0
        if self._open is None:
            self._open = self._new_file()
        self._open.write_table(group, row_group_size=group.num_rows)
        if self._in_file >= FILE_BYTES and not self._ends:
            self.close()

    def _new_file(self) -> pq.ParquetWriter:
        part = self._home / f"{self._name}-{len(self._parts):05d}.part"
        part.parent.mkdir(parents=True, exist_ok=True)
        self._parts.append(part)
        # Of texts the least and the greatest say nothing, but they are long: not for lists.
        counted = [each.name for each in self._schema if not pa.types.is_nested(each.type)]
        return pq.ParquetWriter(
            str(part),
            self._schema,
            compression="zstd",
            compression_level=3,
            use_content_defined_chunking=True,
            write_page_index=True,
            write_statistics=counted,
        )


def _pieces(table: pa.Table) -> Iterator[pa.Table]:
    """Halves until each is small beside a row group, or a single row."""
    if table.nbytes <= GROUP_BYTES // 8 or table.num_rows <= 1:
        if table.num_rows:
            yield table
        return
    half = table.num_rows // 2
    yield from _pieces(table.slice(0, half))
    yield from _pieces(table.slice(half))
