"""An evaluation as a record, for a card: a row for each judge, and one for what needs none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from magpie_hub.engines import ENGINES
from magpie_hub.evidence.evaluate.evaluation import Evaluation, Judging, Number
from magpie_hub.evidence.record import Cell, Column, Record, Table, called, machine, now, versions
from magpie_hub.evidence.resampling import Interval

_BY = Column(name="judge", title="judged by")
_FIRST = Column(name="first", title="what stood first won", unit="%", digits=1)
_ALIKE = Column(name="consistent", title="the same winner in both orders", unit="%", digits=1)
_INVALID = Column(name="invalid", title="verdicts that were not given")
NOBODY = "no judge"


def record(found: Evaluation, command: str) -> Record:
    return _record(
        name=f"{called(found.model)} on {found.benchmark}",
        summary=_summary(found),
        command=command,
        settings={
            **({"against": called(found.opponent)} if found.opponent else {}),
            "revision": found.revision,
            **{f"judge {called(each.judge)}": each.revision for each in found.judges},
            **found.settings,
        },
        table=_table(found),
        notes=tuple(_notes(found)),
    )


def failed(model: str, benchmark: str, command: str, *, engine: str, error: str) -> Record:
    """The record of an evaluation that ended with ``error``."""
    name = f"{called(model)} on {benchmark}"
    return _record(name=name, command=command, settings={"engine": engine}, error=error)


def _record(
    *,
    name: str,
    command: str,
    settings: dict[str, Any],
    error: str | None = None,
    **more: Any,  # noqa: ANN401
) -> Record:
    return Record(
        kind="evaluate",
        name=name,
        command=command,
        created=now(),
        versions=versions(*ENGINES[settings["engine"]], "transformers"),
        machine=machine(),
        settings=settings,
        ok=error is None,
        error=error,
        **more,
    )


def _summary(found: Evaluation) -> str:
    lost = [
        f"{count:,} {what}"
        for count, what in ((found.failed, "got no answer"), (found.cut, "were cut off"))
        if count
    ]
    said = f"{called(found.model)} was asked {found.prompts:,} prompts" + (
        f", of which {' and '.join(lost)}." if lost else "."
    )
    if not found.judges:
        return said
    other = f", in both orders, against {called(found.opponent)}" if found.opponent else ""
    return f"{said} {found.judged:,} answers were judged{other}."


def _table(found: Evaluation) -> Table:
    """Columns are those of any of the rows."""
    columns: dict[str, Column] = {_BY.name: _BY} if found.judges else {}
    rows: list[dict[str, Cell]] = []
    for each in found.judges:
        columns |= _columns(each.numbers)
        row: dict[str, Cell] = {_BY.name: called(each.judge), **_values(each.numbers)}
        for column, value in _bias(each):
            columns[column.name], row[column.name] = column, value
        rows.append(row)
    columns |= _columns(found.numbers)
    own = _values(found.numbers)
    rows.append({_BY.name: NOBODY, **own} if found.judges else own)
    return Table(columns=tuple(columns.values()), rows=tuple(rows))


def _columns(numbers: Iterable[Number]) -> dict[str, Column]:
    return {
        each.name: Column(
            name=each.name, title=each.title, unit="%" if each.unit == "%" else "", digits=1
        )
        for each in numbers
    }


def _values(numbers: Iterable[Number]) -> dict[str, Cell]:
    return {each.name: each.value for each in numbers}


def _bias(found: Judging) -> Iterator[tuple[Column, int | Interval]]:
    for column, value in ((_FIRST, found.first), (_ALIKE, found.consistent)):
        if value is not None:
            yield column, value
    if found.games:
        yield _INVALID, found.invalid


def _notes(found: Evaluation) -> Iterator[str]:
    numbers = [*(each for judging in found.judges for each in judging.numbers), *found.numbers]
    yield from dict.fromkeys(f"{each.title}: {each.meaning}" for each in numbers)
    if found.agreement is not None:
        yield f"Cohen's kappa of the two judges, on win, tie and loss: {found.agreement:.2f}."
    for name, why in found.absent.items():
        yield f"{name}: {why}"
