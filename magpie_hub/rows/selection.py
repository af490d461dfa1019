"""Which of the rows that a filter kept a config takes, where it asks for so many.

Every way of picking is a ranking with the order of slots as its last word, so the same rows are
picked whenever the same rows are there. Random ranks follow from a row's id: of a pool that grew,
a random pick keeps what it had but for what the new rows displace.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import polars as pl
import pyarrow as pa

from magpie_hub import schema
from magpie_hub.errors import InvalidData, RecipeError
from magpie_hub.filters import nearest
from magpie_hub.recipe.configs import Pick, Quotas
from magpie_hub.release import ClauseCount

TENTHS = 10
_OTHERS = "other rows"
_LENGTHS = ("response_chars", "response_tokens")
_LENGTH, _ROW, _RANK = "_length", "_row", "_rank"


@dataclass(frozen=True)
class Order:
    """A checked ranking: columns and whether the greatest comes first, as ``reward DESC,
    response_tokens ASC``. What has no value comes last."""

    text: str
    keys: tuple[tuple[str, bool], ...]

    @classmethod
    def parse(cls, text: str, columns: Iterable[str]) -> Order:
        """``RecipeError`` on what cannot be read, an unknown column, or one without an order."""
        available = tuple(columns)
        keys = []
        for part in text.split(","):
            read = re.fullmatch(r"\s*(\w+)(?:\s+(ASC|DESC))?\s*", part, re.IGNORECASE)
            if read is None:
                raise RecipeError(
                    f"the order `{text}` cannot be read; write columns with ASC or DESC behind "
                    "them, such as reward DESC, response_tokens ASC."
                )
            name = read[1]
            if name not in available:
                what = "which the rows do not have" if name in schema.names() else "no column"
                raise RecipeError(
                    f"the order `{text}` names `{name}`, {what}; {nearest(name, available)}"
                )
            column = schema.column(name)
            if pa.types.is_nested(column.type) or (column.labels and not column.ordered):
                raise RecipeError(f"the order `{text}` names `{name}`, whose values have no order.")
            keys.append((name, (read[2] or "ASC").upper() == "DESC"))
        return cls(", ".join(f"{n} {'DESC' if down else 'ASC'}" for n, down in keys), tuple(keys))


@dataclass(frozen=True)
class Selection:
    """``rows`` rows, picked by ``pick``; with ``at_most`` fewer, where there are fewer."""

    rows: int
    pick: Pick
    order: Order
    at_most: bool = False
    seed: int = 0
    quotas: Quotas | None = None
    length: str | None = None
    category: bool = False

    @classmethod
    def plan(
        cls,
        rows: int,
        columns: Sequence[str],
        *,
        pick: Pick | None = None,
        order: str | None = None,
        at_most: bool = False,
        seed: int = 0,
        quotas: Quotas | None = None,
    ) -> Selection:
        """Check that rows with ``columns`` can be picked so. Without an ``order``, a
        length-controlled pick takes the best by ``reward``, where rows have one."""
        pick = pick or "order"
        lengths = [name for name in _LENGTHS if name in columns]
        length = lengths[0] if lengths else None
        if pick in ("longest", "length_controlled") and length is None:
            raise RecipeError(f"`pick: {pick}` needs the column `response_tokens`.")
        if quotas and quotas.by not in columns:
            raise RecipeError(
                f"quotas by {quotas.by} need the column `{quotas.by}`; add the step that makes it."
            )
        if pick == "longest":
            order = f"{length} DESC"
        elif pick == "length_controlled" and order is None and "reward" in columns:
            order = "reward DESC"
        parsed = Order("", ()) if order is None else Order.parse(order, columns)
        return cls(rows, pick, parsed, at_most, seed, quotas, length, "category" in columns)

    @property
    def columns(self) -> tuple[str, ...]:
        """Those that the picking reads, in schema order."""
        read = {name for name, _ in self.order.keys}
        if self.pick == "random":
            read.add("id")
        if self.pick == "length_controlled":
            assert self.length
            read |= {self.length, "category"} if self.category else {self.length}
        if self.quotas:
            read.add(self.quotas.by)
        return schema.in_order(read)

    def __str__(self) -> str:
        what = {
            "order": f"the first by {self.order.text}",
            "random": f"random, seed {self.seed}",
            "longest": f"the longest by {self.order.keys[0][0] if self.order.keys else ''}",
            "length_controlled": "as long as all by category"
            + (f", the best by {self.order.text}" if self.order.keys else ""),
        }[self.pick]
        quotas = f", quotas by {self.quotas.by}" if self.quotas else ""
        return f"{self.rows:,} rows: {what}{quotas}"

    def compact(self, frame: pl.DataFrame, first: int) -> pl.DataFrame:
        """What of rows is kept in memory until all are known: their places, counted from ``first``
        in ``_row`` there, and what ranks them. ``frame`` has ``_row`` and :attr:`columns`."""
        enums = schema.label_types()
        names = [name for name in self.columns if name != "id"]
        kept = frame.select(
            (pl.col(_ROW) + first).cast(pl.UInt32),
            *(pl.col(name).cast(enums[name]) if name in enums else name for name in names),
        )
        if self.pick == "random":
            salt = f"{self.seed}:".encode()
            ranks = [_draw(salt + name.encode()) for name in frame["id"].to_list()]
            kept = kept.with_columns(pl.Series(_RANK, ranks, pl.UInt64))
        return kept.with_columns(pl.selectors.float().fill_nan(None))

    def choose(self, rows: pl.DataFrame) -> tuple[np.ndarray, ClauseCount]:
        """The places of the rows picked from all that :meth:`compact` gave, in their order.

        ``InvalidData`` where there are fewer rows than are asked for."""
        keys = [(_RANK, False)] if self.pick == "random" else list(self.order.keys)
        ranked = rows.sort(
            [*(name for name, _ in keys), _ROW],
            descending=[*(down for _, down in keys), False],
            nulls_last=True,
        )
        picked = [
            self._best(group, self._places(name, places, len(group)))
            for name, places, group in self._groups(ranked)
        ]
        found = np.sort(np.concatenate(picked)) if picked else np.empty(0, np.uint32)
        return found, ClauseCount(clause=str(self), before=len(rows), kept=len(found))

    def _groups(self, ranked: pl.DataFrame) -> list[tuple[str, int, pl.DataFrame]]:
        """Each quota's name, places and rows; the last one is that of all others."""
        if self.quotas is None:
            return [("", self.rows, ranked)]
        shares = self.quotas.shares
        places = _rounded([self.rows * share for share in shares.values()])
        label, groups, taken = pl.col(self.quotas.by).cast(pl.String), [], pl.lit(False)
        for key, count in zip(shares, places, strict=True):
            mine = label.is_in(self.quotas.labels(key)).fill_null(False)
            groups.append((key, count, ranked.filter(mine)))
            taken |= mine
        rest = self.rows - sum(places)
        return [*groups, (_OTHERS, rest, ranked.filter(~taken))] if rest else groups

    def _places(self, name: str, places: int, there: int) -> int:
        if there >= places:
            return places
        if self.at_most:
            return there
        of = f" of {name}" if name else ""
        raise InvalidData(
            f"it asks for {places:,} rows{of} and there are {there:,}; ask for fewer, loosen its "
            "filter, or write at_most: true."
        )

    def _best(self, ranked: pl.DataFrame, places: int) -> np.ndarray:
        if self.pick == "length_controlled":
            ranked = self._spread(ranked, places)
        return ranked[_ROW].head(places).to_numpy()

    def _spread(self, ranked: pl.DataFrame, places: int) -> pl.DataFrame:
        """The best rows of each category's tenths by length, each tenth in its proportion."""
        if ranked.is_empty():
            return ranked
        category = pl.col("category") if self.category else pl.lit(0)
        lengths = ranked.select(
            pl.int_range(pl.len(), dtype=pl.UInt32).alias(_RANK),
            category.alias("category"),
            pl.col(str(self.length)).fill_null(0).alias(_LENGTH),
            _ROW,
        ).sort("category", _LENGTH, _ROW)
        tenth = pl.int_range(pl.len()).over("category") * TENTHS // pl.len().over("category")
        parts = lengths.with_columns(tenth.alias("tenth")).sort("category", "tenth", _RANK)
        sizes = parts.group_by("category", "tenth", maintain_order=True).agg(pl.len())
        counts = sizes["len"].to_numpy().astype(np.int64)
        room = np.array(_rounded((counts * (places / counts.sum())).tolist()))
        within = np.arange(len(parts)) - np.repeat(np.cumsum(counts) - counts, counts)
        chosen = parts.filter(pl.Series(within < np.repeat(room, counts)))
        return ranked[np.sort(chosen[_RANK].to_numpy())]


def _draw(text: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def _rounded(parts: Sequence[float]) -> list[int]:
    """Whole numbers whose sum is that of the parts: the largest remainders are rounded up."""
    floors = [int(part + 1e-9) for part in parts]
    missing = ceil(round(sum(parts), 6)) - sum(floors)
    by_rest = sorted(range(len(parts)), key=lambda i: (floors[i] - parts[i], i))
    for index in by_rest[: max(missing, 0)]:
        floors[index] += 1
    return floors
