"""The demo's recipe from nothing to a release; which rows the kind takes; what overlaps another."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import datasets
import pytest

from magpie_hub import pipeline, schema
from magpie_hub.annotate import turns
from magpie_hub.builder import build
from magpie_hub.errors import RecipeError
from magpie_hub.pipeline.plan import Plan
from magpie_hub.release import Provenance, Release
from magpie_hub.run.rejections import rejections
from magpie_hub.stages.endings import DRIFT, NOTHING
from tests.builders.demo import demo, released
from tests.builders.pool import COLUMNS, HandPool, row
from tests.conftest import Silent

recipe = partial(demo, "multi-turn")


@pytest.mark.slow
def test_the_demo_loads_with_its_turns_and_their_labels(tmp_path: Path) -> None:
    smaller = recipe("rows=16", "shard_rows=8", "configs.filtered.where=turns = 3")
    run = pipeline.run(smaller, tmp_path / "run", progress=Silent())
    release = released(run)
    loaded = datasets.load_dataset(str(release.path), "all", cache_dir=str(tmp_path))["train"]
    assert len(loaded) == release.manifest.configs["all"].rows >= 8
    for each in loaded:
        roles = [message["role"] for message in each["messages"]]
        assert roles == ["user", "assistant"] * each["turns"]
        assert 2 <= each["turns"] <= 3
        assert (each["ended"] is None) == (each["turns"] == 3)
        assert len(each["turn_labels"]) == each["turns"]
        first = {name: each[name] for name in turns.LABELS}
        assert each["turn_labels"][0] == first
        for labels in each["turn_labels"]:
            for name in turns.LABELS:
                assert labels[name] in schema.column(name).labels
        assert each["conversation_quality"] in schema.QUALITIES
    counted = rejections(run)
    assert sum(counted.values()) + len(loaded) == run.info.rows
    made = {column.name: column.producer for column in release.manifest.columns}
    assert made["turn_labels"].by == turns.STAGE and made["turn_labels"].prompt_sha256
    assert made["ended"].by == "ask-2"


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (("extend.turns=1",), r"extend\.turns: the kind is multi_turn.*set extend\.turns to 2"),
        (("respond.answers=2",), r"extend\.turns: a conversation goes on from one answer"),
        (("configs.filtered.where=conversation_quality = 'god'",), "did you mean 'good'"),
    ],
)
def test_a_recipe_that_gives_no_conversations_is_refused(
    overrides: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(RecipeError, match=sentence):
        Plan(recipe(*overrides))


def talking(index: int) -> dict[str, Any]:
    """Of one, two and three turns by turns."""
    made, count = row(index), 1 + index % 3
    ended = {1: NOTHING, 2: DRIFT, 3: None}[count]
    return made | {"messages": made["messages"] * count, "turns": count, "ended": ended}


class Talks(HandPool):
    def __init__(self, kind: str = "multi_turn", **more: Any) -> None:
        rows = [talking(index) for index in range(24)]
        super().__init__(rows, {}, names=schema.in_order([*COLUMNS, "ended"]), **more)
        self.kind = kind

    def provenance(self) -> Provenance:
        return super().provenance().model_copy(update={"builder": self.kind})


def built(pool: Talks, version: str, releases: Path) -> tuple[Release, list[str]]:
    said: list[str] = []
    folder = releases / version
    return build(pool, version, folder, kind=pool.kind, report=said.append), said


def readme(release: Release) -> str:
    return (release.path / "README.md").read_text(encoding="utf-8")


def test_only_what_goes_on_is_published_and_the_card_says_how_far(tmp_path: Path) -> None:
    release, _ = built(Talks(), "1.0.0", tmp_path)
    assert release.manifest.configs["all"].rows == 16
    table = readme(release).partition("## Turns")[2].partition("##")[0]
    assert "| 2 | 50.0 % |" in table and "| 3 | 50.0 % |" in table
    assert table.index("| 2 |") < table.index("| 3 |")
    assert f"| {DRIFT} | 100.0 % |" in table
    assert release.manifest.remarks == ()


@pytest.mark.parametrize(("first", "second"), [("sft", "multi_turn"), ("multi_turn", "sft")])
def test_questions_that_stand_in_another_release_are_told(
    first: str, second: str, tmp_path: Path
) -> None:
    built(Talks(first), "1.0.0", tmp_path)
    release, said = built(Talks(second), "1.1.0", tmp_path)
    [remark] = release.manifest.remarks
    assert remark.startswith("16 of the first questions are also in version 1.0.0, of the kind ")
    assert first in remark and remark in said
    assert "16 of the first questions are also in version 1.0.0" in readme(release)


def test_another_run_or_the_same_kind_is_no_overlap(tmp_path: Path) -> None:
    built(Talks("sft", fingerprint="b2"), "1.0.0", tmp_path)
    built(Talks(), "1.1.0", tmp_path)
    release, said = built(Talks(), "1.2.0", tmp_path)
    assert release.manifest.remarks == ()
    assert not any("first questions" in line for line in said)
