"""A config's filter in words, for those who do not read SQL."""

from __future__ import annotations

from collections.abc import Callable

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from magpie_hub import schema
from magpie_hub.card.markdown import Markdown, code, text
from magpie_hub.release import ConfigEntry

_DIALECT = "postgres"
_NUMBERS: dict[type[exp.Expr], str] = {
    exp.GT: "above",
    exp.GTE: "at least",
    exp.LT: "below",
    exp.LTE: "at most",
    exp.EQ: "is",
    exp.NEQ: "is not",
}
_LABELS: dict[type[exp.Expr], str] = _NUMBERS | {exp.GT: "better than", exp.LT: "worse than"}
_RANKS: dict[type[exp.Expr], str] = {exp.GT: "harder than", exp.LT: "easier than"}
_PARTS = {"this", "expression", "expressions", "low", "high", "negate"}
_SAYS = {"query": "the question", "response": "the answer"}
_KNOWN = {
    "finish_reason = 'stop'": "the answer ends by itself",
    "finish_reason = 'length'": "the answer was cut off",
    "safety = 'safe'": "the guard calls it safe",
    "min_neighbor_distance > 0": "no other question is the same",
}
_PICKED = {
    "random": "{rows} at random",
    "longest": "the {rows} with the longest answers",
    "length_controlled": (
        "{rows}, from each category and each tenth of its lengths a proportional part"
    ),
}


def chosen(config: ConfigEntry) -> Markdown:
    """Which rows a config has, in words; a condition that has none is shown as it is written."""
    said = [_clause(each) for each in _clauses(config.where)] or [Markdown("every row")]
    return Markdown("; ".join([*said, *_picked(config)]))


def _clauses(where: str | None) -> list[exp.Expr | str]:
    if where is None:
        return []
    try:
        root: exp.Expr = sqlglot.parse_one(where, dialect=_DIALECT)
    except SqlglotError:
        return [where]
    return list(root.flatten(unnest=False)) if isinstance(root, exp.And) else [root]


def _clause(clause: exp.Expr | str) -> Markdown:
    if isinstance(clause, str):
        return code(clause)
    said = _say(clause)
    return code(clause.sql(dialect=_DIALECT)) if said is None else text(said)


def _say(node: exp.Expr) -> str | None:
    written = node.sql(dialect=_DIALECT)
    if written in _KNOWN:
        return _KNOWN[written]
    told = {name for name, value in node.args.items() if value}
    for kind, say in _SAYING.items():
        if isinstance(node, kind):
            # What a part that is not known says might turn the sense around.
            return say(node) if told <= _PARTS else None
    return None


def _paren(node: exp.Expr) -> str | None:
    said = _say(node.this)
    return None if said is None else f"({said})"


def _or(node: exp.Expr) -> str | None:
    parts = [_say(each) for each in node.flatten(unnest=False)]
    return None if None in parts else " or ".join(part for part in parts if part)


def _and(node: exp.Expr) -> str | None:
    parts = [_say(each) for each in node.flatten(unnest=False)]
    return None if None in parts else " and ".join(part for part in parts if part)


def _not(node: exp.Expr) -> str | None:
    inner = node.this
    if isinstance(inner, exp.Column):
        return f"no {_name(inner)}"
    if isinstance(inner, exp.Is):
        return _is(inner, not inner.args.get("negate"))
    if isinstance(inner, exp.In):
        return _among(inner, "is none of", "or")
    said = _say(inner)
    return None if said is None else f"not: {said}"


def _compared(node: exp.Expr) -> str | None:
    column, value = node.this, _value(node.expression)
    if not isinstance(column, exp.Column) or value is None:
        return None
    words = _NUMBERS[type(node)]
    if column.name in schema.names() and schema.column(column.name).ordered:
        harder = _RANKS if column.name == "difficulty" else _LABELS
        words = harder.get(type(node), words)
    return f"{_name(column)} {words} {value}"


def _among(node: exp.Expr, words: str = "is", last: str = "or") -> str | None:
    values = [_value(each) for each in node.expressions]
    if not isinstance(node.this, exp.Column) or not values or None in values:
        return None
    named = [value for value in values if value]
    listed = ", ".join(named[:-1]) + f" {last} {named[-1]}" if len(named) > 1 else named[0]
    return f"{_name(node.this)} {words} {listed}"


def _between(node: exp.Expr) -> str | None:
    low, high = _value(node.args["low"]), _value(node.args["high"])
    if not isinstance(node.this, exp.Column) or low is None or high is None:
        return None
    return f"{_name(node.this)} from {low} to {high}"


def _is(node: exp.Expr, negate: bool | None = None) -> str | None:
    """``IS NOT`` is a node of its own in some versions of sqlglot, and a part in others."""
    negate = bool(node.args.get("negate")) if negate is None else negate
    if isinstance(node.this, exp.Column) and isinstance(node.expression, exp.Null):
        return f"{'has a' if negate else 'has no'} {_name(node.this)}"
    return None


def _edge(words: str) -> Callable[[exp.Expr], str | None]:
    def say(node: exp.Expr) -> str | None:
        value = _value(node.expression)
        if not isinstance(node.this, exp.Column) or value is None:
            return None
        return f"{_name(node.this)} {words} “{value}”"

    return say


def _value(node: exp.Expr | None) -> str | None:
    if isinstance(node, exp.Neg):
        inner = _value(node.this)
        return None if inner is None else f"-{inner}"
    return str(node.this) if isinstance(node, exp.Literal) else None


def _name(column: exp.Expr) -> str:
    return _SAYS.get(column.name, column.name.replace("_", " "))


_SAYING: dict[type[exp.Expr], Callable[[exp.Expr], str | None]] = {
    exp.Paren: _paren,
    exp.Or: _or,
    exp.And: _and,
    exp.Not: _not,
    exp.In: _among,
    exp.Between: _between,
    exp.Is: _is,
    exp.StartsWith: _edge("begins with"),
    exp.EndsWith: _edge("ends with"),
    exp.Column: _name,
    **dict.fromkeys(_NUMBERS, _compared),
}


def _picked(config: ConfigEntry) -> list[Markdown]:
    settings = config.settings
    if "rows" not in settings:
        return []
    rows = f"{config.rows:,}"
    pick = settings.get("pick", "order")
    said = Markdown(f"of these {_PICKED.get(pick, 'the first {rows}').format(rows=rows)}")
    if "order" in settings:
        said = Markdown(f"{said}, by {code(settings['order'])}")
    if "quotas" in settings:
        said = Markdown(f"{said}, with the shares {code(settings['quotas'])}")
    return [said]
