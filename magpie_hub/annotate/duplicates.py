"""Which rows say the same: exactly (but for case, white space and Unicode form), nearly (shingles,
:mod:`magpie_hub.annotate.near`) or in meaning (neighbours under a distance, found elsewhere).

Rows that are linked, directly or through others, are one group; its best row is kept, and the
others name it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import polars as pl
import pyarrow as pa

from magpie_hub import schema
from magpie_hub.annotate.items import Item
from magpie_hub.annotate.near import Components, NearIndex, Pairs, Shingles
from magpie_hub.errors import InvalidData
from magpie_hub.words import normal_forms, series

EXACT, NEAR, NEIGHBOUR = REASONS = ("exact", "near", "neighbour")
"""From the strictest on."""

DUPLICATES = pa.schema(
    [("id", pa.string()), ("duplicate_of", pa.string()), ("duplicate_reason", pa.string())]
)
_RANKS = {label: rank for rank, label in enumerate(schema.QUALITIES)}
_NO_PAIRS: Pairs = np.empty((0, 2), dtype=np.int64)


def duplicates(
    ids: Sequence[str],
    texts: Iterable[str | None] | pl.Series,
    *,
    threshold: float = 0.8,
    near: Pairs | None = None,
    neighbours: Pairs = _NO_PAIRS,
    quality: Sequence[str | None] | None = None,
    settled: Collection[str] = (),
) -> pa.Table:
    """A row for each text, by :data:`DUPLICATES`: the id of the row that is kept in its stead, and
    why; null for a row that is kept. A null or empty text is no duplicate.

    Kept is the best of a group: by ``quality``, then the longer text, then the lesser id. Rows in
    ``settled`` stand in an earlier release: they are all kept, and the best of them comes before
    any other row. ``near`` [n, 2] are the links that :meth:`NearIndex.add` returned for the texts
    (None: found here, with ``threshold``), ``neighbours`` [n, 2] the pairs that are near in
    meaning; both by place in ``ids``.
    """
    texts = series(texts)
    if near is None:
        near = NearIndex(threshold).add(Shingles.of(texts))
    levels, joined = [], Components(len(texts))
    for links in (_exact(texts), near, neighbours):
        joined.join(links)
        levels.append(joined.roots.copy())
    frame = pl.DataFrame(
        {
            "id": pl.Series(ids, dtype=pl.String),
            "row": np.arange(len(texts)),
            "group": joined.roots,
            "quality": _ranks(quality or [None] * len(texts)),
            "length": texts.str.len_chars().fill_null(0),
        }
    ).with_columns(settled=pl.col("id").is_in(list(settled)))
    best = frame.sort(
        "settled", "quality", "length", "id", descending=[True, True, True, False]
    ).unique("group", keep="first", maintain_order=True)
    kept = frame.join(best.select("group", kept="row"), on="group").sort("row")["kept"].to_numpy()
    leaves = (kept != np.arange(len(texts))) & ~frame["settled"].to_numpy()
    reason = sum((level != level[kept]).astype(np.int64) for level in levels)
    return pa.table(
        [
            pa.array(ids, pa.string()),
            pa.array(np.where(leaves, frame["id"].to_numpy()[kept], None), pa.string()),
            pa.array([REASONS[r] if out else None for r, out in zip(reason, leaves, strict=True)]),
        ],
        schema=DUPLICATES,
    )


class Foreign:
    """The texts of other datasets; a text of ours is looked up among them."""

    def __init__(self, items: Sequence[Item], *, threshold: float = 0.8) -> None:
        texts = series(item.text for item in items)
        self._names = [item.name for item in items]
        self._near = NearIndex(threshold)
        self._near.add(Shingles.of(texts))
        self._forms = _first_of(normal_forms(texts))

    def find(self, texts: Iterable[str | None] | pl.Series) -> list[tuple[str, str] | None]:
        """For each text the name of the first that is exactly the same, or else of the first that
        is nearly, and which of both; None where there is none."""
        column = series(texts)
        ours = pl.DataFrame({"form": normal_forms(column)})
        joined = ours.join(self._forms, on="form", how="left", maintain_order="left")
        exact = joined["first"].fill_null(-1).to_numpy()
        place = np.where(exact >= 0, exact, self._near.find(Shingles.of(column)))
        return [
            (self._names[at], EXACT if same else NEAR) if at >= 0 else None
            for at, same in zip(place.tolist(), (exact >= 0).tolist(), strict=True)
        ]


def _exact(texts: pl.Series) -> Pairs:
    """Links from each text to the first with its normal form."""
    forms = pl.DataFrame({"form": normal_forms(texts)}).with_row_index("row")
    linked = forms.join(_first_of(forms["form"]), on="form").filter(
        pl.col("row") != pl.col("first")
    )
    return linked.select("row", "first").to_numpy().astype(np.int64)


def _first_of(forms: pl.Series) -> pl.DataFrame:
    """``form`` and the place of its ``first``; texts without one are left out."""
    frame = pl.DataFrame({"form": forms}).with_row_index("first").filter(pl.col("form") != "")
    return frame.group_by("form").agg(pl.col("first").cast(pl.Int64).min())


def _ranks(labels: Sequence[str | None]) -> list[int]:
    try:
        return [-1 if label is None else _RANKS[label] for label in labels]
    except KeyError as error:
        raise InvalidData(
            f"{error} is no quality; the labels are {', '.join(schema.QUALITIES)}."
        ) from error
