"""Each rule finds what is planted, where it is planted, and nothing in good rows."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from magpie_hub import schema
from magpie_hub.errors import InvalidData
from magpie_hub.validation import SCHEMA, UNIQUE, Validator, validate
from tests.builders.pool import COLUMNS, HandPool, row

WIDE = schema.in_order((*COLUMNS, "other_categories", "top_p"))


def tables(rows: list[dict[str, Any]], columns: tuple[str, ...] = WIDE) -> list[pa.Table]:
    """In shards of 10 rows."""
    arrow = schema.arrow_schema(columns)
    parts = [rows[start : start + 10] for start in range(0, len(rows), 10)]
    return [pa.Table.from_pylist(part, schema=arrow) for part in parts]


def test_good_rows() -> None:
    verdict = validate(HandPool().shards(), schema.arrow_schema(COLUMNS))
    assert verdict.ok and verdict.rows == 24 and verdict.first == ()
    verdict.raise_if_bad()


def says(*pairs: tuple[str | None, str | None]) -> list[dict[str, str | None]]:
    return [{"role": role, "content": content} for role, content in pairs]


@pytest.mark.parametrize(
    ("rule", "column", "value", "excerpt"),
    [
        ("id is not empty", "id", " ", "' '"),
        ("id is not empty", "id", None, "nothing"),
        ("category is one of its labels", "category", "math", "'math'"),
        ("difficulty is one of its labels", "difficulty", "Easy", "'Easy'"),
        ("quality is one of its labels", "quality", "", "''"),
        ("other_categories are categories", "other_categories", ["Math", "Maths"],
         "['Math', 'Maths']"),
        ("reward is a finite number", "reward", float("inf"), "inf"),
        ("reward is a finite number", "reward", float("nan"), "nan"),
        ("top_p is a finite number", "top_p", float("-inf"), "-inf"),
        ("language is an ISO 639 code", "language", "English", "'English'"),
        ("language is an ISO 639 code", "language", "en\n", "'en\\n'"),
        ("finish_reason is stop or length", "finish_reason", "error", "'error'"),
        ("finish_reason is stop or length", "finish_reason", None, "nothing"),
        ("query_tokens is above 0", "query_tokens", 0, "0"),
        ("response_tokens is above 0", "response_tokens", None, "nothing"),
        ("turns is above 0", "turns", -1, "-1"),
        ("messages is not empty", "messages", [], "nothing"),
        ("messages is not empty", "messages", None, "nothing"),
        ("messages alternate user and assistant", "messages",
         says(("assistant", "a"), ("user", "b")), "'assistant'"),
        ("messages alternate user and assistant", "messages",
         says(("user", "a"), ("assistant", "b"), ("user", "c"), ("user", "d")), "'user'"),
        ("messages alternate user and assistant", "messages",
         says((None, "a"), ("assistant", "b")), "''"),
        ("messages have content", "messages", says(("user", "\n\u3000"), ("assistant", "b")),
         "'\\n\\u3000'"),
        ("messages have content", "messages", says(("user", "a"), ("assistant", None)), "''"),
        ("messages end with the assistant's answer", "messages", says(("user", "a")),
         "'user'"),
    ],
)  # fmt: skip
def test_finds_the_planted_row(rule: str, column: str, value: object, excerpt: str) -> None:
    rows = [{**row(i), "other_categories": ["Math"], "top_p": 0.9} for i in range(30)]
    rows[13][column] = value
    verdict = validate(tables(rows), schema.arrow_schema(WIDE))
    assert verdict.counts == {rule: 1}
    (bad,) = verdict.first
    assert (bad.shard, bad.row, bad.rule, bad.excerpt) == (1, 3, rule, excerpt)
    with pytest.raises(InvalidData, match="shard 1, row 3"):
        verdict.raise_if_bad()


def test_ids_are_unique_across_shards() -> None:
    rows = [row(i) for i in range(30)]
    rows[27]["id"] = rows[2]["id"]
    verdict = validate(tables(rows, COLUMNS), schema.arrow_schema(COLUMNS))
    assert verdict.counts == {UNIQUE: 1}
    assert (verdict.first[0].shard, verdict.first[0].row) == (2, 7)


def test_all_are_counted_and_the_first_are_shown() -> None:
    rows = [{**row(i), "turns": 0, "language": "xxxx"} for i in range(60)]
    verdict = validate(tables(rows, COLUMNS), schema.arrow_schema(COLUMNS))
    assert verdict.counts == {"turns is above 0": 60, "language is an ISO 639 code": 60}
    assert len(verdict.first) == 20 and verdict.first[0].row == verdict.first[1].row == 0
    with pytest.raises(InvalidData, match="120 breaches in 60 rows.*1 more rule broken"):
        verdict.raise_if_bad()


def test_slices_and_chunks_are_read_at_their_place() -> None:
    """Arrow tables may start in the middle of their buffers and come in several chunks."""
    rows = [row(i) for i in range(30)]
    rows[17]["messages"] = says(("user", "a"))
    whole = pa.Table.from_pylist(rows, schema=schema.arrow_schema(COLUMNS))
    pieces = pa.concat_tables([whole.slice(5, 7), whole.slice(12, 18)])
    verdict = validate([pieces, whole.slice(0, 5)], schema.arrow_schema(COLUMNS))
    assert [(bad.shard, bad.row) for bad in verdict.first] == [(0, 12)]


@pytest.mark.parametrize(
    ("change", "excerpt"),
    [
        (lambda t: t.drop_columns(["turns"]), "no column turns"),
        (lambda t: t.set_column(5, "reward", pa.nulls(len(t))), "reward as null instead of double"),
        (lambda t: t.append_column("x", pa.nulls(len(t))), "an unknown column x"),
        (lambda t: t.select(t.column_names[::-1]), "the columns in another order"),
    ],
)
def test_the_schema_is_exact(change: Any, excerpt: str) -> None:  # noqa: ANN401
    (table,) = tables([row(0)], COLUMNS)
    verdict = validate([change(table)], schema.arrow_schema(COLUMNS))
    assert verdict.counts == {SCHEMA: 1} and excerpt in verdict.first[0].excerpt


def test_no_rows() -> None:
    validator = Validator(schema.arrow_schema(COLUMNS))
    validator.check(schema.arrow_schema(COLUMNS).empty_table())
    assert validator.result().ok
