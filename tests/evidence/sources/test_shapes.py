"""Every documented shape, from samples written by hand, as JSON and as Parquet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from magpie_hub.errors import InvalidData, UsageError
from magpie_hub.evidence.sources import Place, Source, open_source

SAMPLES = Path(__file__).parent / "samples"
HOW = "How do I keep basil alive indoors?"
HAIKU = "Write a haiku about a lighthouse."
FJORD = "What is a fjord?"

SHAPES = {
    "sharegpt.json": ("conversations of from and value", [4, 2, 3, 0]),
    "wildchat.jsonl": ("conversation of role and content", [2, 4]),
    "lmsys.jsonl": ("conversation of role and content", [2, 2]),
    "evol_instruct_70k.json": ("instruction, input and output", [2, 2]),
    "evol_instruct_196k.jsonl": ("conversations of from and value", [2, 2]),
    "ultrachat.jsonl": ("data: texts in turn", [4, 2]),
    "ultrachat_200k.jsonl": ("messages of role and content", [4, 3]),
    "openhermes_1.json": ("instruction, input and output", [2, 2]),
    "openhermes_2_5.json": ("conversations of from and value", [3, 2]),
    "tulu_2_mix.jsonl": ("messages of role and content", [2, 3]),
    "genqa.jsonl": ("text of role and content", [2, 2]),
    "alpaca.json": ("instruction, input and output", [2, 2, 2]),
    "self_instruct_instances.jsonl": ("instruction and instances", [2, 2]),
    "self_instruct_prompts.jsonl": ("prompt and completion", [2, 2]),
    "ultrafeedback.jsonl": ("instruction and scored completions", [2, 2]),
    "ultrafeedback_binarized.jsonl": ("chosen messages", [2, 2]),
    "magpie_1.jsonl": ("conversations of from and value", [2, 2]),
    "magpie_2.jsonl": ("instruction and response", [2, 2]),
    "magpie_mt.jsonl": ("conversations of from and value", [4, 4]),
    "magpie_dpo.jsonl": ("chosen messages", [2, 2]),
    "ours_preference.jsonl": ("prompt and chosen messages", [2, 2]),
}
"""Of each sample the shape that it is recognised as, and how many messages each row has."""


def opened(text: str | Path) -> Source:
    return open_source(str(text), report=lambda line: None)


def rows(source: Source) -> pl.DataFrame:
    return pl.concat(frame for frame, _ in source.batches())


def said(name: str) -> list[list[tuple[str, str]]]:
    found = rows(opened(SAMPLES / name))["messages"].to_list()
    return [[(each["role"], each["content"]) for each in row] for row in found]


def as_parquet(sample: Path, folder: Path) -> Path:
    """The same rows as ``datasets`` would write them."""
    text = sample.read_text(encoding="utf-8")
    lines = sample.suffix == ".jsonl"
    objects: list[Any] = [*map(json.loads, text.splitlines())] if lines else json.loads(text)
    file = folder / "rows.parquet"
    pl.from_dicts(objects, infer_schema_length=None).write_parquet(file)
    return file


def test_every_sample_is_tried() -> None:
    assert {*SHAPES, "unknown.jsonl"} == {file.name for file in SAMPLES.iterdir()}


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_is_recognised_by_its_columns(name: str, tmp_path: Path) -> None:
    shape, lengths = SHAPES[name]
    # Its name says nothing: the file has another one.
    sample = tmp_path / f"data{Path(name).suffix}"
    sample.write_bytes((SAMPLES / name).read_bytes())
    source = opened(sample)
    found = rows(source)
    assert source.facts["shape"] == shape
    assert found["messages"].list.len().to_list() == lengths
    roles = set(found["messages"].list.explode().struct.field("role").drop_nulls())
    assert {"user", "assistant"} <= roles <= {"user", "assistant", "system"}
    assert found["id"].n_unique() == len(lengths)
    parquet = opened(as_parquet(sample, tmp_path))
    assert parquet.facts["shape"] == shape
    assert rows(parquet).to_dicts() == found.to_dicts()


def test_what_the_rows_say() -> None:
    light = "Give it six hours of light and water it from below."
    assert said("sharegpt.json")[0][:2] == [("user", HOW), ("assistant", light)]
    assert said("sharegpt.json")[2][2] == ("assistant", "You are welcome.")
    assert said("ultrachat.jsonl")[0][2] == ("user", "Where are the longest?")
    assert said("ultrachat_200k.jsonl")[1][0] == ("system", "Answer in one sentence.")
    alpaca = said("alpaca.json")
    assert alpaca[0][0] == ("user", "Turn this into a question.\n\nThe shop opens at nine.")
    assert alpaca[1][0] == ("user", HOW) and alpaca[2][0] == ("user", HOW.upper())
    task = said("self_instruct_instances.jsonl")[0]
    assert task[0][1].endswith("kind.\n\nI loved every page.") and task[1][1] == "kind"
    assert said("ultrafeedback.jsonl")[0][1] == ("assistant", light)
    assert said("ultrafeedback.jsonl")[1][1] == ("assistant", "Buona notte.")
    assert said("genqa.jsonl")[1] == [("user", HOW), ("assistant", light)]
    assert said("ours_preference.jsonl")[0] == [("user", HOW), ("assistant", light)]
    assert said("magpie_dpo.jsonl")[1][0] == ("user", HAIKU)


def test_labels_have_our_names_and_values() -> None:
    first, second = (opened(SAMPLES / f"magpie_{each}.jsonl") for each in (1, 2))
    found = rows(first).drop("id", "messages").to_dicts()
    assert found[0] == {
        "category": "Advice seeking",
        "difficulty": "easy",
        "quality": "good",
        "safety": "safe",
        "reward": -3.25,
        "reward_difference": 5.75,
    }
    assert found[1]["safety"] == "S2" and found[1]["quality"] == "excellent"
    (frame, makers), *_ = second.batches()
    assert makers == {
        "category": "a-judge",
        "difficulty": "a-judge",
        "quality": "a-judge",
        "reward": "a-reward-model",
    }
    assert frame["category"].to_list() == ["Creative writing", "Others"]
    assert frame["quality"].to_list() == ["average", None]
    assert frame["reward"].to_list() == [-1.0, None]
    ours = opened(SAMPLES / "ours_preference.jsonl")
    assert rows(ours)["safety"].to_list() == ["safe", "S1, S2"]
    # "math" of another set is not our category.
    assert rows(opened(SAMPLES / "genqa.jsonl"))["category"].to_list() == [None, None]


def test_what_is_not_recognised_is_refused_with_what_was_found() -> None:
    file = SAMPLES / "unknown.jsonl"
    with pytest.raises(UsageError) as refused:
        opened(file)
    assert "its columns are frage (text), antwort (text), stufe (number)" in str(refused.value)
    assert f"'{file}#question=COLUMN,answer=COLUMN'" in str(refused.value)


def test_a_mapping_says_what_columns_hold(tmp_path: Path) -> None:
    file = SAMPLES / "unknown.jsonl"
    source = opened(f"{file}#question=frage,answer=antwort,name=deutsch")
    assert source.name == "deutsch" and source.facts["shape"] == "frage and antwort"
    assert rows(source)["messages"][0].to_list()[0] == {"role": "user", "content": HOW}
    lists = tmp_path / "lists.jsonl"
    lists.write_text(json.dumps({"talk": [HOW, "Water it."], "n": 1}) + "\n")
    assert rows(opened(f"{lists}#messages=talk"))["messages"].list.len().to_list() == [2]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("question=frage", "names the question= and the answer="),
        ("question=frage,answer=nein", "has no column 'nein' .answer=.; its columns are frage, "),
        ("question=frage,answer=stufe", "column 'stufe' of .* holds no text: number"),
        ("messages=frage", "column 'frage' of .* holds no messages: text"),
        ("quest=frage", "did you mean 'question'?"),
        ("split=", "'split=' is no KEY=VALUE"),
        ("split=test", "has no splits, so 'test' is none of them"),
    ],
)
def test_bad_mappings(keys: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        opened(f"{SAMPLES / 'unknown.jsonl'}#{keys}")


def test_a_place_is_taken_apart(tmp_path: Path) -> None:
    place = Place.parse("org/set@v1.2.0:filtered#split=test")
    assert (place.place, place.config, place.keys) == (
        "org/set@v1.2.0",
        "filtered",
        {"split": "test"},
    )
    assert place.name == "set@v1.2.0:filtered"
    odd = tmp_path / "a:b#c.jsonl"
    odd.write_text("{}\n")
    assert Place.parse(str(odd)).place == str(odd)
    assert Place.parse(f"{odd}#question=q,answer=a").mapping == {"question": "q", "answer": "a"}
    with pytest.raises(UsageError, match="there is no file or folder"):
        opened(tmp_path / "nowhere")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"instruction": "a", "output": "b"}\n{"instruction": \n')
    with pytest.raises(InvalidData, match="broken.jsonl is no JSON"):
        opened(broken)
    numbers = tmp_path / "numbers.json"
    numbers.write_text("[1, 2]")
    with pytest.raises(InvalidData, match="numbers.json, row 0: this is no object"):
        opened(numbers)
    fake = tmp_path / "fake.parquet"
    fake.write_bytes(b"PAR0")
    with pytest.raises(InvalidData, match="fake.parquet cannot be read as Parquet"):
        opened(fake)
    with pytest.raises(UsageError, match="holds files of several kinds .*json.*parquet"):
        opened(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no rows"):
        opened(tmp_path / "empty")


def test_odd_values_are_left_out_and_the_rest_is_read(tmp_path: Path) -> None:
    """After the rows that say which columns there are, anything may come."""
    file = tmp_path / "odd.jsonl"
    plain = {"instruction": HOW, "output": "Water it."}
    odd = [
        {"instruction": 7, "output": ["x"]},
        {"instruction": "half \ud83d a pair", "output": None},
        {"other": 1},
    ]
    file.write_text("\n".join(json.dumps(row) for row in [plain] * 1000 + odd), encoding="utf-8")
    found = rows(opened(file))["messages"].to_list()
    assert [message["content"] for message in found[1000]] == ["", ""]
    assert found[1001][0]["content"] == "half ? a pair" and len(found) == 1003


def test_an_array_longer_than_what_is_read_at_a_time(tmp_path: Path) -> None:
    file = tmp_path / "long.json"
    many = [{"instruction": f"{n} " + "é" * 3000, "output": "[}]\\"} for n in range(400)]
    many.append({"instruction": "x" * (3 << 20), "output": "the end"})
    file.write_text(json.dumps(many, indent=2, ensure_ascii=False), encoding="utf-8")
    found = rows(opened(file))
    assert found["id"].to_list() == [str(n) for n in range(401)]
    assert [m[0]["content"] for m in found["messages"].to_list()] == [
        row["instruction"] for row in many
    ]
