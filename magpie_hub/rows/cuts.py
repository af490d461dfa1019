"""What each config takes of a pool: its filter, its picked rows, its splits, its columns.

Where a row's fate hangs on other rows (so many of the best; near neighbours on one side of a
split), the pool is gone through once ahead (:func:`decide`), in the few columns that decide, and
what comes of it is a number and a side a row. Otherwise each table is decided when it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from magpie_hub import schema
from magpie_hub.errors import InvalidData, RecipeError
from magpie_hub.filters import Filter, nearest
from magpie_hub.recipe.configs import ConfigSpec
from magpie_hub.release import ClauseCount
from magpie_hub.rows import splits
from magpie_hub.rows.selection import Order, Selection
from magpie_hub.rows.splits import TRAIN, Rows, Settled


@dataclass(frozen=True)
class Cut:
    """One config, checked against the pool's columns; ``columns`` are those that it publishes."""

    name: str
    columns: tuple[str, ...]
    filter: Filter | None = None
    selection: Selection | None = None
    shares: Mapping[str, float] = field(default_factory=dict)

    @property
    def ahead(self) -> bool:
        """Whether other rows have a say in what becomes of a row."""
        return self.selection is not None or bool(self.shares)

    @property
    def reads(self) -> set[str]:
        """The columns that decide, of those that the rows may have."""
        found = set(self.filter.columns) if self.filter else set()
        if self.selection:
            found.update(self.selection.columns)
        return found | set(splits.COLUMNS) if self.shares else found


def check(spec: ConfigSpec, columns: Sequence[str], place: Callable[[str], str]) -> None:
    """Whether rows with ``columns`` can be cut as ``spec`` says: ``RecipeError`` that begins with
    the ``place`` of the key."""
    where, order = spec.where, spec.order
    checks: dict[str, Callable[[], object]] = {
        "where": lambda: where is None or Filter.parse(where, columns),
        "columns": lambda: _published(spec.columns, columns),
        "order": lambda: order is None or Order.parse(order, columns),
        "quotas" if spec.quotas else "pick": lambda: selection(spec, columns),
    }
    for key, checked in checks.items():
        try:
            checked()
        except RecipeError as error:
            raise RecipeError(f"{place(key)}: {error}") from error


def selection(spec: ConfigSpec, columns: Sequence[str]) -> Selection | None:
    """How ``spec`` picks rows that have ``columns``; None where it takes all that it keeps."""
    if spec.rows is None:
        return None
    return Selection.plan(
        spec.rows,
        columns,
        pick=spec.pick,
        order=spec.order,
        at_most=spec.at_most,
        seed=spec.seed,
        quotas=spec.quotas,
    )


class Decided:
    """The rows of one config: of each table of the pool, which go to which split.

    ``rows`` are the places in the pool of those that it takes, and ``sides`` the splits of these,
    where they are known ahead; None: the filter tells."""

    def __init__(
        self,
        cut: Cut,
        rows: np.ndarray | None = None,
        sides: np.ndarray | None = None,
        funnel: tuple[ClauseCount, ...] = (),
    ) -> None:
        self.cut = cut
        self.funnel = funnel
        self.splits = splits.names(cut.shares)
        self._rows = rows
        self._sides = sides

    def take(self, table: pa.Table, first: int) -> Iterator[tuple[str, pa.Table]]:
        """The parts of ``table``, whose rows are the pool's from ``first`` on; each split with its
        rows and columns."""
        published = table.select(self.cut.columns)
        if self._rows is None:
            if self.cut.filter:
                keep, counts = kept(table, self.cut.filter)
                self.funnel = added(self.funnel, counts)
                published = published.filter(keep.to_arrow())
            yield TRAIN, published
            return
        low, high = np.searchsorted(self._rows, [first, first + table.num_rows])
        places = self._rows[low:high] - first
        if self._sides is None:
            yield TRAIN, _rows_at(published, places)
            return
        sides = self._sides[low:high]
        for number, split in enumerate(self.splits):
            yield split, _rows_at(published, places[sides == number])


def decide(
    tables: Iterable[pa.Table],
    cuts: Sequence[Cut],
    *,
    near: float = splits.NEAR,
    releases: Path | None = None,
) -> dict[str, Decided]:
    """Go through the pool once, for the cuts that are decided ahead. ``tables`` need only have the
    columns that those read; ``near`` is the distance of neighbours that stand together, and
    ``releases`` the folder of earlier releases, whose rows stay on their sides.

    ``InvalidData`` where there are fewer rows than a config asks for."""
    funnels: dict[str, tuple[ClauseCount, ...]] = {cut.name: () for cut in cuts}
    parts: dict[str, list[pl.DataFrame]] = {cut.name: [] for cut in cuts}
    together = Rows(near)
    first = 0
    for table in tables:
        if any(cut.shares for cut in cuts):
            there = [name for name in splits.COLUMNS if name in table.column_names]
            together.add(table.select(there))
        for cut in cuts:
            frame, counts = _kept_frame(table, cut)
            funnels[cut.name] = added(funnels[cut.name], counts)
            parts[cut.name].append(
                cut.selection.compact(frame, first)
                if cut.selection
                else frame.select((pl.col("_row") + first).cast(pl.UInt32))
            )
        first += table.num_rows
    found = {}
    for cut in cuts:
        rows, funnel = _places(cut, parts.pop(cut.name), funnels[cut.name])
        sides = None
        if cut.shares:
            settled = Settled.read(releases, cut.name, cut.shares)
            sides = together.sides(cut.shares, settled)[rows]
        found[cut.name] = Decided(cut, rows, sides, funnel)
    return found


def kept(table: pa.Table, cut: Filter) -> tuple[pl.Series, tuple[ClauseCount, ...]]:
    """Which rows ``cut`` keeps, and what each of its clauses did."""
    frame = pl.from_arrow(table.select(cut.columns))
    assert isinstance(frame, pl.DataFrame)
    return cut.funnel(frame)


def added(left: tuple[ClauseCount, ...], right: tuple[ClauseCount, ...]) -> tuple[ClauseCount, ...]:
    """The funnel of two tables together; the first one may have seen none yet."""
    if not left:
        return right
    return tuple(
        ClauseCount(
            clause=a.clause,
            before=a.before + b.before,
            kept=a.kept + b.kept,
            alone=(a.alone or 0) + (b.alone or 0),
        )
        for a, b in zip(left, right, strict=True)
    )


def _published(wanted: Sequence[str], there: Sequence[str]) -> None:
    for name in wanted:
        if name in there:
            continue
        what = "which the rows do not have" if name in schema.names() else "no column"
        raise RecipeError(f"`columns` names `{name}`, {what}; {nearest(name, there)}")


def _kept_frame(table: pa.Table, cut: Cut) -> tuple[pl.DataFrame, tuple[ClauseCount, ...]]:
    """The rows that the filter keeps: their places in ``_row``, and what the selection reads."""
    places = pl.Series("_row", np.arange(table.num_rows, dtype=np.uint64))
    counts: tuple[ClauseCount, ...] = ()
    names = cut.selection.columns if cut.selection else ()
    frame = pl.DataFrame(pl.from_arrow(table.select(names))) if names else pl.DataFrame()
    frame = frame.with_columns(places) if names else pl.DataFrame([places])
    if cut.filter:
        keep, counts = kept(table, cut.filter)
        frame = frame.filter(keep)
    return frame, counts


def _places(
    cut: Cut, parts: list[pl.DataFrame], funnel: tuple[ClauseCount, ...]
) -> tuple[np.ndarray, tuple[ClauseCount, ...]]:
    rows = pl.concat(parts) if parts else pl.DataFrame({"_row": []}, schema={"_row": pl.UInt32})
    if cut.selection is None or rows.is_empty():
        return rows["_row"].to_numpy(), funnel
    try:
        found, count = cut.selection.choose(rows)
    except InvalidData as error:
        raise InvalidData(f"the config {cut.name!r} cannot be filled: {error}") from error
    return found, (*funnel, count)


def _rows_at(table: pa.Table, places: np.ndarray) -> pa.Table:
    """As a mask, which leaves text in one piece where ``take`` would look up each row."""
    mask = np.zeros(table.num_rows, dtype=bool)
    mask[places] = True
    return table.filter(pa.array(mask))
