import json

import pytest

from magpie_hub import schema
from magpie_hub.annotate import judge
from magpie_hub.pool import store
from magpie_hub.run import Run


def test_prompts_name_columns_of_the_schema_and_hold_the_query_once() -> None:
    asked = [column for prompt in judge.prompts() for column in prompt.columns]
    assert {"category", "difficulty", "quality"} <= set(asked)
    assert schema.in_order(asked)
    for prompt in judge.prompts():
        assert prompt.text.count("{query}") == 1
        assert all(f'"{column}"' in prompt.text for column in prompt.columns)
        labels = [label for name in prompt.columns for label in schema.column(name).labels]
        assert all(label in prompt.text for label in labels)


@pytest.mark.parametrize("query", ["{query}", "{0}", '"}', "```", "a\nb", "{intent}"])
def test_a_query_stands_in_its_prompt_as_it_is(query: str) -> None:
    for prompt in judge.prompts():
        assert prompt.about(query).endswith(query)


def test_the_instructions_stand_before_the_query() -> None:
    """So that every prompt shares its beginning, and nothing that a query says is instructed on."""
    for prompt in judge.prompts():
        assert prompt.text.endswith("{query}")


def test_an_answer_that_was_cut_off_has_no_labels() -> None:
    assert judge.read_labels('{"category": "Ma') == {}
    assert judge.read_labels('{"category": "Math"}') == {"category": "Math"}


def test_every_judged_query_has_valid_labels(small_run: Run) -> None:
    rows = [
        row
        for s in range(small_run.shard_count)
        for row in store(small_run, "judge").read(s).to_pylist()
    ]
    assert rows
    for row in rows:
        assert row["category"] in schema.CATEGORIES
        assert row["difficulty"] in schema.DIFFICULTIES
        assert row["quality"] in schema.QUALITIES
        assert set(row["other_categories"]) <= set(schema.CATEGORIES)
    json.dumps(rows)
