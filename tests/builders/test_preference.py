"""The demo's recipe from nothing to a release, and what the kind refuses."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import datasets
import pytest

from magpie_hub import pipeline, schema
from magpie_hub.errors import RecipeError
from magpie_hub.release import Release
from magpie_hub.rows.pool import RunPool
from magpie_hub.run import Run
from magpie_hub.run.rejections import rejections
from tests.builders.demo import demo, released
from tests.conftest import Silent

recipe = partial(demo, "preference")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    smaller = recipe(
        "rows=120", "shard_rows=60", "respond.answers=4", "configs.clear.splits.test=0.4"
    )
    return pipeline.run(smaller, tmp_path_factory.mktemp("preference") / "run", progress=Silent())


@pytest.fixture(scope="module")
def release(run: Run) -> Release:
    return released(run)


def test_each_config_loads_with_pairs(release: Release, tmp_path: Path) -> None:
    for name in ("clear", "all"):
        loaded = datasets.load_dataset(str(release.path), name, cache_dir=str(tmp_path))
        rows = [row for split in loaded.values() for row in split]
        assert len(rows) == release.manifest.configs[name].rows > 0
        for row in rows:
            [question], [chosen], [rejected] = (row[n] for n in ("prompt", "chosen", "rejected"))
            assert question["role"] == "user"
            assert chosen["role"] == rejected["role"] == "assistant"
            assert chosen["content"] != rejected["content"]
            assert row["chosen_score"] == max(row["scores"]) == row["reward"]
            assert row["margin"] == row["chosen_score"] - row["rejected_score"] > 0.5
            assert len(row["scores"]) == row["answers"] == 4
            assert name == "all" or row["margin"] >= 2
        assert "messages" not in loaded["train"].column_names


def test_what_is_no_pair_is_counted(run: Run, release: Release) -> None:
    pool = [row for table in RunPool(run).shards() for row in table.to_pylist()]
    counted = rejections(run)
    pairs = release.manifest.configs["all"].rows
    unpaired = ("identical answers", "equal scores", "margin", "one answer", "better one cut off")
    assert sum(counted.get(why, 0) for why in unpaired) == len(pool) - pairs
    assert sum(counted.values()) + pairs == run.info.rows


def test_the_card_tells_how_lengths_compare(release: Release) -> None:
    card = (release.path / "README.md").read_text(encoding="utf-8")
    assert "## Length balance" in card and "rejected, scored " in card
    manifest = json.loads((release.path / "manifest.json").read_text(encoding="utf-8"))
    made = {column["name"]: column["producer"] for column in manifest["columns"]}
    assert made["scores"]["model"] == "bundled:reward"
    assert set(schema.PAIR) <= set(made)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (("respond.answers=1",), r"respond.answers: a preference is between answers"),
        (("choose.by=vote",), "a preference is between answers"),
        (
            ("annotate={language: {}, judge: {passes: three}}",),
            r"needs `reward: \{model: \.\.\.\}`",
        ),
    ],
)
def test_a_recipe_that_gives_no_pairs_is_refused(overrides: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        pipeline.Plan(recipe(*overrides))
