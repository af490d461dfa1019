"""The forms in which trainers read rows, each as expressions over a release's message columns.

Messages come as lists of {role, content}: what a model thought stands in front of its content by
then (:func:`folded`), but for the form that takes messages as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from magpie_hub import schema
from magpie_hub.errors import UsageError
from magpie_hub.filters import nearest

Columns = Mapping[str, pl.Expr]

CONVERSATION = ("messages",)
PREFERENCE = ("prompt", "chosen", "rejected")
_HOLDS = {CONVERSATION: "conversations", PREFERENCE: "preferences"}
ROLES = {
    "messages": r"^(system,)?user,assistant(,user,assistant)*$",
    "prompt": r"^(system,)?user(,assistant,user)*$",
    "chosen": r"^assistant$",
    "rejected": r"^assistant$",
}
"""What the roles of a message column, joined by commas, look like."""

_NAMES = {"system": "system", "user": "human", "assistant": "gpt"}
TURNS = pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())]))


@dataclass(frozen=True)
class Format:
    """A form for rows that have the columns ``needs``. ``rows`` are the rows that one of them
    becomes. ``as_is``: thinking stays apart from the content; ``alone``: its readers refuse any
    other column."""

    name: str
    needs: tuple[str, ...]
    types: pa.Schema
    rows: tuple[Columns, ...]
    as_is: bool = False
    alone: bool = False


def folded(column: str, *, thinking: bool) -> pl.Expr:
    """Messages of {role, content, thinking} as {role, content}: the thinking in front of the
    content as ``<think>\\n…\\n</think>\\n\\n``, as most chat templates write and read it, or left
    out."""
    role, content, thought = map(pl.element().struct.field, ("role", "content", "thinking"))
    if thinking:
        tagged = pl.format("<think>\n{}\n</think>\n\n{}", thought.str.strip_chars("\n"), content)
        content = pl.when(thought.fill_null("") != "").then(tagged).otherwise(content)
    return pl.col(column).list.eval(pl.struct(role, content.alias("content")))


def turned(column: str) -> pl.Expr:
    """Messages as turns of {from, value}."""
    role, content = map(pl.element().struct.field, ("role", "content"))
    named = role.replace_strict(_NAMES, return_dtype=pl.String)
    return pl.col(column).list.eval(pl.struct(named.alias("from"), content.alias("value")))


def said(column: str, *roles: str) -> pl.Expr:
    """The contents of the messages of these roles, as a list."""
    role, content = map(pl.element().struct.field, ("role", "content"))
    return pl.col(column).list.eval(content.filter(role.is_in(roles)))


def _alpaca() -> Columns:
    both = said("messages", "user", "assistant")
    before = both.list.head(both.list.len() - 2)
    pairs = pl.concat_list(pl.element().gather_every(2), pl.element().gather_every(2, 1))
    return {
        "instruction": both.list.get(-2),
        "input": pl.lit(""),
        "output": both.list.get(-1),
        "system": said("messages", "system").list.join("\n"),
        "history": before.list.eval(pairs),
    }


def _plain(*names: str) -> pa.Schema:
    return pa.schema([(name, schema.MESSAGES) for name in names])


_MESSAGES = pl.col("messages")
_TEXTS = [(name, pa.string()) for name in ("instruction", "input", "output", "system")]
FORMATS = (
    Format("messages", CONVERSATION, _plain(*CONVERSATION), ({"messages": _MESSAGES},), as_is=True),
    Format(
        "messages",
        PREFERENCE,
        _plain(*PREFERENCE),
        ({name: pl.col(name) for name in PREFERENCE},),
        as_is=True,
    ),
    Format("openai", CONVERSATION, _plain("messages"), ({"messages": _MESSAGES},), alone=True),
    Format(
        "prompt-completion",
        CONVERSATION,
        _plain("prompt", "completion"),
        (
            {
                "prompt": _MESSAGES.list.head(_MESSAGES.list.len() - 1),
                "completion": _MESSAGES.list.tail(1),
            },
        ),
    ),
    Format(
        "sharegpt",
        CONVERSATION,
        pa.schema([("conversations", TURNS)]),
        ({"conversations": turned("messages")},),
    ),
    Format(
        "alpaca",
        CONVERSATION,
        pa.schema([*_TEXTS, ("history", pa.list_(pa.list_(pa.string())))]),
        (_alpaca(),),
    ),
    Format(
        "kto",
        PREFERENCE,
        _plain("prompt", "completion").append(pa.field("label", pa.bool_())),
        tuple(
            {"prompt": pl.col("prompt"), "completion": pl.col(which), "label": pl.lit(good)}
            for which, good in (("chosen", True), ("rejected", False))
        ),
    ),
)
NAMES = tuple(dict.fromkeys(each.name for each in FORMATS))


def format_for(name: str, columns: Iterable[str], *, config: str) -> Format:
    """The form of that name for rows with these columns; ``UsageError`` names those that fit."""
    if name not in NAMES:
        raise UsageError(f"there is no format {name!r}; {nearest(name, NAMES)}")
    there = set(columns)
    fitting = {each.name: each for each in FORMATS if there.issuperset(each.needs)}
    if name in fitting:
        return fitting[name]
    holds = " and ".join(_HOLDS[needs] for needs in _HOLDS if there.issuperset(needs))
    wants = next(_HOLDS[each.needs] for each in FORMATS if each.name == name)
    raise UsageError(
        f"the config {config!r} holds {holds or 'neither conversations nor preferences'}, and "
        f"{name} is a form of {wants}; it can be had as {_listed(fitting) or 'none of the forms'}."
    )


def _listed(names: Iterable[str]) -> str:
    *most, last = list(names) or [""]
    return f"{', '.join(most)} or {last}" if most else last
