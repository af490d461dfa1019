"""Named filters: SQL conditions over the published columns, checked before anything runs.

    quality >= 'good' AND language IN ('en', 'de') AND reward BETWEEN -1 AND 4

Polars evaluates them; labels with an order are enums, so ``>=`` means what it says and not the
alphabet. What polars would let pass in silence (``quality IN ('god')`` keeps nothing, an aggregate
looks at other rows) is refused here with one sentence. A filter says why: the conditions joined by
AND are counted one by one, in their order and each alone.

Beside the columns, where rows have messages, a filter knows ``query``, the first thing that the
user says, and ``response``, the last answer.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import reduce
from operator import and_

import polars as pl
import pyarrow as pa
import sqlglot
from polars.exceptions import PolarsError
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError

from magpie_hub import schema
from magpie_hub.errors import InvalidData, RecipeError
from magpie_hub.release import ClauseCount

_DIALECT = "postgres"  # text in '...', names in "...", as polars reads it
_EQUAL = (exp.EQ, exp.NEQ)
_ORDER = (exp.GT, exp.GTE, exp.LT, exp.LTE)
_OPENING = ("L_PAREN", "L_BRACKET", "CASE")
_CLOSING = ("R_PAREN", "R_BRACKET", "END")
_SAID = {"query": ("messages", "prompt"), "response": ("messages", "chosen")}
"""What was said, and the columns that it may stand in."""


@dataclass(frozen=True)
class Filter:
    """A checked condition. ``clauses``: its top-level AND operands as they were written;
    ``columns``: those that it reads, in schema order, messages where it reads what was said."""

    where: str
    clauses: tuple[str, ...]
    columns: tuple[str, ...]
    _expressions: tuple[pl.Expr, ...] = field(repr=False, compare=False)

    @classmethod
    def parse(cls, where: str, columns: Iterable[str]) -> Filter:
        """Check ``where`` against ``columns``, those that the rows will have.

        ``RecipeError`` in one sentence on bad syntax, an unknown column, an unknown label, types
        that cannot be compared, or a condition that does not look at one row alone."""
        available = tuple(columns)
        root = _parse(where)
        _check_shape(where, root)
        _check_columns(where, root, available)
        _check_literals(where, root)
        clauses = tuple(_clauses(where)) if isinstance(root, exp.And) else (where.strip(),)
        read = {_home(node.name, available) for node in root.find_all(exp.Column)}
        expressions = tuple(_compile(clause, available) for clause in clauses)
        return cls(where, clauses, schema.in_order(read), expressions)

    def keep(self, frame: pl.DataFrame) -> pl.Series:
        """One bool a row; what cannot be decided (a null) is not kept."""
        return reduce(and_, self._masks(frame)).alias("keep")

    def funnel(self, frame: pl.DataFrame) -> tuple[pl.Series, tuple[ClauseCount, ...]]:
        """``keep`` and, clause by clause in order, how many rows came to it and stayed, and how
        many it would drop alone."""
        kept = pl.repeat(True, len(frame), dtype=pl.Boolean, eager=True)
        counts = []
        for clause, mask in zip(self.clauses, self._masks(frame), strict=True):
            before, kept, alone = int(kept.sum()), kept & mask, len(frame) - int(mask.sum())
            counts.append(
                ClauseCount(clause=clause, before=before, kept=int(kept.sum()), alone=alone)
            )
        return kept.alias("keep"), tuple(counts)

    def _masks(self, frame: pl.DataFrame) -> list[pl.Series]:
        try:
            typed = _typed(frame.select(self.columns))
            typed = typed.with_columns(**_said(typed.columns))
            masks = typed.select(
                e.fill_null(False).alias(str(i)) for i, e in enumerate(self._expressions)
            )
        except PolarsError as error:
            reason = _first_line(error)
            raise InvalidData(f"the filter `{self.where}` failed on the rows: {reason}.") from error
        return masks.get_columns()


def nearest(word: str, words: Iterable[str]) -> str:
    """The end of an error's sentence: the word that was probably meant, else all that exist."""
    known = {each.lower(): each for each in words}
    if close := difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.6):
        return f"did you mean {known[close[0]]!r}?"
    return f"choose from {', '.join(map(repr, known.values()))}."


def _home(name: str, available: tuple[str, ...]) -> str:
    """The column that holds it."""
    return next((home for home in _SAID.get(name, ()) if home in available), name)


def _said(available: Iterable[str]) -> dict[str, pl.Expr]:
    """What was said, taken out of the messages that are there."""
    columns = tuple(available)
    found = {}
    for name in _SAID:
        if (home := _home(name, columns)) != name:
            place = pl.col(home).list.get(0 if name == "query" else -1, null_on_oob=True)
            if name == "query":
                after = pl.col(home).list.get(1, null_on_oob=True)
                system = place.struct.field("role") == "system"
                place = pl.when(system).then(after).otherwise(place)
            found[name] = place.struct.field("content")
    return found


def _parse(where: str) -> exp.Expr:
    try:
        return sqlglot.parse_one(where, into=exp.Condition, dialect=_DIALECT)
    except SqlglotError as error:
        at = ""
        if isinstance(error, ParseError) and error.errors and error.errors[0].get("col"):
            at = f" near character {error.errors[0]['col']}"
        raise RecipeError(
            f"the filter `{where}` cannot be read{at}; "
            "write a condition such as quality >= 'good' AND language = 'en'."
        ) from error


def _clauses(where: str) -> Iterator[str]:
    """Split at the ANDs that stand outside of parentheses, CASE and BETWEEN."""
    depth = between = start = end = 0
    for token in sqlglot.tokenize(where, read=_DIALECT):
        kind = token.token_type.name
        depth += (kind in _OPENING) - (kind in _CLOSING)
        if depth == 0 and kind == "BETWEEN":
            between += 1
        elif depth == 0 and kind == "AND":
            if between:
                between -= 1
            else:
                yield where[start:end].strip()
                start = token.end + 1
        end = token.end + 1
    yield where[start:end].strip()


def _check_shape(where: str, root: exp.Expr) -> None:
    if other := next(root.find_all(exp.AggFunc, exp.Window, exp.Query, exp.Star), None):
        raise RecipeError(
            f"the filter `{where}` uses {other.sql(dialect=_DIALECT)}, but a filter looks at one "
            "row at a time; compare columns with values."
        )
    if root.find(exp.Column) is None:
        raise RecipeError(f"the filter `{where}` reads no column, so it keeps all rows or none.")


def _check_columns(where: str, root: exp.Expr, available: tuple[str, ...]) -> None:
    for node in root.find_all(exp.Column):
        name = ".".join(part.name for part in node.parts)
        if name in available or _home(name, available) != name:
            continue
        if name in schema.names():
            raise RecipeError(
                f"the filter `{where}` reads `{name}`, which this recipe does not produce here; "
                "add the step that makes it or drop the clause."
            )
        hint = nearest(name, (*available, *_said(available)))
        if isinstance(node.this, exp.Identifier) and node.this.quoted:
            hint = f"text stands in single quotes: '{name}'."
        raise RecipeError(f"the filter `{where}` reads `{name}`, which is no column; {hint}")


def _check_literals(where: str, root: exp.Expr) -> None:
    for equation in root.find_all(*_EQUAL):
        if isinstance(equation.left, exp.Null) or isinstance(equation.right, exp.Null):
            raise RecipeError(
                f"the filter `{where}` compares with NULL, which is never true; "
                "write IS NULL or IS NOT NULL."
            )
    for node in root.find_all(exp.Column):
        if node.name in schema.names() and (column := schema.column(node.name)).labels:
            for value in _compared(where, node, column):
                _check_label(where, value, column)


def _compared(where: str, node: exp.Expr, column: schema.Column) -> list[exp.Expr]:
    """What the label column is compared with; ``RecipeError`` on any other use of it."""
    parent = node.parent
    while isinstance(parent, exp.Paren):
        node, parent = parent, parent.parent
    if isinstance(parent, _EQUAL) or (column.ordered and isinstance(parent, _ORDER)):
        return [parent.right if parent.left is node else parent.left]
    if isinstance(parent, exp.In) and parent.this is node:
        return list(parent.expressions)
    if isinstance(parent, exp.Between) and parent.this is node and column.ordered:
        return [parent.args["low"], parent.args["high"]]
    if isinstance(parent, exp.Is) and parent.this is node:
        return []
    order = ", <, <=, >, >=, BETWEEN" if column.ordered else ""
    kind = "labels with an order" if column.ordered else "labels without an order"
    raise RecipeError(
        f"the filter `{where}` cannot use `{column.name}` so: it holds {kind}, which are compared "
        f"by =, !=, IN{order} or IS NULL."
    )


def _check_label(where: str, value: exp.Expr, column: schema.Column) -> None:
    value = value.unnest()
    text = value.name if isinstance(value, exp.Literal) and value.is_string else None
    if text is None:
        written = value.sql(dialect=_DIALECT)
        raise RecipeError(
            f"the filter `{where}` compares `{column.name}` with {written}, which is no label; "
            f"{nearest('', column.labels)}"
        )
    if text not in column.labels:
        raise RecipeError(
            f"the filter `{where}` compares `{column.name}` with {text!r}, which is not one of "
            f"its labels; {nearest(text, column.labels)}"
        )


def _compile(clause: str, available: tuple[str, ...]) -> pl.Expr:
    """The clause in polars, tried on two rows: types must fit and each row get its own bool."""
    probe = _typed(_probe(available))
    probe = probe.with_columns(**_said(probe.columns))
    try:
        expression = pl.sql_expr(clause)
        result = probe.select(expression)
    except PolarsError as error:
        reason = _first_line(error)
        raise RecipeError(f"the filter clause `{clause}` cannot work: {reason}.") from error
    dtype = result.dtypes[0]
    if dtype != pl.Boolean:
        raise RecipeError(
            f"the filter clause `{clause}` is no condition: it gives a {dtype}, not true or false."
        )
    if result.shape != (len(probe), 1):
        raise RecipeError(f"the filter clause `{clause}` does not look at one row at a time.")
    return expression


def _probe(columns: tuple[str, ...]) -> pl.DataFrame:
    """A row of nulls and a row of plain values, of the columns' types."""
    arrays = {}
    for name in columns:
        column = schema.column(name)
        value: object = 1
        if pa.types.is_string(column.type):
            value = column.labels[0] if column.labels else ""
        elif pa.types.is_list(column.type):
            value = []
        elif pa.types.is_boolean(column.type):
            value = True
        arrays[name] = pa.array([None, value], type=column.type)
    frame = pl.from_arrow(pa.table(arrays))
    assert isinstance(frame, pl.DataFrame)
    return frame


def _typed(frame: pl.DataFrame) -> pl.DataFrame:
    """Labels as enums; NaN as null, since polars holds it for greater than every number."""
    enums = schema.label_types()
    return frame.with_columns(
        *(pl.col(name).cast(enums[name]) for name in frame.columns if name in enums),
        pl.selectors.float().fill_nan(None),
    )


def _first_line(error: PolarsError) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
