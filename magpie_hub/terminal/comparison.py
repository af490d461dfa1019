"""A comparison of sources: what was read, the numbers side by side, and how much they share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rich.console import Console
from rich.text import Text

from magpie_hub.evidence.compare.measures import SHARED
from magpie_hub.evidence.compare.result import MEASURES, PAIRS, Compared, Comparison, values_of
from magpie_hub.evidence.resampling import Interval
from magpie_hub.terminal import show_facts, show_table, tell

_TOGETHER = 4
"""Sources in one table: with their intervals they fit into 80 columns."""
_KINDS = ("language", *SHARED)


def show_comparison(console: Console, found: Comparison) -> None:
    """Sources have numbers; the names behind them stand above."""
    for number, source in enumerate(found.sources, 1):
        show_facts(console, [(f"[{number}]", line) for line in _lines(source)])
    how = [
        f"seed {found.seed}; ± is half of a 95 % bootstrap interval; lengths in "
        f"{found.how['unit']}; meaning and diversity on {found.even_rows:,} rows of each"
    ]
    if embedder := found.how.get("embedder"):
        how.append(f"questions embedded by {embedder}; {found.clusters} clusters")
    tell(console, "; ".join(how) + ".")
    columns = range(len(found.sources))
    for start in range(0, len(found.sources), _TOGETHER):
        some = columns[start : start + _TOGETHER]
        console.print()
        _table(console, "", _measures([found.sources[n] for n in some]), some)
        for kind in _KINDS:
            _table(console, kind, _shares(kind, [found.sources[n] for n in some]), some)
    for title, get, share in PAIRS:
        each = {(pair.of, pair.by): get(pair) for pair in found.pairs}
        if any(each.values()):
            form = _share if share else _number(3)
            rows = [
                (f"of [{of + 1}]", *(_cell(each.get((of, by)), form) for by in columns))
                for of in columns
            ]
            _table(console, title, rows, columns, prefix="in ")
    if found.absent:
        console.print()
        show_facts(console, [(f"no {name}", why) for name, why in found.absent.items()])


def _lines(source: Compared) -> Iterable[str]:
    yield source.name
    facts = ", ".join(f"{key} {value}" for key, value in source.facts.items())
    left_out = [(source.without_question, "without a question"), (source.filtered, "filtered out")]
    counts = [f"{source.read:,} rows read"]
    counts += [f"{count:,} {why}" for count, why in left_out if count]
    yield f"{facts}; {', '.join(counts)}, {source.sampled:,} of {source.kept:,} sampled"
    if source.makers:
        yield "; ".join(f"{label} by {model}" for label, model in source.makers.items())


def _table(
    console: Console,
    title: str,
    rows: Sequence[tuple[str, ...]],
    places: Iterable[int],
    *,
    prefix: str = "",
) -> None:
    if rows:
        if title:
            console.print(Text(f"\n{title}", style="bold"))
        show_table(console, ("", *(f"{prefix}[{place + 1}]" for place in places)), rows)


def _measures(sources: Sequence[Compared]) -> list[tuple[str, ...]]:
    rows = []
    for measure in MEASURES:
        each = [source.means.get(measure.name) for source in sources]
        if any(each):
            form = _share if measure.share else _number(measure.digits)
            rows.append((measure.title, *(_cell(one, form) for one in each)))
    return rows


def _shares(kind: str, sources: Sequence[Compared]) -> list[tuple[str, ...]]:
    """A row for each value that one of the sources has; empty where none carries any."""
    each = [source.shares.get(kind, {}) for source in sources]
    return [
        (value, *(_cell(shares.get(value), _share, "0.0%" if shares else "–") for shares in each))
        for value in values_of(kind, sources)
    ]


def _cell(found: Interval | None, form: Callable[[Interval], str], none: str = "–") -> str:
    if found is None:
        return none
    shown = form(found)
    return shown.partition(" ±")[0] if found.low == found.high else shown


def _half(found: Interval) -> float:
    return (found.high - found.low) / 2


def _share(found: Interval) -> str:
    return f"{found.value:.1%} ±{100 * _half(found):.1f}"


def _number(digits: int) -> Callable[[Interval], str]:
    return lambda found: f"{found.value:,.{digits}f} ±{_half(found):.{digits}f}"
