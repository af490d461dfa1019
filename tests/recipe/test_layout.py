"""Quotas are exact over a period, whatever the weights; a slot's place is its number's alone."""

from __future__ import annotations

from collections import Counter
from itertools import product
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magpie_hub.recipe.layout import MAX_PERIOD, Layout, pattern, spread

WEIGHTS = st.lists(st.integers(1, 4), min_size=1, max_size=3)
STEERS = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 4)), max_size=3)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_a_pattern_honours_its_weights_exactly(weights: list[int]) -> None:
    order = pattern([float(w) for w in weights])
    counts = Counter(order)
    scale = len(order) / sum(weights)
    assert [counts[i] for i in range(len(weights))] == [w * scale for w in weights]


def test_a_pattern_spreads_evenly() -> None:
    assert pattern([3, 1]) == [0, 0, 1, 0]
    assert pattern([0.5, 0.5]) == [0, 1]
    assert len(pattern([1, 0.00001])) > MAX_PERIOD


@given(st.integers(1, 40), st.integers(1, 40))
def test_spread_meets_each_place_once_and_goes_round(period: int, choices: int) -> None:
    turns = range(period * choices)
    pairs = Counter((turn % period, spread(turn, period, choices)) for turn in turns)
    assert pairs == Counter(product(range(period), range(choices)))
    assert {spread(turn, period, choices) for turn in range(choices)} == set(range(choices))
    again = [spread(turn + period * choices, period, choices) for turn in turns]
    assert again == [spread(turn, period, choices) for turn in turns]


def at_all(layout: Layout, slots: int) -> Counter[tuple[object, ...]]:
    return Counter(tuple(layout.at(index)) for index in range(slots))


@given(WEIGHTS, STEERS, WEIGHTS)
def test_every_combination_has_its_exact_share(
    grid: list[int], steers: list[tuple[int, int]], responders: list[int]
) -> None:
    topics = [count for _, count in steers]
    layout = Layout(grid, [weight for weight, _ in steers], topics, responders)
    slots = layout.period * prod(max(count, 1) for count in topics)
    found = at_all(layout, slots)
    whole = sum(grid) * sum(responders) * sum(weight for weight, _ in steers or [(1, 0)])
    shares = {
        (cell, steer, topic, responder): grid[cell] * weight * responders[responder] / count
        for cell in range(len(grid))
        for steer, weight, count in [
            (position, weight, max(count, 1)) for position, (weight, count) in enumerate(steers)
        ]
        or [(None, 1, 1)]
        for topic in (range(count) if steer is not None and topics[steer] else [None])
        for responder in range(len(responders))
    }
    assert found == {key: slots * share / whole for key, share in shares.items()}


def test_few_slots_see_many_topics_and_every_responder() -> None:
    layout = Layout([3.0, 1.0], [1.0, 1.0], [50, 0], [1.0, 1.0])
    first = [layout.at(index) for index in range(100)]
    assert len({place.topic for place in first if place.steer == 0}) == 50
    assert {place.responder for place in first[:2]} == {0, 1}


def test_cells_and_prompts_stand_where_they_always_stood() -> None:
    """Rows that were sampled by an earlier version keep their slots."""
    layout = Layout([3.0, 1.0], [2.0, 1.0], [0, 0])
    found = [layout.at(index)[:2] for index in range(12)]
    assert found == [
        (0, 0), (0, 0), (1, 0), (0, 0),
        (0, 1), (0, 1), (1, 1), (0, 1),
        (0, 0), (0, 0), (1, 0), (0, 0),
    ]  # fmt: skip


@pytest.mark.parametrize("weights", [[], [1.0]])
def test_without_steering_there_is_no_topic(weights: list[float]) -> None:
    assert Layout([1.0], weights, [0] * len(weights)).at(7).topic is None
