from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from magpie_hub.annotate.contamination import (
    Benchmarks,
    Hit,
    Item,
    nearest,
    read_file,
    read_hub,
)
from magpie_hub.errors import UsageError

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


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet", ".txt"])
def test_files_of_every_kind(tmp_path: Path, suffix: str) -> None:
    frame = pl.DataFrame({"id": [1, 2], "question": ["first", "second"]})
    path = tmp_path / f"items{suffix}"
    writers = {
        ".jsonl": frame.write_ndjson,
        ".json": frame.write_json,
        ".csv": frame.write_csv,
        ".parquet": frame.write_parquet,
        ".txt": lambda p: p.write_text("first\nsecond\n"),
    }
    writers[suffix](path)
    assert read_file("mine", path, ["question"]) == [
        Item("mine:0", "first"),
        Item("mine:1", "second"),
    ]


def test_several_fields_and_lists_belong_to_one_item(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    row = {"question": "Which?", "choices": ["one", "two"], "answer": None}
    path.write_text(json.dumps(row) + "\n")
    found = read_file("mmlu", path, ["question", "choices", "answer"])
    assert found == [Item("mmlu:0", "Which?"), Item("mmlu:0", "one two")]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    with pytest.raises(UsageError, match="cannot be read"):
        read_file("a", path, ["question"])
    path.write_text('{"question": "x"}\n')
    with pytest.raises(UsageError, match="no field 'prompt'; its fields are: question"):
        read_file("a", path, ["prompt"])
    with pytest.raises(UsageError, match="needs the fields"):
        read_file("a", path)
    with pytest.raises(UsageError, match="is none of"):
        read_file("a", tmp_path / "items.xlsx", ["question"])


def test_a_dataset_as_on_the_hub(tmp_path: Path) -> None:
    pl.DataFrame({"question": ["first", "second"]}).write_parquet(tmp_path / "test.parquet")
    found = read_hub("gsm8k", str(tmp_path), ["question"])
    assert found == [Item("gsm8k:test/0", "first"), Item("gsm8k:test/1", "second")]
    with pytest.raises(UsageError, match="no field 'answer'"):
        read_hub("gsm8k", str(tmp_path), ["question", "answer"])


def test_the_nearest_item_by_cosine() -> None:
    draw = np.random.default_rng(1)
    items = draw.normal(size=(5000, 16)).astype(np.float32)
    rows = np.concatenate([items[[4321, 17]] * 3, draw.normal(size=(3000, 16))]).astype(np.float32)
    units = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in (rows, items)]
    cosines = units[0] @ units[1].T
    place, best = nearest(rows, items, at_least=0.9)
    assert place[:2].tolist() == [4321, 17]
    assert np.allclose(best, cosines.max(axis=1), atol=1e-5)
    expected = np.where(best >= 0.9, cosines.argmax(axis=1), -1)
    assert (place == expected).all()
    assert nearest(rows[:1], items[:0], at_least=0.5)[0].tolist() == [-1]
