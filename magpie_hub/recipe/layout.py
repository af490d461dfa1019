"""Which cell, prompt, topic and responder a slot gets: a pure function of its number, in which each
combination comes up exactly as often as the weights say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import gcd, lcm
from typing import NamedTuple

MAX_PERIOD = 10_000
"""The longest pattern of weights, in slots."""


class Place(NamedTuple):
    """Positions in the recipe's lists; None where there is nothing to choose from."""

    cell: int
    steer: int | None
    topic: int | None
    responder: int


@dataclass(frozen=True)
class Layout:
    """``grid``, ``steer`` and ``responders`` are weights; ``topics`` counts each steer's.

    Mixed radix: the cell is the lowest digit and the prompt the next. A topic and a responder are
    spread over these (:func:`spread`), so that few slots already see many of them. Over
    ``period`` slots, times the number of topics, every combination has its exact share.
    """

    grid: Sequence[float]
    steer: Sequence[float] = ()
    topics: Sequence[int] = ()
    responders: Sequence[float] = (1.0,)

    @cached_property
    def period(self) -> int:
        """Slots over which cells, prompts and responders come up in exactly their shares."""
        return self._asked * len(self._responders)

    def at(self, index: int) -> Place:
        turn, place = divmod(index, len(self._grid))
        responder = self._responders[spread(index, self._asked, len(self._responders))]
        if not self._steer:
            return Place(self._grid[place], None, None, responder)
        rounds, spot = divmod(turn, len(self._steer))
        steer = self._steer[spot]
        topic = None
        if self.topics[steer]:
            # Of this steer's own slots: which one it is, and how many of them a period has.
            before, times = self._seen[spot]
            number = (rounds * times + before) * len(self._grid) + place
            each = times * len(self._grid) * len(self._responders)
            topic = spread(number, each, self.topics[steer])
        return Place(self._grid[place], steer, topic, responder)

    @cached_property
    def _grid(self) -> list[int]:
        return pattern(self.grid)

    @cached_property
    def _steer(self) -> list[int]:
        return pattern(self.steer)

    @cached_property
    def _seen(self) -> list[tuple[int, int]]:
        """For each place of the pattern, how often its steer stands before it and in all."""
        all_of_them, before = Counter(self._steer), Counter[int]()
        seen = []
        for steer in self._steer:
            seen.append((before[steer], all_of_them[steer]))
            before[steer] += 1
        return seen

    @cached_property
    def _responders(self) -> list[int]:
        return pattern(self.responders)

    @cached_property
    def _asked(self) -> int:
        return len(self._grid) * max(len(self._steer), 1)


def spread(turn: int, period: int, choices: int) -> int:
    """The choice of a turn: they go round, and shift by one where they would meet the same places
    of the ``period`` again. Over ``period * choices`` turns each choice meets each place once."""
    shared = gcd(period, choices)
    return (turn + turn // lcm(period, choices) % shared) % choices


def pattern(weights: Sequence[float]) -> list[int]:
    """Indices in a repeating order that honours ``weights`` exactly over one period and as evenly
    as can be within it (smooth weighted round robin): [3, 1] → [0, 0, 1, 0]. One that is longer
    than ``MAX_PERIOD`` is cut off there."""
    if not weights:
        return []
    fractions = [Fraction(str(weight)) for weight in weights]
    scale = lcm(*(f.denominator for f in fractions))
    shares = [int(f * scale) for f in fractions]
    divisor = gcd(*shares)
    shares = [share // divisor for share in shares]
    total = sum(shares)
    if total > MAX_PERIOD:
        return list(range(MAX_PERIOD + 1))
    credit = [0] * len(shares)
    order = []
    for _ in range(total):
        credit = [c + s for c, s in zip(credit, shares, strict=True)]
        chosen = max(range(len(credit)), key=lambda i: (credit[i], -i))
        credit[chosen] -= total
        order.append(chosen)
    return order
