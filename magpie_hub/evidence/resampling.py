"""Bootstrap intervals (Efron 1979): of means over rows, and of shares of kinds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
LEVEL = 0.95
TIMES = 1000
_MOST_GROUPS = 5000
"""Of more rows, random groups of equal size are drawn instead of single ones: they are as
independent as the rows, and the intervals are the same at a fraction of the work."""


@dataclass(frozen=True)
class Interval:
    """``value`` is measured on ``n`` rows; were others drawn, it would be between ``low`` and
    ``high`` 19 times out of 20."""

    value: float
    low: float
    high: float
    n: int


class Bootstrap:
    """Draws of ``rows`` rows with replacement, the same for every measure of them."""

    def __init__(self, rows: int, *, seed: int) -> None:
        random = np.random.default_rng(seed)
        self._groups = min(rows, _MOST_GROUPS)
        self._group = random.permutation(rows) % self._groups
        even = np.full(self._groups, 1 / self._groups)
        # float32 holds these small counts exactly, and its products take half the time.
        self._counts = random.multinomial(self._groups, even, size=TIMES).astype(np.float32)

    def mean(self, values: npt.ArrayLike) -> Interval | None:
        """Of the mean of ``values``, a number a row, NaN where there is none; None without any."""
        return self.mean_of_each(np.asarray(values, np.float64)[:, None])[0]

    def mean_of_each(self, columns: Floats) -> list[Interval | None]:
        """The same for each column of ``columns`` (rows, measures)."""
        there = ~np.isnan(columns)
        filled = np.where(there, columns, 0.0)
        totals, counts = self._totals(filled), self._totals(there.astype(np.float64))
        n = there.sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = filled.sum(axis=0) / n
            drawn = (self._counts @ (totals - means * counts)) / (self._counts @ counts) + means
        return [
            interval(float(means[place]), drawn[:, place], int(n[place])) if n[place] else None
            for place in range(columns.shape[1])
        ]

    def _totals(self, values: Floats) -> Floats:
        made = np.zeros((self._groups, values.shape[1]))
        np.add.at(made, self._group, values)
        return made


def interval(value: float, drawn: Floats, n: int) -> Interval:
    """Of what was ``drawn``, the middle :data:`LEVEL`."""
    edge = (1 - LEVEL) / 2
    low, high = np.nanquantile(drawn, [edge, 1 - edge])
    return Interval(value, min(float(low), value), max(float(high), value), n)


def counted(share: float, rows: int) -> Interval:
    """Of all rows, so that nothing was left to chance."""
    return Interval(share, share, share, rows)
