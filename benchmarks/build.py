"""From a pool to a config's Parquet: ours, and filter, sort, select, to_parquet of `datasets`.

Both have the same rows in the same files, and must pick the same ones: a filter of five clauses,
and of what it keeps the 30 % with the longest answers. From Arrow files, which `datasets` maps into
memory, nothing else is measured; from Parquet, loading counts on both sides. Beside that stand, for
ours alone, a whole `build` (every row validated, the config `all`, the card), the same from a run's
folder, and the memory of a build of 4 M rows that are made as they are read.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from harness import Meter, Part, Side, alternate, digest, ratios, same
from report import arguments, finish, show, show_ratios
from rows import COLUMNS, Rows

from magpie_hub.builder import MagpieConfig, build, builder_class, write
from magpie_hub.recipe import ConfigSpec
from magpie_hub.release import Making, Producer, Provenance

ROWS, QUICK_ROWS, FEWER_ROWS, MANY_ROWS = 1_000_000, 80_000, 200_000, 4_000_000
SHARD = 10_000
SHARE = 0.3
WHERE = (
    "quality >= 'average' AND difficulty >= 'easy' AND reward > -12 AND finish_reason = 'stop' "
    "AND min_neighbor_distance > 0"
)
QUALITIES = ("average", "good", "excellent")
DIFFICULTIES = ("easy", "medium", "hard", "very hard")
ORDER = "response_tokens"


class FilePool:
    """Rows in ``.arrow`` streams or ``.parquet`` files, or made as they are read."""

    def __init__(self, source: Path | int, specs: Mapping[str, ConfigSpec]) -> None:
        self._source, self._specs = source, specs

    def columns(self) -> tuple[str, ...]:
        return COLUMNS

    def shards(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        names = list(COLUMNS if columns is None else columns)
        if isinstance(self._source, int):
            for table in Rows(self._source).batches():
                yield from _slices(table.select(names))
            return
        for file in sorted(self._source.iterdir()):
            if file.suffix == ".parquet":
                parquet = pq.ParquetFile(file)
                for group in range(parquet.num_row_groups):
                    yield parquet.read_row_group(group, columns=names).select(names)
            else:
                with pa.OSFile(str(file)) as stream:
                    for batch in pa.ipc.open_stream(stream):
                        yield pa.Table.from_batches([batch]).select(names)

    def provenance(self) -> Provenance:
        return Provenance(
            name="made", builder="sft", license=None, fingerprints={}, versions={}, slots=0,
            rejected={},
            made=(Making(stage="sample"), Making(stage="respond")),
        )  # fmt: skip

    def producers(self) -> dict[str, Producer]:
        return dict.fromkeys(COLUMNS, Producer(by="a rule"))

    def recipe_text(self) -> str:
        return ""

    def config_specs(self) -> Mapping[str, ConfigSpec]:
        return self._specs


def _slices(table: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, len(table), SHARD):
        yield table.slice(start, SHARD)


def spec(rows: int) -> ConfigSpec:
    return ConfigSpec(where=WHERE, rows=int(rows * SHARE), order=f"{ORDER} DESC")


def ours(meter: Meter, *, source: Path, rows: int) -> None:
    kind, wanted = builder_class("sft"), spec(rows)
    config = MagpieConfig("filtered", where=WHERE, rows=wanted.rows, order=wanted.order)
    pool = FilePool(source, {})
    for _ in meter.rounds():
        with tempfile.TemporaryDirectory() as out, meter.part() as part:
            cut = kind.plan(config, pool)
            decided = kind.decide(pool, [cut])
            writers = write(pool, kind, decided, Path(out), report=_nothing, check=False)
            files = writers["filtered"].splits()["train"].files
            _done(part, rows, [Path(out, file) for file in files])


def whole(meter: Meter, *, source: Path | int, rows: int) -> None:
    """A release: every row validated and in `all`, the config, the card."""
    pool = FilePool(source, {"filtered": spec(rows)})
    for _ in meter.rounds():
        with tempfile.TemporaryDirectory() as out, meter.part() as part:
            release = build(pool, "1.0.0", Path(out, "1.0.0"), kind="sft", report=_nothing)
            files = release.manifest.configs["filtered"].splits["train"].files
            _done(part, rows, [release.path / file for file in files])


def from_run(meter: Meter, *, source: Path, rows: int) -> None:
    from magpie_hub.building.pools import open_pool

    for _ in meter.rounds():
        with tempfile.TemporaryDirectory() as out, meter.part() as part:
            pool = open_pool([source])
            release = build(pool, "1.0.0", Path(out, "1.0.0"), kind="sft", report=_nothing)
            files = release.manifest.configs["filtered"].splits["train"].files
            _done(part, rows, [release.path / file for file in files])


def per_row(meter: Meter, *, source: Path, rows: int) -> None:
    """As people write it."""

    def keeps(row: dict[str, object]) -> bool:
        return (
            row["quality"] in QUALITIES
            and row["difficulty"] in DIFFICULTIES
            and row["reward"] is not None
            and row["reward"] > -12  # type: ignore[operator]
            and row["finish_reason"] == "stop"
            and row["min_neighbor_distance"] > 0  # type: ignore[operator]
        )

    _datasets(meter, source, rows, lambda data: data.filter(keeps))


def batched(meter: Meter, *, source: Path, rows: int) -> None:
    """With whole columns of a thousand rows each, and only those that it reads."""
    names = ["quality", "difficulty", "reward", "finish_reason", "min_neighbor_distance"]

    def keeps(*columns: list[object]) -> list[bool]:
        return [
            quality in QUALITIES
            and difficulty in DIFFICULTIES
            and reward is not None
            and reward > -12  # type: ignore[operator]
            and finish == "stop"
            and distance > 0  # type: ignore[operator]
            for quality, difficulty, reward, finish, distance in zip(*columns, strict=True)
        ]

    _datasets(
        meter, source, rows, lambda data: data.filter(keeps, batched=True, input_columns=names)
    )


def _datasets(meter: Meter, source: Path, rows: int, filtered: Callable[..., object]) -> None:
    import datasets

    datasets.disable_progress_bars()
    datasets.disable_caching()
    files = sorted(map(str, source.iterdir()))
    mapped = None
    if files[0].endswith(".arrow"):
        mapped = datasets.concatenate_datasets([datasets.Dataset.from_file(f) for f in files])
    for _ in meter.rounds():
        with tempfile.TemporaryDirectory() as out, meter.part() as part:
            data = mapped or datasets.load_dataset(
                "parquet", data_files=files, split="train", cache_dir=f"{out}/cache"
            )
            kept = filtered(data).sort(ORDER, reverse=True).select(range(int(rows * SHARE)))  # type: ignore[attr-defined]
            kept.to_parquet(f"{out}/filtered.parquet")
            _done(part, rows, [Path(out, "filtered.parquet")])


def _done(part: Part, rows: int, files: Sequence[Path]) -> None:
    part.work = rows
    part.digest = digest(
        name for file in files for name in pl.read_parquet(file, columns=["id"])["id"]
    )


def _nothing(_: str) -> None:
    pass


def make(folder: Path, rows: int) -> dict[str, Path]:
    """The same rows as Arrow streams and as Parquet."""
    made = Rows(rows)
    homes = {kind: folder / kind for kind in ("arrow", "parquet")}
    made.write(homes["parquet"])
    homes["arrow"].mkdir()
    for number, table in enumerate(made.batches()):
        file = homes["arrow"] / f"{number:05d}.arrow"
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, made.schema) as stream:
            for part in _slices(table):
                stream.write_table(part)
    return homes


def make_run(folder: Path, rows: int) -> Path:
    """The folder of a finished run, written through its own shards."""
    from magpie_hub.pipeline.plan import Plan
    from magpie_hub.recipe import Recipe
    from magpie_hub.run import Run
    from magpie_hub.run.stored import store

    text = f"""
name: made
model: bundled:chat
rows: {rows}
shard_rows: {SHARD}
annotate: {{judge: {{}}, reward: {{model: "bundled:reward"}}, text: {{}}, language: {{}}}}
configs:
  filtered:
    where: {WHERE.removesuffix(" AND min_neighbor_distance > 0")}
    rows: {int(rows * SHARE)}
    order: {ORDER} DESC
"""
    run = Run.start(recipe := Recipe.parse(text, name="made"), folder / "run", Plan(recipe).stages)
    tables = (part for table in Rows(rows).batches() for part in _slices(table))
    for shard, table in enumerate(tables):
        ids = pa.array([slot.id for slot in run.slots(shard)])
        said = table["messages"].combine_chunks().values.field("content")
        known = {
            "id": ids,
            "query": said.take(pa.array(range(0, len(said), 2))),
            "response": said.take(pa.array(range(1, len(said), 2))),
            "query_finish": pa.array(["stop"] * len(table)),
            "kept": pa.array([True] * len(table)),
        }
        for stage in run.info.stages:
            home = store(run, stage.name)
            columns = [
                known[each.name]
                if each.name in known
                else table[each.name].cast(each.type)
                if each.name in table.column_names
                else pa.nulls(len(table), each.type)
                for each in home.schema
            ]
            stored = pa.table(columns, schema=home.schema)
            home.write(shard, stored, run.coverage(stage.name, shard))
    return run.path


def main() -> None:
    given = arguments(__doc__)
    rows = QUICK_ROWS if given.quick else ROWS
    pairs = [("arrow", per_row, rows)]
    if not given.quick:
        pairs += [("arrow, columns", batched, FEWER_ROWS), ("parquet", per_row, FEWER_ROWS)]
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HF_HOME"] = folder
        homes = {
            each: make(Path(folder, str(each)), each) for each in {count for *_, count in pairs}
        }
        for name, theirs, count in pairs:
            given_to = {"source": homes[count][name.partition(",")[0]], "rows": count}
            sides = [
                Side(f"{side.__name__}, {name}, {count:,}", side, given_to)
                for side in (ours, theirs)
            ]
            runs += alternate(sides, rounds=1)
        if not given.quick:
            made = make_run(Path(folder), FEWER_ROWS)
            for name, side, source, count in (
                ("a whole build", whole, homes[rows]["arrow"], rows),
                ("a whole build, from a run", from_run, made, FEWER_ROWS),
                ("a whole build, 4 M", whole, MANY_ROWS, MANY_ROWS),
            ):
                runs += alternate([Side(name, side, {"source": source, "rows": count})], rounds=1)
    found = []
    for name, theirs, count in pairs:
        names = [f"{side.__name__}, {name}, {count:,}" for side in (ours, theirs)]
        if not same(runs, *names):
            raise SystemExit(f"the sides of {name} differ in the rows that they pick.")
        found.append(ratios(runs, *names))
    show_ratios("30 % of the rows as a config", "rows per CPU s", found)
    peaks = [(each.side, each.round, each.parts["all"].cpu, each.peak / 1e6) for each in runs]
    show("each run", ("side", "round", "CPU s", "peak MB"), peaks)
    finish(
        "build",
        ratio=found[0].median,
        ours={"rows per CPU s": found[0].ours},
        theirs={"rows per CPU s": found[0].theirs},
        runs=runs,
        libraries=("datasets", "polars", "pyarrow"),
        as_json=given.json,
    )


if __name__ == "__main__":
    main()
