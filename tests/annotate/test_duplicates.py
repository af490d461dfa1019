from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from magpie_hub.annotate.duplicates import Foreign, duplicates
from magpie_hub.annotate.items import Item
from magpie_hub.errors import InvalidData

LONG = "What is the capital of France, and why did it become the seat of the kings"
TEXTS = [
    LONG,
    LONG.upper() + " ",
    LONG + " then?",
    "Another matter altogether",
    None,
    "",
    "!!!",
    "!!!",
]
IDS = list("abcdefgh")


def told(**settings: Any) -> dict[str, tuple[str, str]]:
    rows = duplicates(IDS, TEXTS, **settings).to_pylist()
    assert [row["id"] for row in rows] == IDS
    return {
        row["id"]: (row["duplicate_of"], row["duplicate_reason"])
        for row in rows
        if row["duplicate_of"] is not None
    }


def test_the_longest_is_kept_and_the_others_say_why() -> None:
    assert told() == {"a": ("c", "near"), "b": ("c", "near"), "h": ("g", "exact")}


def test_quality_comes_before_length() -> None:
    quality = ["average", "good", "poor", *[None] * 5]
    found = told(quality=quality)
    assert found == {"a": ("b", "exact"), "c": ("b", "near"), "h": ("g", "exact")}


def test_a_row_of_an_earlier_release_stays() -> None:
    quality = ["average", "good", "poor", *[None] * 5]
    assert told(quality=quality, settled={"a"})["b"] == ("a", "exact")
    both = told(quality=quality, settled={"a", "c"})
    assert both == {"b": ("a", "exact"), "h": ("g", "exact")}


def test_neighbours_join_groups() -> None:
    found = told(neighbours=np.array([[3, 0]]))
    assert found["d"] == ("c", "neighbour")
    assert found["a"] == ("c", "near")


def test_a_threshold_out_of_reach_leaves_the_exact_ones() -> None:
    assert told(threshold=0.99) == {"a": ("b", "exact"), "h": ("g", "exact")}


def test_the_order_of_rows_makes_no_difference() -> None:
    draw, texts = random.Random(3), [t or "" for t in TEXTS]
    expected = {row["id"]: row for row in duplicates(IDS, TEXTS).to_pylist()}
    for _ in range(5):
        order = draw.sample(range(len(IDS)), len(IDS))
        rows = duplicates([IDS[i] for i in order], [texts[i] for i in order]).to_pylist()
        assert {row["id"]: row for row in rows} == expected


def test_a_misspelt_quality_is_refused() -> None:
    with pytest.raises(InvalidData, match="'god' is no quality"):
        duplicates(["a"], ["text"], quality=["god"])


def test_no_rows() -> None:
    assert duplicates([], []).num_rows == 0


def test_other_datasets_name_their_item() -> None:
    texts = {"first:0": "nothing alike", "first:2": LONG + "?", "second:0": "!!!", "second:1": LONG}
    foreign = Foreign([Item(name, text) for name, text in texts.items()])
    found = foreign.find([LONG, LONG + " again now", "!!!", "unheard of", None, ""])
    assert found == [
        ("second:1", "exact"),
        ("first:2", "near"),
        ("second:0", "exact"),
        None,
        None,
        None,
    ]


def test_no_other_datasets() -> None:
    assert Foreign([]).find(["text"]) == [None]
