from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from magpie_hub import template
from magpie_hub.engines import Completion
from magpie_hub.models import Model
from magpie_hub.recipe.steps import Answering
from magpie_hub.run import Run
from magpie_hub.run.answered import kept
from magpie_hub.run.stored import store
from magpie_hub.stages import Source
from magpie_hub.stages.respond import answering
from tests.templates.catalog import entries


def test_the_kept_queries_and_no_others_are_answered(small_run: Run) -> None:
    for shard in range(small_run.shard_count):
        answers = store(small_run, "respond").read(shard)
        assert answers["id"].to_pylist() == [name for name, _ in kept(small_run, shard)]
        for row in answers.to_pylist():
            assert row["finish_reason"] in ("stop", "length")
            assert row["response_tokens"] > 0
            assert row["response"] == row["response"].strip()
            assert row["responder"] == "bundled:chat"


def thinker() -> Source:
    name = "qwen3_5_think"
    chat = template.derive(next(e for e in entries() if e.name == name).tokenizer())
    return Source(Model("a/thinker", Path("."), "0" * 40), chat)


def played(source: Source, script: list[list[str]], **keywords: int) -> tuple[dict[str, Any], list]:
    """What the row comes to where the model says ``script``, one list a wave of requests; a text
    that ends in … is cut off."""
    settings = Answering(temperature=1.0, max_tokens=100)
    steps = answering(source, settings, (1, 2, 3), "key", **keywords)
    waves = [next(steps)]
    ids = source.template.renderer.ids
    while True:
        said = script[len(waves) - 1]
        assert len(said) == len(waves[-1])
        completions = [
            Completion(
                request, ids(text.removesuffix("…")), "length" if text[-1] == "…" else "stop"
            )
            for request, text in zip(waves[-1], said, strict=True)
        ]
        try:
            waves.append(steps.send(completions))
        except StopIteration as end:
            return end.value, waves


def test_several_answers_are_asked_for_at_once_each_with_its_seed() -> None:
    row, [wave] = played(thinker(), [["Hm.\n</think>\n\nA.", "Hm.\n</think>\n\nB."]], count=2)
    assert row["response"] == "A." and [each["response"] for each in row["others"]] == ["B."]
    assert len({request.seed for request in wave}) == 2
    assert {request.prompt for request in wave} == {(1, 2, 3)}


def test_thinking_is_ended_at_its_budget() -> None:
    source = thinker()
    script = [["Hm.\n</think>\n\nA.", "Well, well…", "Well.\n</think>\n\nIt…"], ["B.", " is C."]]
    row, waves = played(source, script, count=3, budget=10)
    assert [r["response"] for r in (row, *row["others"])] == ["A.", "B.", "It is C."]
    assert [r["thinking"] for r in (row, *row["others"])] == ["Hm.", "Well, well", "Well."]
    assert [r["finish_reason"] for r in (row, *row["others"])] == ["stop"] * 3
    assert [request.decoding.max_tokens for request in waves[0]] == [10] * 3
    # The one that was still thinking goes on behind the end of it, the other where it was.
    ids = source.template.renderer.ids
    thinking, answering_ = waves[1]
    assert thinking.prompt == (1, 2, 3, *ids("Well, well"), *ids("\n</think>\n\n"))
    assert answering_.prompt == (1, 2, 3, *ids("Well.\n</think>\n\nIt"))
    assert thinking.decoding.max_tokens == 100 - (len(thinking.prompt) - 3)
    assert len({request.seed for wave in waves for request in wave}) == 5


def test_a_failed_answer_fails_the_row() -> None:
    source = thinker()
    steps = answering(source, Answering(temperature=1.0), (1,), "key", count=2, budget=5)
    one, other = next(steps)
    with pytest.raises(StopIteration) as end:
        steps.send([Completion(one, (5,), "length"), Completion(other, (), "error", error="gone")])
    assert end.value.value == {"error": "gone"}
