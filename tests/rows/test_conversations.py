from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from magpie_hub import schema
from magpie_hub.rows import conversations
from magpie_hub.rows.conversations import told
from magpie_hub.run import Run
from magpie_hub.run.answered import dialogues, kept
from magpie_hub.run.stored import joined


def stored(run: Run, shard: int) -> pa.Table:
    ids = pa.chunked_array([pa.array([name for name, _ in kept(run, shard)], pa.string())])
    return joined(run, shard, ids, ["sample", "respond"])


@pytest.mark.parametrize("thinking", [False, True])
def test_both_ways_of_telling_say_the_same(small_run: Run, thinking: bool) -> None:
    """Whole columns at once where each row is a question and an answer, else row by row."""
    for shard in range(small_run.shard_count):
        rows = stored(small_run, shard)
        at_once = told(small_run, shard, rows, thinking=thinking)
        one_by_one = conversations._of_dialogues(small_run, shard, rows, thinking)
        for name in ("id", "messages", "turns", "finish_reason", "response_tokens"):
            assert at_once[name].to_pylist() == one_by_one[name].to_pylist()
            assert at_once[name].type == one_by_one[name].type
        assert at_once["messages"].type == schema.messages(thinking)


def test_the_thinking_stands_beside_the_answer(small_run: Run) -> None:
    rows = stored(small_run, 0)
    thoughts = [f"thought {number}" if number % 2 else None for number in range(len(rows))]
    at = rows.column_names.index("thinking")
    rows = rows.set_column(at, "thinking", pa.array(thoughts, pa.string()))
    # In pieces, as a table that was filtered is.
    rows = pa.concat_tables([rows.slice(0, 3), rows.slice(3)])
    found = told(small_run, 0, rows, thinking=True)
    expected = {row.id: row.messages for row in dialogues(small_run, 0)}
    for row in found.to_pylist():
        user, assistant = row["messages"]
        assert user["thinking"] is None
        assert [(m["role"], m["content"]) for m in row["messages"]] == [
            (m["role"], m["content"]) for m in expected[row["id"]]
        ]
    answered = pa.table({"thinking": thoughts, "response": rows["response"]})
    answered = answered.filter(pc.not_equal(answered["response"], ""))
    said = [row["messages"][1]["thinking"] for row in found.to_pylist()]
    assert said == answered["thinking"].to_pylist()


def test_no_rows_are_no_conversations(small_run: Run) -> None:
    none = told(small_run, 0, stored(small_run, 0).slice(0, 0), thinking=True)
    assert len(none) == 0 and none["messages"].type == schema.THOUGHTFUL
