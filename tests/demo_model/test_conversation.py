"""The corpus: the same for the same seed, varied follow-ups, judge targets within their labels."""

import json
from collections import Counter
from random import Random

import pytest

from demo_model import grammar, judge
from demo_model.conversation import build
from demo_model.followup import follow, is_follow_up
from demo_model.tables.frames import THANKS


def test_the_corpus_is_the_same_for_the_same_seed() -> None:
    assert build(300, seed=5) == build(300, seed=5)
    assert build(300, seed=5) != build(300, seed=6)


def test_no_query_starts_or_ends_with_space() -> None:
    for conversation in build(2000, seed=1):
        for query, answer in conversation.turns:
            assert query == query.strip() != ""
            assert answer != ""


def test_follow_ups_are_varied_and_readable() -> None:
    rng = Random(2)
    asked = [follow(grammar.sample(rng), rng=rng).query for _ in range(800)]
    assert all(is_follow_up(q) or grammar.parse(q) for q in asked)
    thanks = {query for query, _ in THANKS}
    assert sum(q in thanks for q in asked) / len(asked) < 0.1
    assert Counter(asked).most_common(1)[0][1] / len(asked) < 0.05


@pytest.mark.parametrize("kind", judge.KINDS)
def test_judge_targets_are_what_the_prompt_asks_for(kind: str) -> None:
    front_matter = (judge.PROMPTS / f"{kind}.md").read_text(encoding="utf-8").split("---\n")[1]
    keys = front_matter.partition("[")[2].partition("]")[0].split(", ")
    rng = Random(kind)
    for _ in range(300):
        turn = judge.subject(rng, kind=kind)
        verdict = json.loads(judge.target(kind, turn=turn))
        assert list(verdict) == keys
        assert verdict[kind] in judge.LABELS[kind]
        assert set(verdict.get("other_categories", [])) <= set(judge.LABELS["category"])
        if turn.quality == "very poor":
            assert grammar.parse(turn.query) is None


def test_the_judge_reads_the_package_s_own_prompts() -> None:
    text = judge.prompt("quality", query="Is {query} safe?")
    assert text.endswith("Is {query} safe?")
    assert not text.startswith("---")
