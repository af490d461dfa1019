"""How text is decoded: what a recipe says of it reaches the model, and tells two runs apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from magpie_hub import pipeline
from magpie_hub.engines import Decoding
from magpie_hub.pipeline.plan import Plan
from magpie_hub.recipe import Against, Extend, Respond
from magpie_hub.run import Run
from magpie_hub.run.stored import store
from magpie_hub.stages import Silent
from magpie_hub.stages.decoding import decoding, described
from tests.conftest import small

WRITING = {
    "sample": "sample",
    "respond": "respond",
    "ask-2": "extend",
    "baseline": "annotate.reward.against",
}
"""The stages that write, and where a recipe says how."""
TALK = ("builder=multi_turn", "extend.turns=2", "annotate.judge=null")
AGAINST = ("annotate.reward={model: 'bundled:reward', against: {model: 'bundled:chat'}}",)


def fingerprints(stage: str, *overrides: str) -> dict[str, str]:
    recipe = small(*(TALK if stage == "ask-2" else AGAINST), *overrides)
    return {each.name: each.fingerprint for each in Plan(recipe).stages}


@pytest.mark.parametrize("part", [Respond(), Extend(), Against(model="m")])
def test_no_penalty_is_not_spoken_of(part: Respond | Extend | Against) -> None:
    assert set(described(part)) == {"temperature", "top_p", "max_tokens"}
    other = part.model_copy(update={"repetition_penalty": 1.1})
    assert described(other)["repetition_penalty"] == "1.1"
    how = Decoding(part.temperature, part.top_p, 7, 1.1)
    assert decoding(other, 7) == how and decoding(part).max_tokens == part.max_tokens


@pytest.mark.parametrize("stage", WRITING)
@pytest.mark.parametrize("setting", ["repetition_penalty=1.1", "max_tokens=77", "top_p=0.5"])
def test_other_decoding_is_another_run(stage: str, setting: str) -> None:
    if stage == "sample" and setting.startswith("top_p"):
        setting = "grid=[{top_p: 0.5}]"
    before, after = fingerprints(stage), fingerprints(stage, f"{WRITING[stage]}.{setting}")
    assert before[stage] != after[stage]


def test_a_penalty_changes_queries_and_answers(small_run: Run, tmp_path: Path) -> None:
    recipe = small("rows=16", "sample.repetition_penalty=1.5")
    run = pipeline.run(recipe, tmp_path / "queries", progress=Silent(), until="sample")
    there = store(small_run, "sample").read(0)["query"].to_pylist()
    assert store(run, "sample").read(0)["query"].to_pylist() != there

    recipe = small("rows=16", "respond.repetition_penalty=1.5")
    run = pipeline.run(recipe, tmp_path / "answers", progress=Silent(), until="respond")
    assert store(run, "sample").read(0)["query"].to_pylist() == there
    answers = [store(each, "respond").read(0)["response"].to_pylist() for each in (run, small_run)]
    assert answers[0] != answers[1]
