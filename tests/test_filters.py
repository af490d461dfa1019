"""Filters against real polars: what they keep, what they refuse and in which words."""

from __future__ import annotations

import polars as pl
import pytest

from magpie_hub.errors import InvalidData, RecipeError
from magpie_hub.filters import Filter

COLUMNS = ("id", "messages", "category", "difficulty", "quality", "reward", "language")
FRAME = pl.DataFrame(
    {
        "category": ["Math", "Others", None, "Math", "Planning"],
        "difficulty": ["easy", "very easy", "hard", None, "medium"],
        "quality": ["very poor", "good", "excellent", None, "average"],
        "reward": [1.0, 2.0, float("nan"), None, -1.0],
        "language": ["en", "de", "en", None, "fr"],
    }
)


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("quality >= 'good'", [1, 2]),  # as text, "very poor" would be the greatest
        ("quality < 'average'", [0]),
        ("'good' <= quality", [1, 2]),
        ("quality != 'good'", [0, 2, 4]),
        ("quality IN ('good', 'average')", [1, 4]),
        ("quality NOT IN ('good')", [0, 2, 4]),
        ("quality BETWEEN 'average' AND 'good'", [1, 4]),
        ("quality IS NULL", [3]),
        ("NOT (quality = 'good')", [0, 2, 4]),
        ("difficulty > 'easy' AND quality > 'poor'", [2, 4]),
        ("category = 'Math' OR reward < 0", [0, 3, 4]),
        ("reward > 0", [0, 1]),  # neither NaN nor null
        ("reward BETWEEN -1 AND 1 AND language LIKE 'e%'", [0]),
        ("CASE WHEN reward > 0 AND reward < 2 THEN true ELSE false END AND language = 'en'", [0]),
        ("\"quality\" = 'good' -- AND nothing else", [1]),
    ],
)
def test_keeps(where: str, kept: list[int]) -> None:
    keep = Filter.parse(where, COLUMNS).keep(FRAME)
    assert keep.dtype == pl.Boolean and keep.null_count() == 0
    assert keep.arg_true().to_list() == kept


@pytest.mark.parametrize(
    ("where", "clauses"),
    [
        ("reward > 1", ["reward > 1"]),
        ("reward BETWEEN 0 AND 1 and language='en'", ["reward BETWEEN 0 AND 1", "language='en'"]),
        ("(reward > 1 AND reward < 2) AND language = 'a AND b'",
         ["(reward > 1 AND reward < 2)", "language = 'a AND b'"]),
        ("reward > 1 AND reward < 2 OR language = 'en'",
         ["reward > 1 AND reward < 2 OR language = 'en'"]),
        ("reward NOT BETWEEN 0 AND (CASE WHEN reward > 1 AND reward < 2 THEN 1 ELSE 0 END) "
         "AND NOT quality = 'good'",
         ["reward NOT BETWEEN 0 AND (CASE WHEN reward > 1 AND reward < 2 THEN 1 ELSE 0 END)",
          "NOT quality = 'good'"]),
    ],
)  # fmt: skip
def test_clauses_are_as_written(where: str, clauses: list[str]) -> None:
    assert list(Filter.parse(where, COLUMNS).clauses) == clauses


def test_columns_in_schema_order() -> None:
    parsed = Filter.parse("language = 'en' AND quality >= 'good' AND reward > 0", COLUMNS)
    assert parsed.columns == ("quality", "reward", "language")


def test_funnel_counts_clause_by_clause() -> None:
    parsed = Filter.parse("language = 'en' AND reward > 0 AND quality = 'good'", COLUMNS)
    keep, counts = parsed.funnel(FRAME)
    assert [(c.clause, c.before, c.kept, c.dropped) for c in counts] == [
        ("language = 'en'", 5, 2, 3),
        ("reward > 0", 2, 1, 1),
        ("quality = 'good'", 1, 0, 1),
    ]
    assert keep.equals(parsed.keep(FRAME)) and not keep.any()
    assert [c.alone for c in counts] == [3, 3, 4]


def test_what_was_said() -> None:
    def talk(*words: str) -> list[dict[str, str]]:
        roles = ("system",) * (len(words) % 2) + ("user", "assistant") * 9
        return [{"role": r, "content": w} for r, w in zip(roles, words, strict=False)]

    rows = [talk("a:", "b"), talk("s", "a\nb", "c:"), talk("a", "b", "c:", "d"), []]
    frame = pl.DataFrame({"messages": rows})
    for where, kept in {
        "ENDS_WITH(query, ':')": [0],
        "NOT ENDS_WITH(query, ':')": [1, 2],
        "response LIKE '%:'": [1],
        "query ~ '\n' OR response = 'd'": [1, 2],
        "query IS NULL": [3],
    }.items():
        parsed = Filter.parse(where, ("id", "messages"))
        assert parsed.columns == ("messages",)
        assert parsed.keep(frame).arg_true().to_list() == kept, where
    pairs = pl.DataFrame({"prompt": [talk("a", "b")[:1]], "chosen": [talk("a", "b")[1:]]})
    both = Filter.parse("query = 'a' AND response = 'b'", ("prompt", "chosen"))
    assert both.columns == ("prompt", "chosen") and both.keep(pairs).all()
    with pytest.raises(RecipeError, match="did you mean 'query'"):
        Filter.parse("querry = 'a'", ("messages",))
    with pytest.raises(RecipeError, match="`query`, which is no column"):
        Filter.parse("query = 'a'", ("id", "quality"))


def test_no_rows() -> None:
    keep, counts = Filter.parse("quality = 'good'", COLUMNS).funnel(FRAME.clear())
    assert len(keep) == 0 and counts[0].before == counts[0].kept == 0


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("quality >=", "cannot be read near character"),
        ("quality = 'good", "cannot be read"),
        ("", "cannot be read"),
        ("reward > 1; DROP TABLE x", "cannot be read"),
        ("SELECT 1", "cannot be read"),
        ("reward > 1 UNION SELECT 2", "cannot be read"),
        ("qualty = 'good'", "`qualty`, which is no column; did you mean 'quality'?"),
        ("QUALITY = 'good'", "did you mean 'quality'?"),
        ("t.quality = 'good'", "`t.quality`, which is no column"),
        ("seed > 1", "`seed`, which this recipe does not produce"),
        ('quality = "good"', "text stands in single quotes: 'good'"),
        ("quality >= 'goood'", "not one of its labels; did you mean 'good'?"),
        ("quality IN ('good', 'god')", "'god', which is not one of its labels"),
        ("quality BETWEEN 'bad' AND 'good'", "'bad', which is not one of its labels"),
        ("category = 'math'", "did you mean 'Math'?"),
        ("quality = 3", "with 3, which is no label; choose from 'very poor'"),
        ("quality > category", "with category, which is no label"),
        ("quality LIKE 'g%'", "compared by =, !=, IN, <, <=, >, >=, BETWEEN or IS NULL"),
        ("lower(quality) = 'good'", "cannot use `quality` so"),
        ("category > 'Math'", "labels without an order, which are compared by =, !=, IN or"),
        ("quality = NULL", "write IS NULL"),
        ("reward > 'x'", "cannot compare string with numeric"),
        ("language = 1", "cannot compare string with numeric"),
        ("language ~ '('", "regex"),
        ("nosuch(reward) > 1", "unsupported function"),
        ("reward", "gives a Float64, not true or false"),
        ("reward > AVG(reward)", "one row at a time"),
        ("reward > (SELECT 1)", "one row at a time"),
        ("1 = 1", "reads no column"),
        ("true AND reward > 1", "one row at a time"),
    ],
)
def test_refuses_in_one_sentence(where: str, says: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Filter.parse(where, COLUMNS)
    message = str(caught.value)
    assert says in message
    assert "\n" not in message.replace(where, "") and message[-1] in ".?"


def test_a_label_that_validation_never_saw() -> None:
    with pytest.raises(InvalidData, match="failed on the rows"):
        Filter.parse("quality = 'good'", COLUMNS).keep(pl.DataFrame({"quality": ["goood"]}))
