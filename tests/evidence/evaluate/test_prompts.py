"""Prompts and answers in the formats of the benchmarks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from magpie_hub.errors import HubError, InvalidData, UsageError
from magpie_hub.evidence.evaluate.opponents import read_answers, write_answers
from magpie_hub.evidence.evaluate.prompts import read_prompts

SAMPLES = Path(__file__).parent / "prompts"
KINDS = {
    "alpaca_eval.json": "alpaca-eval",
    "arena_hard_1.jsonl": "arena-hard",
    "arena_hard_2.jsonl": "arena-hard",
    "wildbench.jsonl": "wildbench",
    "mt_bench.jsonl": "mt-bench",
    "plain.jsonl": "plain",
}


@pytest.mark.parametrize("name", KINDS)
def test_a_benchmark_is_known_by_its_columns(name: str, tmp_path: Path) -> None:
    renamed = tmp_path / f"questions{Path(name).suffix}"
    renamed.write_bytes((SAMPLES / name).read_bytes())
    found = read_prompts(str(renamed))
    assert found.kind == KINDS[name]
    assert len({prompt.id for prompt in found.prompts}) == len(found.prompts) >= 2
    assert all(prompt.turns and all(prompt.turns) for prompt in found.prompts)


def test_every_sample_is_tried() -> None:
    assert {file.name for file in SAMPLES.iterdir()} == set(KINDS)


def test_what_each_format_holds_is_read() -> None:
    def prompts(name: str) -> list:
        return list(read_prompts(str(SAMPLES / name)).prompts)

    assert prompts("alpaca_eval.json")[1].answer == "It is 7."
    assert prompts("alpaca_eval.json")[1].generator == "gpt4_1106_preview"
    wild = prompts("wildbench.jsonl")[0]
    assert (wild.id, wild.turns, len(wild.history), len(wild.checklist)) == (
        "s1",
        ("Write one.",),
        2,
        2,
    )
    bench = prompts("mt_bench.jsonl")
    assert [len(each.turns) for each in bench] == [2, 2]
    assert bench[1].references == ("It is 7.", "It is 36.")
    value, code, talk = prompts("plain.jsonl")
    assert value.truth == "7" and code.tests == "assert add(2, 3) == 5"
    assert talk.turns == ("How do birds fly?",) and len(talk.history) == 2


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"question_id": 3, "turns": []}, "line 2: `turns` is missing"),
        ({"question_id": 3, "turns": "What?"}, "line 2: `turns` is no list"),
        ({"question_id": 3, "turns": [1]}, "line 2: `turns` is no list of texts"),
        ({"turns": ["What?"]}, "line 2: `question_id` is missing"),
        ({"question_id": 81, "turns": ["What?"]}, "line 2: the id 81 stands in line 1 too"),
        ([], "line 2: this is no object"),
    ],
)
def test_what_a_row_lacks_is_said_with_its_line(row: object, why: str, tmp_path: Path) -> None:
    first = (SAMPLES / "mt_bench.jsonl").read_text(encoding="utf-8").splitlines()[0]
    file = tmp_path / "bench.jsonl"
    file.write_text(f"{first}\n{json.dumps(row)}\n", encoding="utf-8")
    with pytest.raises(InvalidData, match=why):
        read_prompts(str(file))


def test_files_that_hold_no_prompts(tmp_path: Path) -> None:
    file = tmp_path / "bench.jsonl"
    with pytest.raises(UsageError, match=r"no file .*; give one, or one of alpaca-eval"):
        read_prompts(str(file))
    file.write_text("\n", encoding="utf-8")
    with pytest.raises(InvalidData, match="holds no prompts"):
        read_prompts(str(file))
    file.write_text('{"text": "x"}\n', encoding="utf-8")
    with pytest.raises(UsageError, match="no known form: its columns are text"):
        read_prompts(str(file))
    file.write_text('{"prompt": "x"}\n{"pro\n', encoding="utf-8")
    with pytest.raises(InvalidData, match=r"bench.jsonl, line 2 is no JSON"):
        read_prompts(str(file))
    file.write_text(
        '{"session_id": "a", "conversation_input": [{"role": "assistant", "content": "x"}]}\n',
        encoding="utf-8",
    )
    with pytest.raises(InvalidData, match="does not end with the user"):
        read_prompts(str(file))


def test_a_name_is_looked_for_on_the_hub() -> None:
    with pytest.raises(HubError, match="mt-bench could not be had from lmsys/mt-bench"):
        read_prompts("mt-bench")


@pytest.mark.parametrize("name", KINDS)
def test_answers_in_a_benchmarks_own_format_are_read_again(name: str, tmp_path: Path) -> None:
    benchmark = read_prompts(str(SAMPLES / name))
    answers = [
        tuple(f"answer {n} to {prompt.id}" for n in range(len(prompt.turns)))
        for prompt in benchmark.prompts
    ]
    file = write_answers(tmp_path, "org/model", benchmark, answers)
    assert read_answers(file, benchmark) == ("org/model", answers)
    missing = write_answers(tmp_path, "org/model", benchmark, [*answers[:-1], None])
    with pytest.raises(InvalidData, match=f"no answer to prompt {benchmark.prompts[-1].id} of"):
        read_answers(missing, benchmark)


def test_the_fields_that_their_judges_read(tmp_path: Path) -> None:
    """As the benchmarks' own code names them."""

    def written(name: str) -> dict:
        benchmark = read_prompts(str(SAMPLES / name))
        answers = [("x",) * len(prompt.turns) for prompt in benchmark.prompts]
        text = write_answers(tmp_path, "m", benchmark, answers).read_text(encoding="utf-8")
        return json.loads(text)[0] if text.startswith("[") else json.loads(text.splitlines()[0])

    assert {"instruction", "output", "generator", "dataset"} <= set(written("alpaca_eval.json"))
    assert written("arena_hard_1.jsonl")["choices"][0]["turns"] == [{"content": "x"}]
    assert written("arena_hard_2.jsonl")["messages"][-1]["content"] == {"answer": "x"}
    assert written("mt_bench.jsonl")["choices"] == [{"index": 0, "turns": ["x", "x"]}]
    assert written("mt_bench.jsonl")["question_id"] == 81
    assert written("wildbench.jsonl")["output"] == ["x"]


def test_answers_that_name_no_prompt(tmp_path: Path) -> None:
    benchmark = read_prompts(str(SAMPLES / "mt_bench.jsonl"))
    file = tmp_path / "theirs.jsonl"
    file.write_text('{"output": "x"}\n', encoding="utf-8")
    with pytest.raises(InvalidData, match="theirs.jsonl, line 1: an answer names its prompt"):
        read_answers(file, benchmark)
    file.write_text('{"question_id": 81, "output": "x"}\n', encoding="utf-8")
    with pytest.raises(InvalidData, match="1 answers to prompt 81, which has 2 turns"):
        read_answers(file, benchmark)
