"""Releases written from handwritten rows, and read back by the real ``datasets``."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from magpie_hub import schema
from magpie_hub.builder import build, builder_class, kinds, load_builder
from magpie_hub.building import kind, parquet
from magpie_hub.errors import InvalidData, RecipeError, StorageError, UsageError
from magpie_hub.release import Release
from tests.builders.pool import COLUMNS, WRITTEN, HandPool, Spec, row

LOADS = """
import json, pathlib, sys
from datasets import get_dataset_config_names, load_dataset
card = pathlib.Path(sys.argv[1], "README.md").read_text()
exec(card.split("```python")[1].split("```")[0].replace("ORG/handmade", sys.argv[1]))
loaded = {name: load_dataset(sys.argv[1], name) for name in ("filtered", "all")}
default = load_dataset(sys.argv[1], split="train")
print(json.dumps({
    "configs": get_dataset_config_names(sys.argv[1]),
    "rows": {name: data["train"].num_rows for name, data in loaded.items()},
    "default": default.num_rows,
    "first": loaded["all"]["train"][0],
    "features": {name: repr(data["train"].features) for name, data in loaded.items()},
    "streamed": len(list(load_dataset(sys.argv[1], "filtered", streaming=True)["train"])),
}))
"""


def made(pool: HandPool, out: Path, version: str = "1.0.0") -> Release:
    return build(pool, version, out, kind="sft", report=lambda line: None)


def left(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))


def test_load_dataset_gives_typed_rows(tmp_path: Path) -> None:
    release = made(HandPool(), tmp_path / "run" / "releases" / "1.0.0")
    home = str(tmp_path / "home")
    environment = {**os.environ, "HF_HOME": home, "HF_HUB_OFFLINE": "1"}
    environment.pop("HF_DATASETS_CACHE", None)
    done = subprocess.run(
        [sys.executable, "-c", LOADS, str(release.path)],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    seen = json.loads(done.stdout)
    counts = {name: config.rows for name, config in release.manifest.configs.items()}
    features = datasets.Features.from_arrow_schema(schema.arrow_schema(COLUMNS))
    assert seen["configs"] == ["filtered", "all"]
    assert seen["rows"] == counts == {"filtered": 12, "all": 24}
    assert seen["default"] == seen["streamed"] == 12
    assert seen["first"] == row(0)
    assert set(seen["features"].values()) == {repr(features)}


def test_files_of_a_release(tmp_path: Path) -> None:
    release = made(HandPool(), tmp_path / "a run [1] of *" / "1.0.0")
    release.check()
    there = {p.relative_to(release.path).as_posix() for p in left(release.path) if p.is_file()}
    assert there == {*release.manifest.files, "manifest.json"}
    assert {"README.md", "CHANGELOG.md", "recipe.yaml"} < there
    assert (release.path / "recipe.yaml").read_text() == HandPool().recipe_text()
    assert release.manifest.columns[0].producer == HandPool().producers()["id"]
    funnel = release.manifest.configs["filtered"].funnel
    assert [(c.before, c.kept) for c in funnel] == [(24, 15), (15, 15), (15, 12)]
    assert [c.alone for c in funnel] == [9, 9, 3]


def test_parquet_as_the_hub_wants_it(tmp_path: Path) -> None:
    release = made(HandPool(), tmp_path / "1.0.0")
    file = pq.ParquetFile(release.path / "data/all/train-00000-of-00001.parquet")
    column = file.metadata.row_group(0).column(0)
    assert file.schema_arrow.equals(schema.arrow_schema(COLUMNS))
    assert column.compression == "ZSTD" and column.has_offset_index
    assert b"pandas" not in (file.metadata.metadata or {})
    assert file.read()["id"].to_pylist() == [r["id"] for r in HandPool().rows]


def test_builds_of_the_same_rows_are_the_same_bytes(tmp_path: Path) -> None:
    one, two = (made(HandPool(), tmp_path / name / "1.0.0") for name in "ab")
    created = {"created": one.manifest.created}
    assert two.manifest.model_copy(update=created) == one.manifest


def test_large_configs_are_cut_and_only_grow_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "GROUP_BYTES", 4_000)
    monkeypatch.setattr(parquet, "FILE_BYTES", 12_000)
    pools = [HandPool(rows=[row(i) for i in range(n)]) for n in (300, 400)]
    old, new = (made(pool, tmp_path / str(len(pool.rows))) for pool in pools)
    for release, rows in ((old, 300), (new, 400)):
        files = release.manifest.configs["all"].splits["train"].files
        assert len(files) > 3 and files[0].endswith(f"train-00000-of-{len(files):05d}.parquet")
        parts = [pq.ParquetFile(release.path / file) for file in files]
        assert pa.concat_tables(p.read() for p in parts)["seed"].to_pylist() == list(range(rows))
        groups = [p.read_row_group(i) for p in parts for i in range(p.num_row_groups)]
        assert max(group.nbytes for group in groups) <= 4_000 and len(groups) < rows / 10
    sums = [
        [release.manifest.files[file].sha256 for file in config.splits["train"].files]
        for release in (old, new)
        for config in [release.manifest.configs["all"]]
    ]
    assert sums[0][:-1] == sums[1][: len(sums[0]) - 1]


def test_the_changelog_holds_the_versions_before(tmp_path: Path) -> None:
    made(HandPool(), tmp_path / "1.0.0")
    made(HandPool(), tmp_path / "1.10.0", "1.10.0")
    (tmp_path / "0.9.0").mkdir()
    (tmp_path / "0.9.0" / "manifest.json").write_text("damaged")
    release = made(HandPool(), tmp_path / "1.9.0", "1.9.0")
    log = (release.path / "CHANGELOG.md").read_text()
    assert [line.split()[1] for line in log.splitlines() if line[:3] == "## "] == ["1.9.0", "1.0.0"]
    assert "- `filtered`: 12 rows" in log


@pytest.mark.parametrize("version", ["1.0", "v1.0.0", "1.0.0-rc1", "01.0.0", "1.0.0\n", ""])
def test_versions_are_three_numbers(version: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="three numbers"):
        made(HandPool(), tmp_path / "x", version)


def test_a_release_never_changes(tmp_path: Path) -> None:
    made(HandPool(), tmp_path / "1.0.0")
    before = {path: path.stat().st_mtime_ns for path in left(tmp_path)}
    with pytest.raises(UsageError, match="choose a new version"):
        made(HandPool(), tmp_path / "1.0.0")
    assert {path: path.stat().st_mtime_ns for path in left(tmp_path)} == before


def bad_pools() -> Iterator[Any]:
    rows = [row(i) for i in range(24)]
    wrong = [*rows[:20], {**rows[20], "quality": "goood"}, *rows[21:]]
    twice = [*rows, rows[3]]
    never = {"none": Spec("language = 'en' AND category = 'Reasoning' AND reward > 0")}
    yield pytest.param(HandPool(rows=wrong), InvalidData, "shard 2, row 6.*'goood'", id="label")
    yield pytest.param(HandPool(rows=twice), InvalidData, "id is unique", id="id")
    yield pytest.param(HandPool(rows=[]), InvalidData, "no answered row", id="no rows")
    yield pytest.param(
        HandPool(specs=never), InvalidData,
        "'none' is empty: its clause `category = 'Reasoning'` kept none of the 18", id="empty",
    )  # fmt: skip
    for specs, error, says in (
        ({"x": Spec("qualty = 'good'")}, RecipeError, "did you mean 'quality'"),
        ({"all": Spec("reward > 0")}, RecipeError, "it has no filter"),
        ({"../x": Spec()}, RecipeError, "may hold only"),
        ({"x": Spec("")}, RecipeError, "cannot be read"),
    ):
        yield pytest.param(HandPool(specs=specs), error, says, id=str(specs))


@pytest.mark.parametrize(("pool", "error", "says"), list(bad_pools()))
def test_a_refused_build_leaves_nothing(
    pool: HandPool, error: type[Exception], says: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=says) as raised:
        made(pool, tmp_path / "1.0.0")
    report = tmp_path / "1.0.0.bad-rows.jsonl"
    assert left(tmp_path) == ([report] if str(report) in str(raised.value) else [])


def test_bad_rows_are_all_named_beside_the_release(tmp_path: Path) -> None:
    rows = [{**row(i), "quality": "goood"} if i > 20 else row(i) for i in range(24)]
    with pytest.raises(InvalidData, match=r"3 breaches in 24 rows.*1\.0\.0\.bad-rows\.jsonl"):
        made(HandPool(rows=rows), tmp_path / "1.0.0")
    lines = (tmp_path / "1.0.0.bad-rows.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [row(i)["id"] for i in (21, 22, 23)]
    made(HandPool(), tmp_path / "1.0.0")
    assert [path.name for path in tmp_path.iterdir()] == ["1.0.0"]


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    class Stopped(HandPool):
        def shards(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
            yield from list(super().shards(columns))[:2]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(Stopped(), tmp_path / "1.0.0")
    assert left(tmp_path) == []


@pytest.mark.parametrize("limit", [0, 2_000, 20_000])
@pytest.mark.parametrize("group", [20_000, 64 << 20])
def test_a_full_disk_leaves_nothing(
    limit: int, group: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel refuses to let a file grow: what a quota or a full disk does, at the same call."""
    monkeypatch.setattr(parquet, "GROUP_BYTES", group)
    pool = HandPool(rows=[row(i) for i in range(4_000)], shard_rows=500)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(StorageError, match=os.strerror(errno.EFBIG)) as caught:
            made(pool, tmp_path / "1.0.0")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    assert left(tmp_path) == []


def test_what_a_killed_build_left_is_cleared(tmp_path: Path) -> None:
    remains = tmp_path / ".1.0.0.part" / "data"
    remains.mkdir(parents=True)
    (remains / "old").write_text("half")
    made(HandPool(), tmp_path / "1.0.0").check()
    assert [path.name for path in tmp_path.iterdir()] == ["1.0.0"]


def test_a_recipe_without_configs_gives_all(tmp_path: Path) -> None:
    release = made(HandPool(specs={}), tmp_path / "1.0.0")
    assert {n: c.default for n, c in release.manifest.configs.items()} == {"all": True}


def test_the_recipe_may_place_and_describe_all(tmp_path: Path) -> None:
    specs = {"all": Spec(description="mine"), "math": Spec("category = 'Math'")}
    configs = made(HandPool(specs=specs), tmp_path / "1.0.0").manifest.configs
    assert list(configs) == ["all", "math"] and configs["all"].default
    assert configs["all"].description == "mine"


def test_the_fewest_columns(tmp_path: Path) -> None:
    pool = HandPool(names=("id", "messages"), specs={})
    assert made(pool, tmp_path / "1.0.0").manifest.configs["all"].rows == 24
    with pytest.raises(InvalidData, match="lack the column `messages`"):
        made(HandPool(names=("id",), specs={}), tmp_path / "2.0.0", "2.0.0")


def test_builders_are_found_by_name() -> None:
    assert "sft" in kinds()
    assert builder_class("sft").__name__ == "Sft"
    with pytest.raises(RecipeError, match="no builder 'stf'; did you mean 'sft'"):
        builder_class("stf")
    with pytest.raises(RecipeError, match="no builder"):
        builder_class("../sft")


def test_as_a_datasets_builder(tmp_path: Path) -> None:
    cut = load_builder("sft", HandPool(), "filtered", cache_dir=str(tmp_path))
    cut.download_and_prepare()
    rows = cut.as_dataset(split="train")
    assert rows.features == datasets.Features.from_arrow_schema(schema.arrow_schema(COLUMNS))
    assert rows.num_rows == 12 and rows[0] == row(0)
    streamed = load_builder("sft", HandPool(), cache_dir=str(tmp_path)).as_streaming_dataset(
        "train"
    )
    assert list(streamed) == list(rows)
    with pytest.raises(RecipeError, match="no config 'filterd'; did you mean 'filtered'"):
        load_builder("sft", HandPool(), "filterd")


def test_no_stale_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another filter, order, fingerprint, number of rows, word, gap or builder source: another
    folder."""
    looser = {"filtered": Spec("reward > 0")}
    best = {"filtered": Spec("reward > 0", rows=3, order="reward DESC")}
    worst = {"filtered": Spec("reward > 0", rows=3, order="reward ASC")}
    word = [{**row(i), "model": "tiny/chat" if i != 5 else "tiny/chit"} for i in range(24)]
    gap = [{**row(i), "category": None if i == 5 else row(i)["category"]} for i in range(24)]
    pools = [
        HandPool(), HandPool(specs=looser), HandPool(specs=best), HandPool(specs=worst),
        HandPool(fingerprint="b2"), HandPool(rows=word),
        HandPool(rows=[row(i) for i in range(25)]), HandPool(rows=gap),
    ]  # fmt: skip
    folders = {load_builder("sft", pool, cache_dir=str(tmp_path)).cache_dir for pool in pools}
    assert len(folders) == len(pools)
    assert load_builder("sft", HandPool(), cache_dir=str(tmp_path)).cache_dir in folders
    monkeypatch.setattr(kind.inspect, "getsource", lambda module: "changed")
    assert load_builder("sft", HandPool(), cache_dir=str(tmp_path)).cache_dir not in folders


def test_build_after_load_builder(tmp_path: Path) -> None:
    """``datasets`` swaps path functions in a builder's module; writing a release is untouched."""
    load_builder("sft", HandPool(), cache_dir=str(tmp_path / "cache"))
    made(HandPool(), tmp_path / "1.0.0").check()


def test_what_is_picked_stands_in_the_order_of_slots(tmp_path: Path) -> None:
    specs = {"best": Spec("reward > 0", rows=7, order="reward DESC, seed DESC")}
    release = made(HandPool(specs=specs), tmp_path / "1.0.0")
    entry = release.manifest.configs["best"]
    rows = pq.read_table(release.path / entry.splits["train"].files[0]).to_pylist()
    liked = [each for each in HandPool().rows if (each["reward"] or 0) > 0]
    best = sorted(liked, key=lambda each: (-each["reward"], -each["seed"]))[:7]
    assert rows == sorted(best, key=lambda each: each["seed"])
    assert [c.clause for c in entry.funnel][-1] == "7 rows: the first by reward DESC, seed DESC"
    text = (release.path / "README.md").read_text()
    assert "| `reward > 0` | 24 | 15 | 9 | 9 |" in text
    assert "| `7 rows: the first by reward DESC, seed DESC` | 15 | 7 | 8 |  |" in text


def test_a_config_that_cannot_be_filled_says_how_many_there_are(tmp_path: Path) -> None:
    specs = {"best": Spec("reward > 0", rows=20, order="reward DESC")}
    says = "the config 'best' cannot be filled: it asks for 20 rows and there are 15; ask for"
    with pytest.raises(InvalidData, match=says):
        made(HandPool(specs=specs), tmp_path / "1.0.0")
    assert left(tmp_path) == []
    specs = {"best": Spec("reward > 0", rows=20, order="reward DESC", at_most=True)}
    assert made(HandPool(specs=specs), tmp_path / "1.0.0").manifest.configs["best"].rows == 15


def test_a_config_with_fewer_columns(tmp_path: Path) -> None:
    specs = {"bare": Spec("reward > 0", columns=("quality",)), "whole": Spec("reward > 0")}
    release = made(HandPool(specs=specs), tmp_path / "1.0.0")
    names = ("id", "messages", "quality")
    assert release.manifest.configs["bare"].columns == names
    assert release.manifest.configs["whole"].columns == ()
    for config, columns in (("bare", names), ("whole", COLUMNS)):
        data = datasets.load_dataset(str(release.path), config, cache_dir=str(tmp_path / "cache"))
        assert tuple(data["train"].column_names) == columns and data["train"].num_rows == 15
    built = load_builder("sft", HandPool(specs=specs), "bare", cache_dir=str(tmp_path / "cache"))
    assert tuple(built.info.features) == names
    text = (release.path / "README.md").read_text()
    assert "% are in English" not in text.split("## Limitations")[0]


def test_splits_of_a_datasets_builder_are_those_of_the_release(tmp_path: Path) -> None:
    specs = {"parts": Spec(splits={"test": 0.3, "dev": 0.2})}
    release = made(HandPool(specs=specs), tmp_path / "1.0.0")
    built = load_builder("sft", HandPool(specs=specs), "parts", cache_dir=str(tmp_path / "cache"))
    built.download_and_prepare()
    splits = release.manifest.configs["parts"].splits
    assert list(splits) == ["train", "dev", "test"]
    for name, entry in splits.items():
        ids = pq.read_table(release.path / entry.files[0])["id"].to_pylist()
        assert built.as_dataset(split=name)["id"][:] == ids
        streamed = built.as_streaming_dataset(split=name)
        assert [each["id"] for each in streamed] == ids


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    specs = {"parts": Spec(splits={"test": 0.0001})}
    with pytest.raises(InvalidData, match="split 'test' of the config 'parts' is empty; raise"):
        made(HandPool(specs=specs), tmp_path / "1.0.0")
    assert left(tmp_path) == []


def test_thinking_is_left_out_where_the_kind_has_no_place_for_it(tmp_path: Path) -> None:
    class Thoughtful(HandPool):
        def shards(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
            for table in super().shards(columns):
                if "messages" in table.column_names:
                    cast = table["messages"].cast(schema.THOUGHTFUL)
                    place = table.column_names.index("messages")
                    table = table.set_column(place, "messages", cast)
                yield table

    release = made(Thoughtful(), tmp_path / "1.0.0")
    file = pq.ParquetFile(release.path / "data/all/train-00000-of-00001.parquet")
    assert file.schema_arrow.field("messages").type == schema.MESSAGES


def test_the_same_question_in_two_splits_is_refused(tmp_path: Path) -> None:
    """What a model is tested on, word for word in its training."""
    twice = [
        row(index, ("What is 3 + 4?", f"It is {index}.", *WRITTEN[0][2:])) for index in range(24)
    ]
    specs = {"parts": Spec(splits={"test": 0.5})}
    with pytest.raises(InvalidData, match="'parts' has .* in several of its splits.*leave out"):
        made(HandPool(rows=twice, specs=specs), tmp_path / "1.0.0")
    assert left(tmp_path) == []
