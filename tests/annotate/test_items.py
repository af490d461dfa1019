from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from magpie_hub.annotate.items import Item, read_file, read_hub
from magpie_hub.errors import UsageError


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


def test_fields_that_hold_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text('{"turns": [{"from": "human", "value": "x"}]}\n')
    with pytest.raises(UsageError, match="the field 'turns' of .* holds no text"):
        read_file("a", path, ["turns"])
