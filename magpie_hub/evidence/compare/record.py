"""A comparison as a record, for a card: a row for each source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from magpie_hub.evidence.compare.measures import SHARED
from magpie_hub.evidence.compare.result import MEASURES, PAIRS, Compared, Comparison, values_of
from magpie_hub.evidence.record import Cell, Column, Record, Table, machine, now, versions
from magpie_hub.evidence.sources import Place

_PACKAGES = ("polars", "numpy", "transformers", "sentence-transformers")
_SOURCE = Column(name="source", title="source")
_SAMPLED = Column(name="sampled", title="rows sampled")


def record(found: Comparison, command: str) -> Record:
    return _record(
        [source.name for source in found.sources],
        command,
        summary=f"At most {found.rows:,} rows of each source were sampled, with the seed "
        f"{found.seed}, and measured by the same annotators.",
        settings={
            name: value
            for name, value in {"where": found.where, "scan": found.scan, **found.how}.items()
            if value is not None
        },
        table=_table(found),
        notes=tuple(_notes(found)),
    )


def failed(sources: Sequence[str], command: str, error: str) -> Record:
    """The record of a comparison that ended with ``error``."""
    names = [Place.parse(source).name for source in sources]
    return _record(names, command, settings={}, error=error)


def _record(
    names: Sequence[str],
    command: str,
    *,
    error: str | None = None,
    **more: Any,  # noqa: ANN401
) -> Record:
    return Record(
        kind="compare",
        name=f"{', '.join(names[:-1])} and {names[-1]} side by side",
        command=command,
        created=now(),
        versions=versions(*_PACKAGES),
        machine=machine(),
        ok=error is None,
        error=error,
        **more,
    )


def _table(found: Comparison) -> Table:
    """Only what one of the sources has: its own numbers, the shares of its labels, and how much of
    it stands in each other source."""
    columns = {_SOURCE.name: _SOURCE, _SAMPLED.name: _SAMPLED}
    rows: list[dict[str, Cell]] = [
        {_SOURCE.name: each.name, _SAMPLED.name: each.sampled} for each in found.sources
    ]
    for measure in MEASURES:
        unit, digits = ("%", 1) if measure.share else ("", measure.digits)
        for row, source in zip(rows, found.sources, strict=True):
            if (value := source.means.get(measure.name)) is not None:
                row[measure.name] = value
                columns[measure.name] = Column(
                    name=measure.name, title=measure.title, unit=unit, digits=digits
                )
    for kind in SHARED:
        for label in values_of(kind, found.sources):
            name = f"{kind} {label}"
            columns[name] = Column(name=name, title=f"{kind}: {label}", unit="%", digits=1)
            for row, source in zip(rows, found.sources, strict=True):
                if shares := source.shares.get(kind):
                    row[name] = shares.get(label, 0.0)
    for place, (title, get, share) in enumerate(PAIRS):
        for pair in found.pairs:
            if (value := get(pair)) is not None:
                name = f"{place} in {pair.by}"
                rows[pair.of][name] = value
                columns[name] = Column(
                    name=name,
                    title=f"in {found.sources[pair.by].name}: {title}",
                    unit="%" if share else "",
                    digits=1 if share else 3,
                )
    return Table(columns=tuple(columns.values()), rows=tuple(rows))


def _notes(found: Comparison) -> Iterator[str]:
    for source in found.sources:
        yield _read(source)
    measured = {name for source in found.sources for name in source.means}
    for measure in MEASURES:
        if measure.name in measured:
            yield f"{measure.title}: {measure.meaning}"
    for name, why in found.absent.items():
        yield f"no {name}: {why}"


def _read(source: Compared) -> str:
    facts = ", ".join(f"{key} {value}" for key, value in source.facts.items())
    makers = "".join(f"; {label} by {model}" for label, model in source.makers.items())
    return (
        f"{source.name}: {facts}; {source.read:,} rows read, {source.sampled:,} of {source.kept:,} "
        f"sampled{makers}"
    )
