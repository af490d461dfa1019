"""The demo's recipe from nothing to a release, and what the kind refuses."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import datasets
import pytest

from magpie_hub import pipeline, schema
from magpie_hub.builder import build
from magpie_hub.errors import RecipeError
from magpie_hub.release import Release
from magpie_hub.rows.pool import RunPool
from magpie_hub.run import Run
from tests.builders.demo import demo, released
from tests.conftest import Silent

recipe = partial(demo, "reasoning")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    smaller = recipe("rows=80", "shard_rows=40", "respond.answers=4")
    return pipeline.run(smaller, tmp_path_factory.mktemp("reasoning") / "run", progress=Silent())


@pytest.fixture(scope="module")
def release(run: Run) -> Release:
    return released(run)


def test_each_row_loads_with_its_thinking_apart(release: Release, tmp_path: Path) -> None:
    loaded = datasets.load_dataset(str(release.path), "all", cache_dir=str(tmp_path))["train"]
    assert loaded.features == datasets.Features.from_arrow_schema(
        schema.arrow_schema(loaded.column_names, thinking=True)
    )
    thought = 0
    for row in loaded:
        question, answer = row["messages"]
        assert question["thinking"] is None
        assert "<think>" not in answer["content"] and "</think>" not in answer["content"]
        thought += answer["thinking"] is not None
        assert (row["thinking_tokens"] > 0) == (answer["thinking"] is not None)
        assert row["thinking_tokens"] < row["response_tokens"]
        assert row["answers"] == 4
        if row["majority"] is not None:
            assert row["pass_rate"] in (0.25, 0.5, 0.75, 1.0)
    assert thought > 0.9 * len(loaded)
    assert {rate for rate in loaded["pass_rate"] if rate is not None} > {1.0}


def test_configs_are_cut_by_agreement(release: Release, tmp_path: Path) -> None:
    loaded = datasets.load_dataset(str(release.path), "agreed", cache_dir=str(tmp_path))["train"]
    assert len(loaded) and min(loaded["pass_rate"]) >= 0.6


def test_the_card_shows_thinking_and_says_what_agreement_is(release: Release) -> None:
    card = (release.path / "README.md").read_text(encoding="utf-8")
    assert "assistant, thinking" in card and "agreement, which is not proof" in card


def test_the_same_run_gives_answers_without_their_thinking(run: Run) -> None:
    out = run.path / "releases" / "0.9.0"
    release = build(RunPool(run), "0.9.0", out, kind="sft", report=lambda _: None)
    [entry] = [column for column in release.manifest.columns if column.name == "messages"]
    assert entry.type == str(schema.MESSAGES)


def test_a_recipe_without_thinking_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"respond\.thinking: .* answers need their thinking"):
        pipeline.Plan(recipe("respond.thinking=false"))
