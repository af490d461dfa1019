"""Every published column, once: name, type, stage, meaning, labels.

Arrow schemas, ``datasets`` features, the judge's JSON schema, validation and the card's table are
derived from here; nothing else names a type.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    import polars as pl

CATEGORIES = (
    "Information seeking",
    "Reasoning",
    "Planning",
    "Editing",
    "Coding & Debugging",
    "Math",
    "Role playing",
    "Data analysis",
    "Creative writing",
    "Advice seeking",
    "Brainstorming",
    "Others",
)
"""The 12 task tags of Magpie (arXiv 2406.08464, appendix), so that tools for its datasets work."""

DIFFICULTIES = ("very easy", "easy", "medium", "hard", "very hard")
"""Ascending: ``difficulty >= 'medium'`` keeps medium, hard and very hard."""

QUALITIES = ("very poor", "poor", "average", "good", "excellent")
"""Ascending."""

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
THOUGHTFUL = pa.list_(
    pa.struct([("role", pa.string()), ("content", pa.string()), ("thinking", pa.string())])
)
"""Messages of a model that thinks: apart from what it says, null where it did not."""


def messages(thinking: bool) -> pa.ListType:
    """The type of a conversation; ``thinking``: of a model that thinks."""
    return THOUGHTFUL if thinking else MESSAGES


@dataclass(frozen=True)
class Column:
    """One published column. ``labels`` are its only values; where ``ordered``, ascending."""

    name: str
    type: pa.DataType
    stage: str
    meaning: str
    labels: tuple[str, ...] = ()
    ordered: bool = False


COLUMNS = (
    Column("id", pa.string(), "sample", "stable for ever: same recipe, same slot, same id"),
    Column("messages", MESSAGES, "respond", "the conversation, as role and content"),
    Column("prompt", MESSAGES, "respond", "the conversation up to the place of the answer"),
    Column("chosen", MESSAGES, "respond", "the answer that was scored highest"),
    Column("rejected", MESSAGES, "respond", "the answer that was scored lowest"),
    Column("chosen_score", pa.float64(), "annotate", "the reward model's score of `chosen`"),
    Column("rejected_score", pa.float64(), "annotate", "the reward model's score of `rejected`"),
    Column("margin", pa.float64(), "annotate", "chosen_score minus rejected_score"),
    Column(
        "scores", pa.list_(pa.float64()), "annotate", "the reward model's scores of all answers"
    ),
    Column("category", pa.string(), "annotate", "what kind of task the query is", CATEGORIES),
    Column("other_categories", pa.list_(pa.string()), "annotate", "further kinds that also fit"),
    Column(
        "difficulty", pa.string(), "annotate", "how hard the query is", DIFFICULTIES, ordered=True
    ),
    Column(
        "quality",
        pa.string(),
        "annotate",
        "how clear, specific and coherent the query is",
        QUALITIES,
        ordered=True,
    ),
    Column("reward", pa.float64(), "annotate", "the reward model's score of the answer"),
    Column(
        "rewards",
        pa.list_(pa.struct([("model", pa.string()), ("score", pa.float64())])),
        "annotate",
        "every reward model's score of the answer, where there are several",
    ),
    Column(
        "reward_difference",
        pa.float64(),
        "annotate",
        "the reward minus that of a second responder's answer",
    ),
    Column("language", pa.string(), "annotate", "the query's language, ISO 639-1; und: unsure"),
    Column("safety", pa.string(), "annotate", "safe, or the guard's category"),
    Column("pii", pa.list_(pa.string()), "annotate", "kinds of secrets and personal data found"),
    Column("contaminated_by", pa.string(), "annotate", "a benchmark's item with the same words"),
    Column(
        "min_neighbor_distance", pa.float64(), "annotate", "distance to the nearest other query"
    ),
    Column("nearest_id", pa.string(), "annotate", "id of the nearest other query"),
    Column("repeat_count", pa.int64(), "annotate", "other queries nearer than the threshold"),
    Column("intent", pa.string(), "annotate", "what the user wants, in the judge's words"),
    Column("knowledge", pa.string(), "annotate", "what an answer needs to know"),
    Column("quality_explanation", pa.string(), "annotate", "why the judge chose the quality"),
    Column("model", pa.string(), "sample", "the model that wrote the query"),
    Column("responder", pa.string(), "respond", "the model that wrote the answer"),
    Column("temperature", pa.float64(), "sample", "the query's sampling temperature"),
    Column("top_p", pa.float64(), "sample", "the query's nucleus sampling mass"),
    Column("seed", pa.int64(), "sample", "the query's own random seed"),
    Column("system_prompt", pa.string(), "sample", "key of the steering system prompt, or null"),
    Column(
        "finish_reason",
        pa.string(),
        "respond",
        "stop: the model ended its last answer; length: it was cut",
    ),
    Column("query_tokens", pa.int64(), "sample", "length of the first query in tokens"),
    Column("response_tokens", pa.int64(), "respond", "length of all answers of the row in tokens"),
    Column("turns", pa.int64(), "respond", "user turns in the conversation"),
    Column("answers", pa.int64(), "respond", "answers that were written to the query"),
    Column("thinking_tokens", pa.int64(), "respond", "tokens of thinking among response_tokens"),
    Column("majority", pa.string(), "annotate", "the final answer that most answers came to"),
    Column("pass_rate", pa.float64(), "annotate", "share of the answers that came to `majority`"),
    Column(
        "turn_labels",
        pa.list_(
            pa.struct([(name, pa.string()) for name in ("category", "difficulty", "quality")])
        ),
        "annotate",
        "the labels of each user turn, judged with what stands before it",
    ),
    Column(
        "conversation_quality",
        pa.string(),
        "annotate",
        "how well the conversation holds together",
        QUALITIES,
        ordered=True,
    ),
    Column("conversation_explanation", pa.string(), "annotate", "why the judge chose that quality"),
    Column("ended", pa.string(), "respond", "why the conversation has fewer turns, or null"),
    Column("query_chars", pa.int64(), "annotate", "length of the query in characters"),
    Column("response_chars", pa.int64(), "annotate", "length of the answer in characters"),
    Column("repetition", pa.float64(), "annotate", "share of the answer's 4-word runs seen before"),
    Column("loop", pa.bool_(), "annotate", "the answer ends by saying one thing over and over"),
    Column("refusal", pa.bool_(), "annotate", "the answer opens by declining"),
    Column("response_language", pa.string(), "annotate", "the answer's language; und: unsure"),
    Column("same_language", pa.bool_(), "annotate", "query and answer are in one; null: unsure"),
    Column("format", pa.list_(pa.string()), "annotate", "code, table, math, list, markdown"),
    Column("leaked", pa.string(), "annotate", "what leaked into the answer, or null"),
)

PAIR = ("prompt", "chosen", "rejected", "chosen_score", "rejected_score", "margin")
"""The columns of a choice between two answers."""

_BY_NAME = {column.name: column for column in COLUMNS}


def column(name: str) -> Column:
    """The column of that name; ``KeyError`` where there is none."""
    return _BY_NAME[name]


def names() -> tuple[str, ...]:
    return tuple(_BY_NAME)


def in_order(wanted: Iterable[str]) -> tuple[str, ...]:
    """``wanted`` in the order of ``COLUMNS``, so that every config and shard has the same order."""
    chosen = set(wanted)
    if unknown := chosen - set(_BY_NAME):
        raise KeyError(f"no such column: {', '.join(sorted(unknown))}")
    return tuple(name for name in _BY_NAME if name in chosen)


def arrow_schema(wanted: Iterable[str], *, thinking: bool = False) -> pa.Schema:
    """The one Arrow schema that every shard with these columns is written with; ``thinking``:
    messages have a place for it."""
    types = {"messages": messages(thinking)}
    return pa.schema([(name, types.get(name, column(name).type)) for name in wanted])


def label_types() -> dict[str, pl.Enum]:
    """Labels as polars enums, in their order: comparing them as strings would be wrong
    ("very poor" > "good")."""
    import polars as pl

    return {c.name: pl.Enum(list(c.labels)) for c in COLUMNS if c.labels}


def json_schema(wanted: Iterable[str]) -> dict[str, Any]:
    """The JSON object that a judge must answer with: these columns, in this order, nothing else.

    Free text is bounded, so that a rambling judge ends; labels are an enum.
    """
    wanted = tuple(wanted)
    return {
        "type": "object",
        "properties": {name: _json_type(column(name)) for name in wanted},
        "required": list(wanted),
        "additionalProperties": False,
    }


def _json_type(col: Column) -> dict[str, Any]:
    if col.labels:
        return {"enum": list(col.labels)}
    if col.name == "other_categories":
        return {"type": "array", "items": {"enum": list(CATEGORIES)}, "maxItems": 3}
    return {"type": "string", "maxLength": 400}


def is_valid(name: str, value: object) -> bool:
    """Whether a judge's ``value`` is one that its column may hold."""
    col = column(name)
    if pa.types.is_list(col.type):
        labels = CATEGORIES if name == "other_categories" else ()
        return isinstance(value, list) and all(item in labels for item in value)
    return isinstance(value, str) and (not col.labels or value in col.labels)


# What a run stores between the stages: each row with the id of its slot, and in `error` why the
# engine gave it up.

QUERIES = pa.schema(
    [
        ("id", pa.string()),
        ("query", pa.string()),
        ("query_finish", pa.string()),
        *((name, _BY_NAME[name].type) for name in ("query_tokens", "model")),
        *((name, _BY_NAME[name].type) for name in ("temperature", "top_p", "seed")),
        ("system_prompt", pa.string()),
        ("error", pa.string()),
    ]
)
VERDICTS = pa.schema(
    [("id", pa.string()), ("kept", pa.bool_()), ("reason", pa.string()), ("detail", pa.string())]
)
OVERLAPS = pa.schema([("id", pa.string()), ("item", pa.string()), ("error", pa.string())])
DUPLICATES = pa.schema(
    [
        ("id", pa.string()),
        ("duplicate_of", pa.string()),
        ("duplicate_reason", pa.string()),
        ("error", pa.string()),
    ]
)
MAP = pa.schema(
    [("id", pa.string()), ("x", pa.float32()), ("y", pa.float32()), ("error", pa.string())]
)
_ANSWER: list[tuple[str, pa.DataType]] = [
    ("response", pa.string()),
    ("thinking", pa.string()),
    *((n, _BY_NAME[n].type) for n in ("finish_reason", "response_tokens", "thinking_tokens")),
]
RESPONSES = pa.schema(
    [
        ("id", pa.string()),
        *_ANSWER,
        # Where a query gets several answers, those after the first.
        ("others", pa.list_(pa.struct(_ANSWER))),
        ("responder", pa.string()),
        ("error", pa.string()),
    ]
)
FOLLOWUPS = pa.schema(
    [
        ("id", pa.string()),
        ("query", pa.string()),
        ("query_finish", pa.string()),
        ("query_tokens", pa.int64()),
        # Why the conversation ends before this question, or null.
        ("ended", pa.string()),
        ("error", pa.string()),
    ]
)
CHOICES = pa.schema(
    [
        ("id", pa.string()),
        # Which of the answers is published, counted from 0, and which beside it as the worse one;
        # in `unpaired` why there is none.
        ("chosen_place", pa.int64()),
        ("rejected_place", pa.int64()),
        ("unpaired", pa.string()),
        *((n, _BY_NAME[n].type) for n in ("chosen_score", "rejected_score", "margin")),
        *((n, _BY_NAME[n].type) for n in ("majority", "pass_rate", "answers")),
        ("error", pa.string()),
    ]
)


def annotation(wanted: Iterable[str]) -> pa.Schema:
    """What an annotator stores: its columns beside the id."""
    columns = ((name, column(name).type) for name in wanted)
    return pa.schema([("id", pa.string()), *columns, ("error", pa.string())])
