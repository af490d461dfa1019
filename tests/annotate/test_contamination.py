from __future__ import annotations

import random

import numpy as np
import pytest

from magpie_hub.annotate.contamination import Benchmarks, Hit
from magpie_hub.annotate.items import Item

ITEM = "Natalia sold clips to 48 of her friends in April, and then she sold half as many in May."
RUN = "natalia sold clips to 48 of her friends in april and then she"


def test_a_hit_names_benchmark_item_and_words() -> None:
    index = Benchmarks([Item("other:0", "something else " * 9), Item("gsm8k:test/17", ITEM)])
    found = index.find(["Please solve: " + ITEM.upper(), "Natalia sold clips.", None, ""])
    assert found == [Hit("gsm8k:test/17", RUN), None, None, None]


def test_the_size_decides() -> None:
    eight = "He said that she sold half as many in May, or so it was."
    assert Benchmarks([Item("a:0", ITEM)], size=8).find([eight]) == [None]
    eight = "He said that then she sold half as many in May, or so it was."
    (hit,) = Benchmarks([Item("a:0", ITEM)], size=8).find([eight])
    assert hit == Hit("a:0", "then she sold half as many in may")
    assert Benchmarks([Item("a:0", ITEM)]).find([eight]) == [None]


def test_the_first_item_names_a_run_that_several_have() -> None:
    index = Benchmarks([Item("a:3", "x " + ITEM), Item("b:9", ITEM)])
    (hit,) = index.find([ITEM])
    assert hit is not None and hit.item == "a:3"


def test_short_items_are_counted() -> None:
    index = Benchmarks([Item("a:0", "Too short."), Item("a:1", ITEM), Item("b:0", "")])
    assert index.too_short == {"a": 1, "b": 1}
    assert index.find(["Too short."]) == [None]


def test_no_items_no_hits() -> None:
    assert Benchmarks([]).find([ITEM]) == [None]


def test_flags_are_those_of_sets_of_words() -> None:
    draw = random.Random(5)
    words = [f"w{n}" for n in range(40)]
    items = [draw.choices(words, k=draw.randint(3, 30)) for _ in range(200)]
    rows = [draw.choices(words, k=draw.randint(0, 40)) for _ in range(2000)]
    for row in rows[::7]:
        row += draw.choice(items)
    known = {tuple(item[i : i + 5]) for item in items for i in range(len(item) - 4)}
    expected = [any(tuple(row[i : i + 5]) in known for i in range(len(row) - 4)) for row in rows]
    index = Benchmarks([Item(f"a:{n}", " ".join(item)) for n, item in enumerate(items)], size=5)
    found = index.find([", ".join(row) for row in rows])
    assert [hit is not None for hit in found] == expected
    assert 100 < sum(expected) < 1900


def test_a_hash_that_is_equal_by_chance_is_no_hit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("magpie_hub.words._mixed", lambda hashes: hashes & np.uint64(3))
    index = Benchmarks([Item("a:0", ITEM)])
    assert index.find(["other words entirely " * 8]) == [None]
