"""What answers are checked by: values and tests beside the prompts, or a function that is named."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from demo_model import grammar
from demo_model.truth import is_right
from magpie_hub import cli
from magpie_hub.errors import UsageError
from magpie_hub.evidence.evaluate import Settings, evaluate, truth
from magpie_hub.evidence.evaluate.prompts import Prompt
from magpie_hub.evidence.evaluate.truth import checked, correct, load
from tests.conftest import Silent

CHAT = "bundled:chat"
BY_GRAMMAR = "demo_model.truth:is_right"


def prompt(text: str, **known: str) -> Prompt:
    return Prompt("a", (text,), 0, {}, **known)  # type: ignore[arg-type]


def test_answers_are_checked_by_value_and_by_tests() -> None:
    value = prompt("What is 3 plus 4?", truth="7")
    assert correct(value, ("3 + 4 = 7",)) and not correct(value, ("It is 8.",))
    code = prompt("Write add(a, b).", tests="assert add(2, 3) == 5")
    right = "```python\ndef add(a, b):\n    return a + b\n```"
    assert correct(code, (right,)) and not correct(code, (right.replace("+", "-"),))
    assert not correct(code, ("I cannot.",))


def test_a_function_counts_beside_values_and_leaves_out_what_it_cannot_tell() -> None:
    asked: list[tuple[str, str]] = []

    def even(question: str, answer: str) -> bool | None:
        asked.append((question, answer))
        return int(answer) % 2 == 0 if answer.isdigit() else None

    turns = Prompt("b", ("Hello!", "An even number?"), 1, {})
    prompts = [prompt("What is 3 plus 4?", truth="7"), turns, turns, turns]
    found = checked(prompts, [("7",), ("Hi.", "4"), ("Hi.", "5"), ("Hi.", "No.")], even)
    assert found.right == (1, 1, 0)
    name = f"{test_a_function_counts_beside_values_and_leaves_out_what_it_cannot_tell.__name__}"
    assert found.by == {"value": 1, f"{name}.<locals>.even": 2}
    # Only of the last turn, and not where a value stands beside the prompt.
    assert asked == [("An even number?", text) for text in ("4", "5", "No.")]


def test_the_bundled_grammar_checks_the_bundled_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Questions that nothing stands beside, and answers that only the grammar can judge."""
    turns = [grammar.sample(Random(seed)) for seed in range(24)]
    questions = [turn.query for turn in turns if is_right(turn.query, turn.answer) is not None]
    assert len(questions) >= 8
    file = tmp_path / "questions.jsonl"
    rows = [{"prompt": each} for each in [*questions, "Qqq zzz?"]]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    out = tmp_path / "out"
    asked = ["evaluate", CHAT, "--prompts", str(file), "--out", str(out), "--max-tokens", "60"]
    assert cli.main([*asked, "--truth", BY_GRAMMAR, "--json"]) == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    [number] = [each for each in found["numbers"] if each["name"] == "correct"]
    answered = (out / found["file"]).read_text(encoding="utf-8").splitlines()
    verdicts = [is_right(row["prompt"], row["output"]) for row in map(json.loads, answered)]
    assert verdicts[-1] is None and number["value"]["n"] == len(questions)
    assert number["value"]["value"] == pytest.approx(sum(map(bool, verdicts)) / len(questions))
    assert number["value"]["value"] > 0.5
    assert number["title"] == "correct, by is_right" and "correct, by is_right" in told.err
    assert f"{len(questions)} by is_right" in number["meaning"]
    assert found["settings"]["truth"] == BY_GRAMMAR


def test_who_can_check_nothing_is_told(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text('{"prompt": "Qqq zzz?"}\n', encoding="utf-8")
    settings = Settings(truth=is_right, max_tokens=5)
    found = evaluate(CHAT, str(file), tmp_path / "out", settings, progress=Silent())
    assert found.absent == {"correct": f"{BY_GRAMMAR} could check none of the answers."}
    assert [each.name for each in found.numbers] == ["length"]


def fails(question: str, answer: str) -> bool | None:
    return {}[answer]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (fails, r"test_truth:fails failed at prompt a \(KeyError: '7'\); mend it"),
        (lambda question, answer: 1, "returned 1 at prompt a; it returns True, False, or None"),
    ],
)
def test_a_function_that_fails_is_named_with_the_prompt(
    function: Callable[[str, str], bool | None], why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        checked([prompt("What?")], [("7",)], function)


def test_a_function_is_found_in_the_folder_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "truth_of_mine.py").write_text(
        "def good(question, answer):\n    return answer == question\n", encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [each for each in truth.sys.path if each])
    found = load("truth_of_mine:good")
    assert found("a", "a") is True and truth.name(found) == "truth_of_mine:good"


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("is_right", "give MODULE:FUNCTION"),
        ("no_such_module:f", r"no_such_module cannot be imported \(ModuleNotFoundError"),
        ("demo_model.truth:no", "demo_model.truth has no function no"),
        ("demo_model.truth:__name__", "has no function __name__"),
    ],
)
def test_what_cannot_be_imported_is_said(
    place: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["evaluate", "no-such-model", "--prompts", "no-such-file", "--truth", place]
    assert cli.main(asked) == 2
    said = capsys.readouterr().err
    assert re.search(why, said) and said.count("\n") == 1
