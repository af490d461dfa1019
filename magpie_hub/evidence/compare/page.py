"""A comparison as one HTML file: the numbers as tables, and the map with all sources over each
other. It asks for nothing, and only the map needs its scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from magpie_hub.evidence.compare import coverage
from magpie_hub.evidence.compare.measures import SHARED
from magpie_hub.evidence.compare.result import MEASURES, PAIRS, Compared, Comparison, values_of
from magpie_hub.evidence.resampling import Interval
from magpie_hub.report.page import document, script, style

_WIDE, _HIGH, _ROW = 220, 16, 9
Form = Callable[[float], str]


def page(found: Comparison) -> str:
    """The whole page."""
    points, lead = _map(found)
    absent = [
        f"<dt>{escape(name)}</dt><dd>{escape(why)}</dd>" for name, why in found.absent.items()
    ]
    parts = {
        "title": escape(" · ".join(source.name for source in found.sources)),
        "how": escape(_how(found)),
        "sources": _sources(found),
        "map_lead": escape(lead),
        "map": '<div id="plot"></div>' if points else "",
        "measures": _measures(found.sources),
        "kinds": "".join(_kind(kind, found.sources) for kind in ("language", *SHARED)),
        "pairs": _pairs(found),
        "absent": f"<dl>{''.join(absent)}</dl>" if absent else "<p>Nothing is missing.</p>",
    }
    return document(
        _file("compare.html"),
        style=style() + _file("compare.css"),
        script=script("base", "charts", "moving", "layers", last=_file("compare.js")),
        data={"sources": points},
        parts=parts,
    )


def _how(found: Comparison) -> str:
    where = f"rows for which {found.where}; " if found.where else ""
    drawn = f"up to {found.rows:,} rows of each source, drawn with seed {found.seed}"
    even = f"meaning and diversity on {found.even_rows:,} rows of each"
    models = "".join(f"; {name}: {model}" for name, model in found.how.items() if name != "unit")
    return f"{where}{drawn}; lengths in {found.how['unit']}; {even}{models}."


def _map(found: Comparison) -> tuple[list[dict[str, Any]], str]:
    """The points of each source, and a sentence on them or on why there are none."""
    if not found.vectors:
        return [], f"There is no map: {found.absent['meaning']}"
    names = [source.name for source in found.sources]
    return coverage.layers(names, found.shown, found.vectors, seed=found.seed)


def _sources(found: Comparison) -> str:
    rows = []
    for number, source in enumerate(found.sources, 1):
        facts = ", ".join(f"{key} {value}" for key, value in source.facts.items())
        makers = "; ".join(f"{label} by {model}" for label, model in source.makers.items())
        counts = (source.read, source.without_question, source.filtered, source.kept)
        rows.append(
            f"<tr><th>{_dot(number)}{escape(source.name)}</th>"
            f'<td class="words">{escape(facts)}<br><span class="soft">{escape(makers)}</span></td>'
            + "".join(f"<td>{count:,}</td>" for count in (*counts, source.sampled))
            + "</tr>"
        )
    heads = ("", "what it is", "rows read", "no question", "filtered out", "left", "sampled")
    return _table(heads, rows)


def _measures(sources: Sequence[Compared]) -> str:
    rows = []
    for measure in MEASURES:
        each = [source.means.get(measure.name) for source in sources]
        if any(each):
            form = _per_cent if measure.share else _plain(measure.digits)
            rows.append(
                f'<tr><th title="{escape(measure.meaning)}">{escape(measure.title)}</th>'
                f"<td>{_marks(each)}</td>{_cells(each, form)}</tr>"
            )
    return _table(("", "", *(source.name for source in sources)), rows)


def _kind(kind: str, sources: Sequence[Compared]) -> str:
    each = [source.shares.get(kind, {}) for source in sources]
    rows = []
    for value in values_of(kind, sources):
        found = [shares.get(value) for shares in each]
        rows.append(
            f"<tr><th>{escape(value)}</th><td>{_marks(found)}</td>{_cells(found, _per_cent)}</tr>"
        )
    heads = ("", "", *(source.name for source in sources))
    return f"<h3>{escape(kind)}</h3>{_table(heads, rows)}" if rows else ""


def _pairs(found: Comparison) -> str:
    made = []
    for title, get, share in PAIRS:
        each = {(pair.of, pair.by): get(pair) for pair in found.pairs}
        if not any(each.values()):
            continue
        places = range(len(found.sources))
        form = _per_cent if share else _plain(3)
        rows = [
            f"<tr><th>{_dot(of + 1)}{escape(found.sources[of].name)}</th>"
            f"{_cells([each.get((of, by)) for by in places], form)}</tr>"
            for of in places
        ]
        heads = ("of", *(f"in {source.name}" for source in found.sources))
        made.append(f"<h3>{escape(title)}</h3>{_table(heads, rows)}")
    return "".join(made)


def _table(heads: Sequence[str], rows: Iterable[str]) -> str:
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _cells(each: Iterable[Interval | None], form: Form) -> str:
    return "".join(
        "<td>–</td>"
        if one is None
        else f"<td>{form(one.value)}</td>"
        if one.low == one.high
        else f'<td>{form(one.value)} <span class="interval">{form(one.low)} to '
        f"{form(one.high)}</span></td>"
        for one in each
    )


def _marks(each: Sequence[Interval | None]) -> str:
    """An interval a source, one under the other, on one scale."""
    there = [one for one in each if one is not None]
    low, high = min(one.low for one in there), max(one.high for one in there)
    room = high - low or 1.0

    def at(value: float) -> str:
        return f"{6 + (_WIDE - 12) * (value - low) / room:.1f}"

    lines = []
    for number, one in enumerate(each, 1):
        if one is not None:
            y, name = number * _ROW - 2, _class(number)
            lines.append(
                f'<line class="{name}" x1="{at(one.low)}" x2="{at(one.high)}" y1="{y}" y2="{y}"/>'
                f'<circle class="{name}" cx="{at(one.value)}" cy="{y}" r="3"/>'
            )
    height = len(each) * _ROW + 6
    return f'<svg width="{_WIDE}" height="{height}" aria-hidden="true">{"".join(lines)}</svg>'


def _dot(number: int) -> str:
    return (
        f'<svg class="dot" width="{_HIGH}" height="{_HIGH}" aria-hidden="true"><circle '
        f'class="{_class(number)}" cx="6" cy="10" r="4"/></svg>'
    )


def _class(number: int) -> str:
    return f"s{(number - 1) % 7 + 1}"


def _per_cent(value: float) -> str:
    return f"{value:.1%}"


def _plain(digits: int) -> Form:
    return lambda value: f"{value:,.{digits}f}"


def _file(name: str) -> str:
    return (files("magpie_hub.evidence.compare") / "page" / name).read_text(encoding="utf-8")
