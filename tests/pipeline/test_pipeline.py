import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from datasets import load_dataset

from magpie_hub import pipeline
from magpie_hub.builder import build
from magpie_hub.engines import EngineSpec
from magpie_hub.errors import DamagedShard, RecipeError, RunMismatch, UsageError
from magpie_hub.rows.pool import RunPool
from magpie_hub.run import Run
from magpie_hub.run.rejections import rejections
from magpie_hub.run.status import status
from magpie_hub.run.stored import store
from tests.conftest import Silent, shard_bytes, small

STAGES = ["sample", "language", "judge", "screen", "respond", "reward"]


def run_small(out: Path, *overrides: str, until: str = "annotate") -> tuple[Run, Silent]:
    progress = Silent()
    return pipeline.run(small(*overrides), out, progress=progress, until=until), progress


def test_a_finished_run_has_every_stage_and_does_nothing_again(small_run: Run) -> None:
    assert [stage.name for stage in small_run.info.stages] == STAGES
    now = status(small_run)
    assert now.finished
    assert sum(now.rejected.values()) + sum(len(t) for t in RunPool(small_run).shards()) == now.rows
    before = shard_bytes(small_run.path)
    _, progress = run_small(small_run.path)
    assert (progress.stages, progress.tokens) == ([], 0)
    assert shard_bytes(small_run.path) == before


def test_the_pool_has_one_schema_and_slot_order(small_run: Run) -> None:
    tables = list(RunPool(small_run).shards())
    assert len({table.schema for table in tables}) == 1
    ids = [name for table in tables for name in table["id"].to_pylist()]
    assert ids == sorted(ids)
    assert tables[0].schema.names == list(RunPool(small_run).columns())
    row = tables[0].to_pylist()[0]
    assert [message["role"] for message in row["messages"]] == ["user", "assistant"]
    assert row["quality"] is not None and row["reward"] is not None


def test_stopping_after_each_stage_ends_with_the_same_bytes(small_run: Run, tmp_path: Path) -> None:
    for until in pipeline.STAGES:
        run, _ = run_small(tmp_path / "run", until=until)
    assert shard_bytes(run.path) == shard_bytes(small_run.path)


def test_a_lost_shard_is_made_again_and_no_other(small_run: Run, tmp_path: Path) -> None:
    run, _ = run_small(tmp_path / "run", until="sample")
    store(run, "sample").path(1).unlink()
    _, progress = run_small(tmp_path / "run")
    assert sorted(progress.stages) == sorted(STAGES)
    assert shard_bytes(run.path) == shard_bytes(small_run.path)


def test_a_damaged_shard_is_refused_with_its_name(tmp_path: Path) -> None:
    run, _ = run_small(tmp_path / "run", until="screen")
    path = store(run, "judge").path(2)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DamagedShard, match=r"judge/00002\.arrow is damaged; delete it"):
        run_small(tmp_path / "run")


def test_more_rows_leave_the_old_ones_as_they_were(small_run: Run, tmp_path: Path) -> None:
    run_small(tmp_path / "run", "rows=32")
    run, _ = run_small(tmp_path / "run")
    grown, whole = list(RunPool(run).shards()), list(RunPool(small_run).shards())
    assert [table["id"] for table in grown] == [table["id"] for table in whole]
    assert grown[0].equals(whole[0])


def test_a_new_gate_screens_again_and_samples_and_judges_nothing(tmp_path: Path) -> None:
    strict, _ = run_small(tmp_path / "run", "screen.where=quality >= 'good'")
    few = sum(len(table) for table in RunPool(strict).shards())
    kept = {row["id"]: row for table in RunPool(strict).shards() for row in table.to_pylist()}
    turned_away = rejections(strict)["quality >= 'good'"]
    loose, progress = run_small(tmp_path / "run", "screen.where=quality >= 'very poor'")
    assert progress.stages == ["screen", "respond", "reward"]
    rows = {row["id"]: row for table in RunPool(loose).shards() for row in table.to_pylist()}
    assert len(rows) > few
    assert {name: rows[name] for name in kept} == kept
    assert turned_away > rejections(loose).get("quality >= 'very poor'", 0)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("model=./nothing", "--set model: there is no folder ./nothing"),
        ("annotate.reward.model=bundled:x", "--set annotate.reward.model: there is no bundled"),
        ("builder=sfd", "--set builder: there is no builder 'sfd'; did you mean 'sft'"),
        ("configs.filtered.where=qualty = 'good'", "--set configs.filtered.where"),
        ("configs.filtered.where=quality = 'god'", "did you mean 'good'"),
        ("screen.where=reward > 0", "--set screen.where"),
        ("template.override={prefix: '<|im_start|>usr'}", "small.yaml, line 3, model: "),
        ("annotate={judge: {}}", "small.yaml, line 10, screen.languages: to screen by language"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    tmp_path: Path, override: str, sentence: str
) -> None:
    with pytest.raises(RecipeError) as raised:
        run_small(tmp_path / "run", override)
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ({"engine": EngineSpec("vlmm")}, "no engine 'vlmm'"),
        ({"until": "smaple"}, "no stage 'smaple'"),
    ],
)
def test_names_that_are_not_there(tmp_path: Path, keywords: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        pipeline.run(small(), tmp_path / "run", progress=Silent(), **keywords)


def test_a_folder_of_another_recipe_is_refused(small_run: Run) -> None:
    before = shard_bytes(small_run.path)
    with pytest.raises(RunMismatch, match=r"sample: max_tokens: 80 there, 20 here"):
        run_small(small_run.path, "sample.max_tokens=20")
    assert shard_bytes(small_run.path) == before


def test_an_unfinished_run_builds_nothing(tmp_path: Path) -> None:
    run, _ = run_small(tmp_path / "run", until="screen")
    with pytest.raises(UsageError, match="is not finished: respond has 3 of 3 shards to do"):
        RunPool(run)


def test_a_release_of_a_run_loads_with_typed_rows(small_run: Run, tmp_path: Path) -> None:
    release = build(RunPool(small_run), "1.0.0", tmp_path / "1.0.0", kind="sft", report=[].append)
    release.check()
    everything = load_dataset(str(release.path), "all", cache_dir=str(tmp_path / "cache"))["train"]
    filtered = load_dataset(str(release.path), "filtered", cache_dir=str(tmp_path / "cache"))[
        "train"
    ]
    assert len(everything) == release.manifest.configs["all"].rows
    assert 0 < len(filtered) < len(everything)
    assert everything.column_names == list(RunPool(small_run).columns())
    assert {row["quality"] for row in filtered} <= {"average", "good", "excellent"}
    assert everything.features["reward"].dtype == "float64"


def test_an_override_that_is_the_derived_prefix_changes_nothing(
    small_run: Run, tmp_path: Path
) -> None:
    override = 'template.override={prefix: "<|im_start|>user\\n"}'
    run, _ = run_small(tmp_path / "run", override, until="sample")
    queries = [store(each, "sample").read(0)["query"] for each in (run, small_run)]
    assert queries[0] == queries[1]


def test_a_query_without_an_answer_is_counted_and_not_published(
    small_run: Run, tmp_path: Path
) -> None:
    run = Run.open(shutil.copytree(small_run.path, tmp_path / "run"))
    answers = store(run, "respond").read(0)
    texts = ["", *answers["response"].to_pylist()[1:]]
    place = answers.schema.get_field_index("response")
    answers = answers.set_column(place, "response", pa.array(texts, pa.string()))
    store(run, "respond").write(0, answers, run.coverage("respond", 0))
    assert rejections(run)["no answer"] == 1
    before, after = (sum(map(len, RunPool(each).shards())) for each in (small_run, run))
    assert after == before - 1
