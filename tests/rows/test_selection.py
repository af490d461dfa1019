"""Picking, each way of it restated in plain Python over handmade rows."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import numpy as np
import polars as pl
import pytest

from magpie_hub.errors import InvalidData
from magpie_hub.recipe.configs import Quotas
from magpie_hub.release import ClauseCount
from magpie_hub.rows.selection import Selection

CATEGORIES = ("Math", "Planning", "Reasoning", None)
LEVELS = ("very easy", "easy", "medium", "hard", "very hard")
COLUMNS = ("id", "category", "difficulty", "reward", "response_tokens", "response_chars")


def made(count: int = 400, seed: int = 1) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    return [
        {
            "id": f"r-{number:04d}",
            "category": draw.choice(CATEGORIES),
            "difficulty": draw.choice((*LEVELS, None)),
            "reward": draw.choice((None, float("nan"), *(i / 2 for i in range(-6, 7)))),
            "response_tokens": draw.randint(1, 60),
            "response_chars": draw.randint(1, 300),
        }
        for number in range(count)
    ]


def pick(rows: list[dict[str, Any]], count: int, shard: int = 37, **how: Any) -> list[int]:
    found, _ = counted(rows, count, shard, **how)
    return found


def counted(
    rows: list[dict[str, Any]], count: int, shard: int = 37, **how: Any
) -> tuple[list[int], ClauseCount]:
    """Through the same steps as a build: compacted shard by shard, then chosen."""
    selection = Selection.plan(count, COLUMNS, **how)
    frames = []
    for first in range(0, len(rows), shard):
        part = pl.DataFrame(rows[first : first + shard], schema_overrides={"reward": pl.Float64})
        part = part.with_columns(pl.Series("_row", np.arange(len(part), dtype=np.uint64)))
        frames.append(selection.compact(part.select("_row", *selection.columns), first))
    found, count_ = selection.choose(pl.concat(frames))
    assert found.tolist() == sorted(found.tolist())
    return found.tolist(), count_


def value(row: dict[str, Any], name: str, *, down: bool) -> tuple[bool, float]:
    """A key that sorts as ours: what has no value comes last."""
    held = LEVELS.index(row[name]) if name == "difficulty" and row[name] else row[name]
    if held is None or held != held:
        return (True, 0.0)
    return (False, -held if down else held)


def ranked(rows: list[dict[str, Any]], *keys: tuple[str, bool]) -> list[int]:
    return sorted(
        range(len(rows)), key=lambda i: [*(value(rows[i], n, down=d) for n, d in keys), (False, i)]
    )


@pytest.mark.parametrize("shard", [1, 37, 1000])
def test_order_with_ties_by_slot(shard: int) -> None:
    rows = made()
    expected = ranked(rows, ("reward", True), ("response_tokens", False))[:90]
    found = pick(rows, 90, shard, order="reward DESC, response_tokens asc")
    assert found == sorted(expected)
    by_label = ranked(rows, ("difficulty", True))[:120]
    assert pick(rows, 120, shard, order="difficulty DESC") == sorted(by_label)


def test_the_longest() -> None:
    rows = made()
    expected = ranked(rows, ("response_chars", True))[:50]
    assert pick(rows, 50, pick="longest") == sorted(expected)


def test_random_picks_hang_on_the_seed_and_the_ids_alone() -> None:
    rows = made()
    first = pick(rows, 100, pick="random")
    assert first == pick(rows, 100, 5, pick="random") != pick(rows, 100, pick="random", seed=1)
    # Of a pool that grew, what is still picked was picked before, or is new.
    more = pick(made() + made(200, seed=2), 100, pick="random")
    again = made() + [{**row, "id": f"n-{i}"} for i, row in enumerate(made(200, seed=2))]
    more = pick(again, 100, pick="random")
    assert {i for i in more if i < 400} < set(first) and len(set(more) & set(first)) > 50


def test_quotas_are_exact_and_leave_the_rest_to_the_others() -> None:
    rows = made()
    quotas = Quotas(by="category", shares={"Math": 0.5, "Planning": 0.125})
    found = pick(rows, 80, order="reward DESC", quotas=quotas)
    counts = Counter(rows[i]["category"] for i in found)
    assert counts["Math"] == 40 and counts["Planning"] == 10 and len(found) == 80
    best = [i for i in ranked(rows, ("reward", True)) if rows[i]["category"] == "Math"][:40]
    assert {i for i in found if rows[i]["category"] == "Math"} == set(best)
    others = [i for i in found if rows[i]["category"] not in ("Math", "Planning")]
    assert {rows[i]["category"] for i in others} == {"Reasoning", None}
    halves = Quotas(by="difficulty", shares={"easy": 0.5, "> easy": 0.5})
    levels = Counter(rows[i]["difficulty"] for i in pick(rows, 81, pick="random", quotas=halves))
    assert levels["easy"] in (40, 41) and levels["easy"] + sum(
        levels[name] for name in ("medium", "hard", "very hard")
    ) == 81  # fmt: skip


def test_length_controlled_keeps_lengths_by_category() -> None:
    rows = made(4000)
    found = set(pick(rows, 1000, pick="length_controlled", order="reward DESC"))
    assert len(found) == 1000
    for category in CATEGORIES:
        mine = [i for i, row in enumerate(rows) if row["category"] == category]
        mine.sort(key=lambda i: (rows[i]["response_chars"], i))
        for tenth in range(10):
            part = [i for at, i in enumerate(mine) if at * 10 // len(mine) == tenth]
            taken = [i for i in part if i in found]
            assert abs(len(taken) - len(part) / 4) < 1
            order = [i for i in ranked(rows, ("reward", True)) if i in set(part)]
            assert sorted(taken) == sorted(order[: len(taken)])
    mean = np.mean([rows[i]["response_chars"] for i in found])
    assert abs(mean - np.mean([row["response_chars"] for row in rows])) < 3
    longest = pick(rows, 1000, pick="longest")
    assert np.mean([rows[i]["response_chars"] for i in longest]) > mean + 100


def test_length_controlled_takes_the_best_by_reward_where_no_order_is_said() -> None:
    rows = made()
    assert pick(rows, 100, pick="length_controlled") == pick(
        rows, 100, pick="length_controlled", order="reward DESC"
    )
    everything = pick(rows, 400, pick="length_controlled")
    assert everything == list(range(400))


def test_too_few_rows_are_an_error_that_says_how_many_there_are() -> None:
    rows = made()
    with pytest.raises(InvalidData, match="asks for 500 rows and there are 400"):
        pick(rows, 500, order="reward")
    quotas = Quotas(by="category", shares={"Math": 0.9})
    there = sum(row["category"] == "Math" for row in rows)
    with pytest.raises(InvalidData, match=f"asks for 360 rows of Math and there are {there}"):
        pick(rows, 400, order="reward", quotas=quotas)
    assert len(pick(rows, 500, order="reward", at_most=True)) == 400
    assert len(pick(rows, 400, order="reward", at_most=True, quotas=quotas)) == there + 40


def test_the_pick_is_the_last_line_of_the_funnel() -> None:
    _, count = counted(made(), 90, order="reward desc")
    assert count == ClauseCount(
        clause="90 rows: the first by reward DESC", before=400, kept=90, alone=None
    )
