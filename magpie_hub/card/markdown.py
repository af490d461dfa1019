"""Text in a card: shown, never obeyed.

What a template prints is escaped unless it passed one of the filters here, which are the only
makers of :class:`Markdown`.
"""

from __future__ import annotations

import html
import re

import pyarrow as pa

from magpie_hub import schema
from magpie_hub.visible import one_line, visible


class Markdown(str):
    """Markdown that is printed as it is."""


def text(value: str) -> Markdown:
    """Any text as plain words within a line: no markup, no link, no new line."""
    value = one_line(value)
    value = re.sub(r"&(?=#?\w+;)", "&amp;", re.sub(r"([\\`*_\[\]|~$@])", r"\\\1", value))
    value = re.sub(r"<(?=[A-Za-z/!?])", "&lt;", value)
    return Markdown(value.replace("://", r":\/\/").replace("www.", r"www\."))


def paragraph(value: str) -> Markdown:
    """The same where a line begins: no heading, list, quote or rule either."""
    line = re.sub(r"^([#>+=-])", r"\\\1", text(value))
    return Markdown(re.sub(r"^(\d+)([.)])", r"\1\\\2", line))


def code(value: str) -> Markdown:
    """Any text as a code span that also stands in a table's cell."""
    value = one_line(value).replace("|", r"\|")
    ticks = "`" * (_longest_run("`", value) + 1)
    space = " " if value.startswith("`") or value.endswith("`") or not value else ""
    return Markdown(f"{ticks}{space}{value}{space}{ticks}")


def fence(value: str, language: str = "text") -> Markdown:
    """Any text as a block that nothing in it can close."""
    value = visible(value).rstrip("\n")
    ticks = "`" * max(3, _longest_run("`", value) + 1)
    return Markdown(f"{ticks}{language}\n{value}\n{ticks}")


def attribute(value: str) -> Markdown:
    """Any text as the value of an HTML attribute, in its quotes."""
    return Markdown(f'"{html.escape(one_line(value))}"')


def percent(part: float) -> Markdown:
    return Markdown(f"{100 * part:.1f} %")


def number(value: float, column: str) -> Markdown:
    """As exact as the column's type."""
    whole = pa.types.is_integer(schema.column(column).type)
    return Markdown(f"{value:,.0f}" if whole else f"{value:,.2f}")


def finalize(value: object) -> str:
    """How a template prints a value that passed no filter."""
    if isinstance(value, Markdown):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, str):
        return text(value)
    raise TypeError(f"a card cannot print {value!r} without a filter")


def _longest_run(character: str, value: str) -> int:
    return max((len(run) for run in re.findall(f"{re.escape(character)}+", value)), default=0)
