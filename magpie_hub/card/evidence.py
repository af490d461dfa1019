"""What was measured with a release's data, on its card: from ``evidence.json`` alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from magpie_hub.card.markdown import Markdown, code, paragraph, text
from magpie_hub.evidence.record import Cell, Column, Kind, Record, Scalar, Table
from magpie_hub.evidence.resampling import Interval

SHOWN_RECORDS = 20
SHOWN_ROWS = 50
LONGEST = 1000
"""Characters of a foreign text."""
_DIGEST = re.compile(r"(?<![0-9a-f])(?:sha256:)?([0-9a-f]{12})[0-9a-f]{28,52}(?![0-9a-f])")
"""Of a commit, or of a file: on a card its first digits stand for it."""
_SIDEWAYS = 7
"""With more columns than this, and fewer rows than columns, a table is turned."""
_MOST_TURNED = 6
_NONE = Markdown("–")
_KINDS: dict[Kind, str] = {
    "experiment": "Experiment",
    "evaluate": "Evaluation",
    "compare": "Comparison",
    "train": "Training",
}


@dataclass(frozen=True)
class Shown:
    """A table as it is printed: ``rows`` under a ``head``, of which the columns of ``numbers``
    stand to the right; ``more`` rows are not shown."""

    head: tuple[Markdown, ...]
    numbers: tuple[bool, ...]
    rows: tuple[tuple[Markdown, ...], ...]
    more: int


@dataclass(frozen=True)
class Finding:
    """A record in the words of a card; what is a ``str`` is still to be escaped."""

    kind: str
    name: str
    summary: Markdown
    error: str
    table: Shown | None
    notes: tuple[Markdown, ...]
    settings: tuple[tuple[str, Markdown], ...]
    command: str
    versions: str
    day: str
    machine: str


def findings(records: Sequence[Record]) -> Iterator[Finding]:
    """Of the first ``SHOWN_RECORDS``."""
    for record in records[:SHOWN_RECORDS]:
        yield Finding(
            kind=_KINDS[record.kind],
            name=_cut(record.name),
            summary=paragraph(_cut(record.summary)),
            error=_cut(record.error or ""),
            table=_shown(record.table) if record.table else None,
            notes=tuple(paragraph(_cut(note)) for note in record.notes),
            settings=tuple(
                (key, code(_cut(_said(value))))
                for key, value in record.settings.items()
                if value not in (None, ())
            ),
            command=record.command,
            versions=", ".join(f"{name} {version}" for name, version in record.versions.items()),
            day=record.created[:10],
            machine=_cut(record.machine),
        )


def _shown(table: Table) -> Shown:
    rows = table.rows[:SHOWN_ROWS]
    lines = [[_cell(column, row.get(column.name)) for column in table.columns] for row in rows]
    more = len(table.rows) - len(rows)
    if _SIDEWAYS < len(table.columns) > len(rows) <= _MOST_TURNED and rows:
        return _turned(table, lines, more)
    return Shown(
        tuple(map(_title, table.columns)),
        tuple(not _words(column, table.rows) for column in table.columns),
        tuple(map(tuple, lines)),
        more,
    )


def _turned(table: Table, lines: Sequence[Sequence[Markdown]], more: int) -> Shown:
    """A row for each column; the first column is the head, where it has the names of the rows."""
    columns = list(zip(map(_title, table.columns), zip(*lines, strict=True), strict=True))
    head: tuple[Markdown, ...] = (Markdown(""), *(Markdown(n + 1) for n in range(len(lines))))
    if _words(table.columns[0], table.rows):
        title, names = columns.pop(0)
        head = (title, *names)
    rows = tuple((title, *cells) for title, cells in columns)
    return Shown(head, (False, *(True for _ in lines)), rows, more)


def _title(column: Column) -> Markdown:
    unit = "" if column.unit in ("", "%") else f", {column.unit}"
    return text(_cut(column.title + unit))


def _words(column: Column, rows: Sequence[dict[str, Cell]]) -> bool:
    """Whether all that stands in the column is text."""
    cells = [cell for row in rows if (cell := row.get(column.name)) is not None]
    return bool(cells) and all(isinstance(cell, str) for cell in cells)


def _cell(column: Column, cell: Cell) -> Markdown:
    """A number with its interval does not break."""
    if cell is None:
        return _NONE
    if isinstance(cell, str):
        return text(_cut(cell))
    unit = "\N{NO-BREAK SPACE}%" if column.unit == "%" else ""
    if not isinstance(cell, Interval):
        return Markdown(_number(column, cell) + unit)
    value, low, high = (_number(column, each) for each in (cell.value, cell.low, cell.high))
    if cell.low == cell.high:
        return Markdown(value + unit)
    return Markdown(f"{value}{unit}\N{NO-BREAK SPACE}[{low},\N{NO-BREAK SPACE}{high}]")


def _number(column: Column, value: float) -> str:
    if isinstance(value, int) and column.factor == 1:
        return f"{value:,}"
    return f"{column.factor * value:z,.{column.digits}f}"


def _said(value: Scalar | tuple[Scalar, ...]) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_said, value))
    return str(value).lower() if isinstance(value, bool) else _DIGEST.sub(r"\1", str(value))


def _cut(value: str) -> str:
    return value if len(value) <= LONGEST else f"{value[:LONGEST]}…"
