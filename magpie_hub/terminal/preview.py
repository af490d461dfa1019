"""A few rows of a recipe: conversations as conversations, and what was turned away and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from magpie_hub.run.rejections import TurnedAway
from magpie_hub.terminal import counts, indented, tell, width
from magpie_hub.visible import one_line, visible

_LABELS = ("category", "difficulty", "quality", "language", "safety")
_NUMBERS = ("reward", "margin", "pass_rate")
_TEXT = 400
"""Characters of a query that was turned away; one that ran away has thousands."""


def show_preview(
    console: Console,
    rows: Sequence[Mapping[str, Any]],
    turned_away: Sequence[TurnedAway],
    rejected: Mapping[str, int],
    *,
    asked: int,
) -> None:
    """``rows`` under their labels, the queries that gave none, and how many of those ``asked`` for
    they are; an answered query without a pair is both a row and turned away."""
    away = {each.id: each for each in turned_away}
    for number, row in enumerate(rows, 1):
        unpaired = away.pop(row["id"], None)
        lacking = (f"no pair: {one_line(unpaired.reason)}",) if unpaired else ()
        _rule(console, " · ".join((str(number), *_labels(row), *lacking)))
        for role, text, style in _turns(row):
            console.print(Text(role, style="bold"))
            _text(console, text, style)
    for each in away.values():
        said = (each.reason, each.detail) if each.detail else (each.reason,)
        _rule(console, " · ".join(("turned away", *map(one_line, said))))
        more = len(each.query) - _TEXT
        cut = f" … ({more:,} more characters)" if more > 0 else ""
        _text(console, each.query[:_TEXT] + cut if each.query else "(an empty query)", "dim")
    why = f"; rejected: {counts(rejected)}" if rejected else ""
    tell(console, f"{len(rows)} of {asked} queries answered{why}")


def _rule(console: Console, title: str) -> None:
    line = f"── {title} "
    rest = "─" * (width(console) - cell_len(line))
    tell(console, Text(line + rest, style="cyan"))


def _text(console: Console, text: str, style: str) -> None:
    """Set in from the roles, so that no text can pass for one of them."""
    console.print(indented(Text(visible(text).strip("\n"), style=style)), width=width(console))
    console.print()


def _labels(row: Mapping[str, Any]) -> Iterator[str]:
    yield from (one_line(row[key]) for key in _LABELS if row.get(key) is not None)
    yield from (f"{key} {row[key]:.2f}" for key in _NUMBERS if row.get(key) is not None)
    if row.get("finish_reason") == "length":
        yield "cut off"


def _turns(row: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Who says it, what, and how that looks. Of a pair both answers are there."""
    messages = row["messages"]
    several = (row.get("turns") or 1) > 1
    pair = row.get("rejected") is not None
    turn = 0
    for place, message in enumerate(messages):
        turn += message["role"] == "user"
        role = one_line(message["role"])
        if several and message["role"] == "user":
            role += f", turn {turn}"
        if message.get("thinking"):
            yield f"{role}, thinking", message["thinking"], "dim italic"
        if pair and place == len(messages) - 1:
            role += f", chosen (score {row['chosen_score']:.2f})"
        yield role, message["content"], ""
    for message in row["rejected"] if pair else ():
        role = f"{one_line(message['role'])}, rejected (score {row['rejected_score']:.2f})"
        yield role, message["content"], ""
