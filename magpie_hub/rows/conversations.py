"""The conversations of a shard as the columns that are published."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from magpie_hub import schema
from magpie_hub.run import Run
from magpie_hub.run.answered import Answered, Candidate, dialogues


def told(run: Run, shard: int, rows: pa.Table, *, thinking: bool) -> pa.Table:
    """``rows`` (of ``joined``, with what ``respond`` stored) that have an answer, with ``turns``,
    and with ``messages`` where the query is there; ``thinking``: they have a place for it.

    Where there was a choice or there are more turns, ``finish_reason`` is the last answer's, tokens
    are those of all answers, and ``prompt``, ``chosen`` and ``rejected`` are there."""
    if run.has("choose") or run.recipe.extend.turns > 1:
        return _of_dialogues(run, shard, rows, thinking)
    rows = rows.filter(pc.not_equal(rows["response"], ""))
    if "query" in rows.column_names:
        rows = rows.append_column("messages", _pairs(rows, thinking))
    return rows.append_column("turns", pa.array(np.ones(len(rows), np.int64)))


def _pairs(rows: pa.Table, thinking: bool) -> pa.Array:
    """A question and an answer each: the two columns, interleaved."""
    count = len(rows)
    places = np.arange(2 * count).reshape(2, count).T.ravel()
    texts = pa.chunked_array([*rows["query"].chunks, *rows["response"].chunks], pa.string())
    roles = pa.array(["user", "assistant"]).take(pa.array(np.tile([0, 1], count)))
    fields = [roles, texts.take(pa.array(places)).combine_chunks()]
    if thinking:
        none = pa.nulls(count, pa.string())
        thoughts = pa.chunked_array([none, *rows["thinking"].chunks], pa.string())
        fields.append(thoughts.take(pa.array(places)).combine_chunks())
    kind = schema.messages(thinking).value_type
    offsets = pa.array(np.arange(0, 2 * count + 1, 2, dtype=np.int32))
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(fields, fields=list(kind)))


def _of_dialogues(run: Run, shard: int, rows: pa.Table, thinking: bool) -> pa.Table:
    found = {row.id: row for row in dialogues(run, shard)}
    rows = rows.filter(pc.is_in(rows["id"], value_set=pa.array(found, pa.string())))
    told = [found[name] for name in rows["id"].to_pylist()]
    columns: dict[str, tuple[Sequence[object], pa.DataType]] = {
        "messages": ([_messages(row) for row in told], schema.messages(thinking)),
        "turns": ([len(row.queries) for row in told], pa.int64()),
        "ended": ([row.ended for row in told], pa.string()),
        "finish_reason": ([row.answers[-1].finish_reason for row in told], pa.string()),
        "response_tokens": ([_sum(row, "response_tokens") for row in told], pa.int64()),
        "thinking_tokens": ([_sum(row, "thinking_tokens") for row in told], pa.int64()),
    }
    if run.has("choose"):
        columns |= {
            "prompt": ([_messages(row)[:-1] for row in told], schema.MESSAGES),
            "chosen": ([[_said(row.answers[-1])] for row in told], schema.MESSAGES),
            "rejected": (
                [
                    None if row.rejected is None else [_message("assistant", row.rejected)]
                    for row in told
                ],
                schema.MESSAGES,
            ),
        }
    made = {name: pa.array(values, kind) for name, (values, kind) in columns.items()}
    kept = [name for name in rows.column_names if name not in made]
    return pa.table({name: rows[name] for name in kept} | made)


def _messages(row: Answered) -> list[dict[str, Any]]:
    pairs = zip(row.queries, row.answers, strict=True)
    return [message for query, said in pairs for message in (_message("user", query), _said(said))]


def _said(answer: Candidate) -> dict[str, Any]:
    return _message("assistant", answer.response, answer.thinking)


def _message(role: str, content: str, thinking: str | None = None) -> dict[str, Any]:
    return {"role": role, "content": content, "thinking": thinking}


def _sum(row: Answered, name: str) -> int | None:
    found = [getattr(each, name) for each in row.answers]
    return None if None in found else sum(found)
