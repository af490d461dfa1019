"""Bytes that a new version of a release adds to the Hub, by hf_xet's own count; ours and naive.

A release (the config `all`, and a filter of five clauses) is built, and then its next version: with
5 % more rows, with one more column, with another card alone. The files of the first go into an
empty store of hf_xet, a folder here, then those of the second: what was not deduplicated is new,
and so is each small file that differs, since the Hub keeps those whole. All is said as a share of
the first version's bytes; of the new column, its own compressed bytes are taken off.

The naive releases hold the same rows: as pyarrow writes them (one file, snappy, no content-defined
chunks), in order or shuffled with one seed as data sets mostly are; and as `datasets` writes them.
"""

from __future__ import annotations

import hashlib
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from build import SHARD, WHERE, FilePool
from harness import Meter, Run, Side, alternate
from report import arguments, finish, show
from rows import Rows

from magpie_hub.builder import build
from magpie_hub.filters import Filter
from magpie_hub.recipe import ConfigSpec
from magpie_hub.release import Producer
from magpie_hub.rows.cuts import kept

ROWS, QUICK_ROWS, ROUNDS = 200_000, 80_000, 3
GROWTH = 0.05
COLUMN = "reward_difference"
TARGETS = {"rows": 0.06, "column": 0.005, "card": 0.001}
NEIGHBORS = "rows, and neighbours counted anew"
LARGE = (".parquet", ".png")
"""What the Hub keeps by chunks; of other files it keeps each version whole."""

Write = Callable[[Sequence[pa.Table], Path, str], None]


class GivenPool(FilePool):
    """The rows of tables."""

    def __init__(self, tables: Sequence[pa.Table]) -> None:
        super().__init__(0, {"filtered": ConfigSpec(where=WHERE)})
        self._tables = tables

    def columns(self) -> tuple[str, ...]:
        return tuple(self._tables[0].column_names)

    def shards(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        for table in self._tables:
            yield table if columns is None else table.select(columns)

    def producers(self) -> dict[str, Producer]:
        return dict.fromkeys(self.columns(), Producer(by="a rule"))


def ours(tables: Sequence[pa.Table], folder: Path, version: str) -> None:
    build(
        GivenPool(tables), version, folder / version, kind="sft", report=lambda _: None,
        any_version=True,
    )  # fmt: skip


def rewritten(tables: Sequence[pa.Table], folder: Path, version: str) -> None:
    for file, table in _configs(tables, folder / version):
        pq.write_table(table, file)


def shuffled(tables: Sequence[pa.Table], folder: Path, version: str) -> None:
    for file, table in _configs(tables, folder / version):
        order = np.random.default_rng(42).permutation(len(table))
        pq.write_table(table.take(pa.array(order)), file)


def by_datasets(tables: Sequence[pa.Table], folder: Path, version: str) -> None:
    import datasets

    datasets.disable_progress_bars()
    for file, table in _configs(tables, folder / version):
        datasets.Dataset(table).to_parquet(str(file))


def _configs(tables: Sequence[pa.Table], folder: Path) -> Iterator[tuple[Path, pa.Table]]:
    whole = pa.concat_tables(tables)
    where = Filter.parse(WHERE, whole.column_names)
    keep, _ = kept(whole, where)
    for name, table in (("all", whole), ("filtered", whole.filter(keep.to_arrow()))):
        (folder / "data" / name).mkdir(parents=True)
        yield folder / "data" / name / "train.parquet", table.combine_chunks()


LAYOUTS: dict[str, Write] = {
    "ours": ours,
    "one file, snappy, shuffled": shuffled,
    "one file, snappy, in order": rewritten,
    "as `datasets` writes, in order": by_datasets,
}


def side(meter: Meter, *, layout: str, rows: int, all_cases: bool) -> None:
    """``facts``: per case the share of the first version's bytes that was newly stored."""
    write = LAYOUTS[layout]
    for number in meter.rounds():
        grown = round(rows * (1 + GROWTH))
        every = _tables(Rows(grown, seed=number))
        less = [table.drop_columns(COLUMN) for table in every]
        first = _first(less, rows)
        cases = {"rows": less, "column": _first(every, rows)}
        if all_cases:
            cases |= {"card": first, NEIGHBORS: _recounted(less, rows)}
        with tempfile.TemporaryDirectory() as folder, meter.part() as part:
            write(first, Path(folder), "1.0.0")
            for order, (name, tables) in enumerate(cases.items(), 1):
                version = f"1.0.{order}"
                write(tables, Path(folder), version)
                meter.facts[name] = _share_of_new(Path(folder), version, f"cas-{order}")
                shutil.rmtree(Path(folder, version))  # the next is built on the first alone
            part.work = rows
            meter.facts["MB"] = sum(_sizes(Path(folder, "1.0.0"))) / 1e6


def _tables(rows: Rows) -> list[pa.Table]:
    return [
        table.slice(start, SHARD)
        for table in rows.batches()
        for start in range(0, len(table), SHARD)
    ]


def _first(tables: Sequence[pa.Table], rows: int) -> list[pa.Table]:
    cut = [table.slice(0, max(rows - SHARD * i, 0)) for i, table in enumerate(tables)]
    return [table for table in cut if len(table)]


def _recounted(tables: Sequence[pa.Table], rows: int) -> list[pa.Table]:
    """Where each of the new rows is some old row's nearest."""
    draw = np.random.default_rng(0)
    made = []
    for table in tables:
        nearer = draw.random(len(table)) < GROWTH
        new = draw.integers(rows, round(rows * (1 + GROWTH)), len(table))
        distance = table["min_neighbor_distance"].to_numpy()
        ids = table["nearest_id"].to_numpy(zero_copy_only=False)
        columns = {
            "min_neighbor_distance": np.where(nearer, distance * 0.9, distance),
            "nearest_id": np.where(nearer, [f"made-{each:08d}" for each in new], ids),
        }
        for name, values in columns.items():
            at, kind = table.column_names.index(name), table.schema.field(name)
            table = table.set_column(at, kind, pa.array(values, kind.type))
        made.append(table)
    return made


def _share_of_new(folder: Path, version: str, store: str) -> float:
    import hf_xet

    session = hf_xet.XetSession()
    (folder / store).mkdir()
    for each in ("1.0.0", version):
        commit = session.new_upload_commit(endpoint=f"local://{folder / store}")
        for file in _files(folder / each):
            if file.suffix in LARGE:
                commit.start_upload_file(str(file))
        new = commit.wait_to_finish().dedup_metrics.new_bytes
    known = {_sum(file) for file in _files(folder / "1.0.0")}
    for file in _files(folder / version):
        if file.suffix not in LARGE and _sum(file) not in known:
            new += file.stat().st_size
        elif file.suffix == ".parquet":
            new -= _bytes_of(COLUMN, file)
    return new / sum(_sizes(folder / "1.0.0"))


def _bytes_of(column: str, file: Path) -> int:
    found = pq.read_metadata(file)
    groups = [found.row_group(number) for number in range(found.num_row_groups)]
    return sum(
        group.column(number).total_compressed_size
        for group in groups
        for number in range(group.num_columns)
        if group.column(number).path_in_schema == column
    )


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _sizes(folder: Path) -> list[int]:
    return [file.stat().st_size for file in _files(folder)]


def _sum(file: Path) -> bytes:
    return hashlib.sha256(file.read_bytes()).digest()


def main() -> None:
    given = arguments(__doc__)
    rows = QUICK_ROWS if given.quick else ROWS
    layouts = list(LAYOUTS)[:2] if given.quick else list(LAYOUTS)
    settings = {"rows": rows, "all_cases": not given.quick}
    sides = [Side(name, side, {"layout": name, **settings}) for name in layouts]
    runs = alternate(sides, rounds=1 if given.quick else ROUNDS)
    cases = [name for name in runs[0].facts if name != "MB"]
    found = {name: {case: _spread(runs, name, case) for case in cases} for name in layouts}
    table = [
        (case, *(_percent(found[name][case]) for name in layouts), _target(case)) for case in cases
    ]
    title = f"newly stored, of the bytes of {rows:,} rows ({runs[0].facts['MB']:.0f} MB)"
    show(title, ("what", *layouts, "target"), table)
    mine, theirs = (
        {case: statistics.median(found[name][case]) for case in ("rows", "column")}
        for name in layouts[:2]
    )
    finish(
        "bytes",
        ratio=theirs["rows"] / mine["rows"],
        ours=mine,
        theirs=theirs,
        runs=runs,
        libraries=("datasets", "hf-xet", "pyarrow"),
        as_json=given.json,
    )


def _spread(runs: Sequence[Run], name: str, case: str) -> list[float]:
    return [run.facts[case] for run in runs if run.side == name]


def _percent(shares: Sequence[float]) -> str:
    """The median, and the least and the greatest where there are several."""
    text = f"{statistics.median(shares):.2%}"
    return text if len(shares) == 1 else f"{text} ({min(shares):.2%} to {max(shares):.2%})"


def _target(case: str) -> str:
    return f"≤ {TARGETS[case]:.1%}" if case in TARGETS else ""


if __name__ == "__main__":
    main()
