"""How text, numbers and tables look on a terminal, for a person.

All of it goes to stderr; stdout is for JSON alone. No number is cut or broken, however narrow the
terminal: a table that does not fit becomes a list. Text that others wrote (rows, names, answers of
a server) shows its control characters as escapes and never acts as markup.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from magpie_hub.visible import one_line, visible

WIDEST = 100
"""Columns of running text; longer lines are hard to read."""
_GAP = 2
_WORDS = 20
"""Columns that a cell of words needs to be read."""


def console() -> Console:
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def reporter(console: Console) -> Callable[[str], None]:
    """Says one line a call."""

    def say(line: str) -> None:
        console.print(Text(visible(line)), soft_wrap=True)

    return say


def width(console: Console) -> int:
    return min(console.width, WIDEST)


def tell(console: Console, text: str | Text) -> None:
    """A sentence, wrapped at words."""
    shown = Text(visible(text)) if isinstance(text, str) else text
    console.print(shown, width=width(console), overflow="fold")


def indented(text: str | Text, by: int = 2) -> Padding:
    return Padding(Text(visible(text)) if isinstance(text, str) else text, (0, 0, 0, by))


def show_facts(console: Console, facts: Sequence[tuple[str, str]]) -> None:
    """A name and what there is to say of it, a line each; a name is said once in a row."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    before = None
    for name, text in facts:
        grid.add_row("" if name == before else Text(one_line(name)), Text(visible(text)))
        before = name
    console.print(grid, width=width(console))


def show_table(
    console: Console,
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    words: Collection[str] = (),
    styles: Sequence[str] | None = None,
) -> None:
    """``rows`` under ``headers``; the columns ``words`` hold text that may be wrapped. Columns
    without anything in them are left out."""
    console.print(table(console.width, headers, rows, words=words, styles=styles))


def table(
    width: int,
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    words: Collection[str] = (),
    styles: Sequence[str] | None = None,
) -> RenderableType:
    """As a table where ``width`` columns are enough for all of its numbers, else as a list."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    used = [n for n in range(len(headers)) if n == 0 or any(row[n] for row in cells)]
    headers, cells = [headers[n] for n in used], [[row[n] for n in used] for row in cells]
    styles = styles or [""] * len(cells)
    widths = [
        max(map(cell_len, (header, *(row[n] for row in cells)))) for n, header in enumerate(headers)
    ]
    needed = [
        min(wide, _WORDS) if header in words else wide
        for header, wide in zip(headers, widths, strict=True)
    ]
    if sum(needed) + _GAP * (len(needed) - 1) > width:
        return _list(width, headers, cells, words, styles)
    made = Table(box=box.SIMPLE, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0))
    for n, header in enumerate(headers):
        left = n == 0 or header in words
        made.add_column(
            header,
            justify="left" if left else "right",
            no_wrap=header not in words,
            overflow="fold",
        )
    for row, style in zip(cells, styles, strict=True):
        made.add_row(*map(Text, row), style=style)
    return made


def _list(
    width: int,
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    words: Collection[str],
    styles: Sequence[str],
) -> Table:
    """Each row's first cell, and under it the others with their names."""
    grid = Table.grid()
    grid.add_column(overflow="fold", max_width=width)
    for row, style in zip(rows, styles, strict=True):
        grid.add_row(Text(f"{headers[0]} {row[0]}".strip(), style="bold"), style=style)
        named = [(header, cell) for header, cell in zip(headers, row, strict=True) if cell][1:]
        short = [f"{name} {cell}" for name, cell in named if name not in words]
        for line in _packed(short, width - 2):
            grid.add_row(indented(line), style=style)
        for name, cell in named:
            if name in words:
                grid.add_row(indented(f"{name}: {cell}"), style=style)
    return grid


def _packed(parts: Sequence[str], width: int) -> list[str]:
    """Lines of whole parts, so that a number stays beside its name."""
    lines: list[str] = []
    for part in parts:
        if lines and cell_len(f"{lines[-1]}, {part}") < width:
            lines[-1] += f", {part}"
        else:
            lines.append(part)
    return lines


def clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def rate(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def amount(value: int) -> str:
    """Exact as long as that is short: 9,999,999, then 10.0 M and 10.0 G."""
    for unit, size in (("G", 10**9), ("M", 10**6)):
        if value >= 10 * size:
            return f"{value / size:,.1f} {unit}"
    return f"{value:,}"


def counts(found: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in found.items())
