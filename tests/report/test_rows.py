"""Which rows are shown."""

from __future__ import annotations

from collections import Counter

import pytest

from magpie_hub.report.rows import ALL, FEWEST, KEPT_FATE, REJECTED, Fate, shares_of


def fates(kept: int, **others: int) -> Counter[Fate]:
    return Counter({KEPT_FATE: kept} | {("screen", name): n for name, n in others.items()})


def test_few_rows_are_all_shown() -> None:
    counts = fates(ALL - 30, duplicate=20, empty=10)
    assert shares_of(counts) == counts


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ({"a": 50_000, "b": 50_000}, [REJECTED // 2, REJECTED // 2]),
        ({"a": 5, "b": 100, "c": 90_000}, [5, 100, REJECTED - 105]),
        ({f"r{n:03d}": 1_000 for n in range(200)}, [FEWEST] * 200),
    ],
)
def test_of_many_each_reason_has_its_part(others: dict[str, int], expected: list[int]) -> None:
    found = shares_of(fates(800_000, **others))
    assert found[KEPT_FATE] == ALL
    assert [found["screen", name] for name in others] == expected


def test_a_run_that_keeps_little_shows_all_of_it() -> None:
    assert shares_of(fates(7, a=90_000)) == {KEPT_FATE: 7, ("screen", "a"): REJECTED}
