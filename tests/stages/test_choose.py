from __future__ import annotations

from pathlib import Path

import pytest

from magpie_hub import pipeline
from magpie_hub.errors import RecipeError
from magpie_hub.recipe import Choose, Recipe
from magpie_hub.rows.pool import RunPool
from magpie_hub.run import Run
from magpie_hub.run.answered import Candidate, candidates, dialogues
from magpie_hub.run.rejections import rejections
from magpie_hub.run.stored import store
from magpie_hub.stages.choose import by_reward, by_vote
from tests.conftest import Silent, small

SEVERAL = ("respond.answers=3", "respond.temperature=1.5", "respond.max_tokens=60")


def said(*responses: str, finish: str = "stop") -> list[Candidate]:
    return [Candidate(each, None, finish, 1, None) for each in responses]


def test_the_best_and_the_worst_by_one_model() -> None:
    assert by_reward(said("a", "b", "c"), [[1.0, 3.0, -0.5]]) == {
        "chosen_place": 1,
        "chosen_score": 3.0,
        "rejected_place": 2,
        "rejected_score": -0.5,
        "margin": 3.5,
    }


def test_equal_scores_give_no_margin_and_the_first_is_chosen() -> None:
    found = by_reward(said("a", "b"), [[1.0, 1.0]])
    assert (found["chosen_place"], found["rejected_place"], found["margin"]) == (0, 1, 0.0)


@pytest.mark.parametrize(
    ("answers", "scores", "why"),
    [
        (said("a", "a", "a"), [[1.0, 2.0, 3.0]], "identical answers"),
        (said("a", "", ""), [[1.0, 2.0, 3.0]], "one answer"),
        (said("", ""), [[1.0, 2.0]], "no answer"),
        (said("a", "b"), [[1.0, 2.0], [5.0, 4.0]], "models disagree"),
        ([*said("a"), *said("b", finish="length")], [[1.0, 2.0]], "better one cut off"),
    ],
)
def test_why_there_are_no_two(
    answers: list[Candidate], scores: list[list[float]], why: str
) -> None:
    found = by_reward(answers, scores)
    assert found["unpaired"] == why and "rejected_place" not in found


def test_an_answer_that_was_cut_off_is_not_chosen_where_another_was_not() -> None:
    answers = [*said("cut", finish="length"), *said("whole", "poor")]
    assert by_reward(answers, [[9.0, 1.0, -1.0]])["chosen_place"] == 1


def test_several_models_vote_by_rank_whatever_their_scales_are() -> None:
    """The second model's numbers are a thousand times the first's, and its favourite loses."""
    found = by_reward(said("a", "b", "c"), [[3.0, 2.0, 1.0], [2000.0, 3000.0, 1000.0]])
    assert (found["chosen_place"], found["rejected_place"]) == (0, 2)
    assert found["chosen_score"] == 3.0


def test_the_vote_compares_values() -> None:
    answers = said("So it is 7.", "Thus 0.5", "The answer is 1/2.", "= 50/100", "I do not know")
    assert by_vote(answers, Choose()) == {
        "chosen_place": 1,
        "majority": "0.5",
        "pass_rate": 0.6,
    }


def test_nothing_to_compare_leaves_the_first_answer_there_is() -> None:
    assert by_vote(said("", "Roses are red", "Violets"), Choose()) == {"chosen_place": 1}
    assert by_vote(said("", ""), Choose()) == {"chosen_place": None}
    cut = said("It is 7", "It is 7", finish="length")
    assert by_vote(cut, Choose()) == {"chosen_place": 0}


def test_code_is_compared_by_what_it_prints_where_it_may_run() -> None:
    answers = said(
        "```python\nprint(sum(range(5)))\n```",
        "```python\nprint(2 * 5)\n```",
        "```python\nprint(1 / 0)\n```",
    )
    found = by_vote(answers, Choose(run_code=True))
    assert (found["chosen_place"], found["majority"]) == (0, "10")
    assert found["pass_rate"] == pytest.approx(2 / 3)


@pytest.fixture(scope="module")
def paired(tmp_path_factory: pytest.TempPathFactory) -> Run:
    recipe = small(*SEVERAL, "builder=preference", "choose.min_margin=0.25")
    return pipeline.run(recipe, tmp_path_factory.mktemp("pairs") / "run", progress=Silent())


def test_every_answered_query_has_its_answers_scores_and_choice(paired: Run) -> None:
    for shard in range(paired.shard_count):
        scores = {
            row["id"]: row["scores"] for row in store(paired, "reward").read(shard).to_pylist()
        }
        choices = {row["id"]: row for row in store(paired, "choose").read(shard).to_pylist()}
        for name, _, answers in candidates(paired, shard):
            assert len(answers) == len(scores[name]) == choices[name]["answers"] == 3
            expected = by_reward(answers, [scores[name]])
            assert {key: choices[name][key] for key in expected} == expected


def test_answers_differ_since_each_has_its_seed(paired: Run) -> None:
    rows = [answers for s in range(paired.shard_count) for _, _, answers in candidates(paired, s)]
    assert sum(len({each.response for each in answers}) > 1 for answers in rows) > len(rows) / 2


def test_the_pool_publishes_the_chosen_answer(paired: Run) -> None:
    pool = RunPool(paired)
    rows = {row["id"]: row for table in pool.shards() for row in table.to_pylist()}
    told = [row for s in range(paired.shard_count) for row in dialogues(paired, s)]
    assert [row.id for row in told] == list(rows)
    for each in told:
        row = rows[each.id]
        assert row["prompt"] + row["chosen"] == each.messages
        assert [(m["role"], m["content"]) for m in row["messages"]] == [
            (m["role"], m["content"]) for m in each.messages
        ]
        assert row["reward"] == row["chosen_score"] == max(row["scores"])
        if row["rejected"] is not None:
            assert row["rejected"] == [{"role": "assistant", "content": each.rejected}]
            assert row["margin"] == row["chosen_score"] - row["rejected_score"] > 0.25


def test_pairs_that_are_none_are_counted(paired: Run) -> None:
    whole = [row for table in RunPool(paired).shards() for row in table.to_pylist()]
    reasons = rejections(paired)
    told = ("identical answers", "one answer", "equal scores", "margin", "better one cut off")
    assert sum(reasons.get(why, 0) for why in told) == sum(r["rejected"] is None for r in whole)


def test_what_looks_at_answers_reads_the_rejected_one_too(tmp_path: Path) -> None:
    """An address in the worse answer must not be published."""
    recipe = small(*SEVERAL, "rows=16", "annotate.pii={action: keep}")
    run = pipeline.run(recipe, tmp_path / "run", progress=Silent())
    for row in dialogues(run, 0):
        assert row.rejected is None or row.rejected in row.texts
    assert store(run, "pii").read(0)["id"].to_pylist() == [row.id for row in dialogues(run, 0)]


def refused(*overrides: str) -> str:
    with pytest.raises(RecipeError) as caught:
        recipe = small(*overrides)
        pipeline.Plan(recipe)
    return str(caught.value)


def test_what_cannot_be_chosen_among() -> None:
    assert "greedy answers are all the same" in refused("respond.answers=3")
    several = ("respond.answers=3", "respond.temperature=1.0")
    assert "goes on from one answer" in refused(*several, "extend.turns=2")
    without = Recipe.parse(
        "{name: a, model: 'bundled:chat', rows: 4, respond: {answers: 2, temperature: 1}}",
        name="a.yaml",
    )
    with pytest.raises(RecipeError, match=r"needs `reward: \{model: \.\.\.\}`"):
        pipeline.Plan(without)
    against = 'annotate.reward.against={model: "bundled:chat"}'
    assert "compared with one answer" in refused(*several, against)
    assert "no column; did you mean" in refused(*several, 'configs.a={where: "margine > 1"}')
