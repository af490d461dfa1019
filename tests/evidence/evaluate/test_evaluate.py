"""Whole evaluations on the bundled model, which answers, is its own opponent, and judges.

Bound to a grammar any model gives verdicts; this one knows nothing of judging, so the numbers here
mean nothing. What is tested is the way to them. Scripted engines are for faults alone.
"""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from magpie_hub import cli, models, template
from magpie_hub.engines import Completion, EngineSpec, Request, Task
from magpie_hub.errors import EngineError, InvalidData, UsageError
from magpie_hub.evidence import asking, templates
from magpie_hub.evidence.evaluate import Settings, evaluate, judging
from magpie_hub.evidence.evaluate.evaluation import Evaluation
from magpie_hub.evidence.evaluate.judging import FIVE, THREE, read_verdict
from magpie_hub.evidence.evaluate.winrates import read_gamed
from magpie_hub.terminal.evaluation import show_evaluation
from tests.conftest import Silent
from tests.scripted import Scripted

SAMPLES = Path(__file__).parent / "prompts"
CHAT = "bundled:chat"
TEMPLATE = template.load(models.resolve(CHAT).path)


def told(name: str, out: Path, **settings: Any) -> Evaluation:
    how = {"judge": CHAT, "max_tokens": 40} | settings
    return evaluate(CHAT, str(SAMPLES / name), out, Settings(**how), progress=Silent())


def shown(found: Evaluation) -> str:
    stream = io.StringIO()
    show_evaluation(Console(file=stream, width=80), found)
    return stream.getvalue()


def titles(found: Evaluation) -> set[str]:
    return {number.name for each in found.judges for number in each.numbers}


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> tuple[Evaluation, Path]:
    """The model against itself, by two judges that are one."""
    out = tmp_path_factory.mktemp("arena") / "out"
    return told("arena_hard_1.jsonl", out, against=CHAT, second_judge=CHAT), out


def test_a_model_is_as_good_as_itself(arena: tuple[Evaluation, Path]) -> None:
    """Both orders of one pair of equal answers cancel, whatever the judge prefers."""
    found, _ = arena
    one, other = found.judges
    assert (found.prompts, found.judged, found.failed) == (2, 2, 0)
    assert (one.games, one.invalid) == (4, 0) and one.numbers == other.numbers
    numbers = {number.name: number.value.value for number in one.numbers}
    assert numbers["win_rate"] == 0.5 and numbers["elo"] == 1000
    assert {"arena_score", "style_controlled", "length_controlled"} <= set(numbers)
    assert found.agreement == 1 or "agreement" in found.absent


def test_the_result_is_frozen_and_fits_on_a_terminal(arena: tuple[Evaluation, Path]) -> None:
    found, _ = arena
    again = json.loads(json.dumps(found.to_dict()))
    assert again["judges"][0]["numbers"][0]["value"]["n"] == 2
    assert again["interval"] == {"level": 0.95, "bootstrap": 1000}
    with pytest.raises(ValueError, match="frozen"):
        found.model = "other"  # type: ignore[misc]
    told_ = shown(found)
    assert max(map(len, told_.splitlines())) <= 80
    assert "length-controlled win rate" in told_ and "4 verdicts asked for, 0 not given" in told_
    assert "penalty" not in told_


def test_the_command_tells_json_and_one_sentence(
    arena: tuple[Evaluation, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    found, out = arena
    prompts = str(SAMPLES / "arena_hard_1.jsonl")
    asked = ["evaluate", CHAT, "--against", CHAT, "--prompts", prompts, "--out", str(out)]
    asked += ["--judge", CHAT, "--second-judge", CHAT, "--max-tokens", "40"]
    assert cli.main([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found.to_dict()
    assert cli.main(["evaluate", CHAT, "--prompts", prompts, "--out", str(out)]) == 2
    assert "has no answers to check by: give --judge MODEL or --truth" in capsys.readouterr().err


def test_what_is_done_is_not_done_again(
    arena: tuple[Evaluation, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, out = arena

    def no_engine(*_: object) -> Scripted:
        raise AssertionError("nothing is left to ask")

    monkeypatch.setattr(asking, "open_engine", no_engine)
    assert told("arena_hard_1.jsonl", out, against=CHAT, second_judge=CHAT) == found
    # Other settings lie beside it.
    with pytest.raises(AssertionError, match="nothing is left to ask"):
        told("arena_hard_1.jsonl", out, against=CHAT, max_tokens=41)


def test_a_finished_shard_stays_when_the_engine_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "SHARD", 1)
    asked: list[Request] = []

    def engine_that(dies: bool) -> Any:
        def script(request: Request) -> Completion:
            asked.append(request)
            if dies and len(asked) == 2:
                raise EngineError("the GPU is out of memory.")
            return Completion(request, TEMPLATE.renderer.ids("7"))

        return lambda *_: Scripted(script, capacity=1)

    monkeypatch.setattr(asking, "open_engine", engine_that(True))
    with pytest.raises(EngineError, match="out of memory"):
        told("plain.jsonl", tmp_path, judge=None)
    assert len(list(tmp_path.rglob("*.arrow"))) == 1 and not list(tmp_path.glob("*.jsonl"))
    monkeypatch.setattr(asking, "open_engine", engine_that(False))
    found = told("plain.jsonl", tmp_path, judge=None)
    assert len(asked) == 4  # one that was lost, three answers
    assert found.numbers[0].name == "correct" and found.numbers[0].value.value == 0.5


def test_the_answers_that_came_with_the_prompts_are_the_opponent(tmp_path: Path) -> None:
    found = told("alpaca_eval.json", tmp_path)
    assert found.opponent == "gpt4_1106_preview"
    assert titles(found) == {"win_rate", "length_controlled"}
    assert "df_gamed.csv" in found.absent["difficulty"]
    rows = json.loads((tmp_path / found.file).read_text(encoding="utf-8"))
    assert [row["generator"] for row in rows] == [CHAT, CHAT]


def test_alpaca_eval_is_answered_with_the_papers_repetition_penalty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def script(request: Request) -> Completion:
        assert request.decoding is not None
        asked.append(request.decoding.repetition_penalty)
        return Completion(request, TEMPLATE.renderer.ids("7"))

    monkeypatch.setattr(asking, "open_engine", lambda *_: Scripted(script))
    told_ = {"truth": lambda question, answer: True, "judge": None}
    by_default = told("alpaca_eval.json", tmp_path, **told_)
    assert by_default.settings["repetition_penalty"] == 1.2 and asked == [1.2, 1.2]
    assert "repetition penalty 1.2" in " ".join(shown(by_default).split())
    without = told("alpaca_eval.json", tmp_path, repetition_penalty=1.0, **told_)
    assert without.settings["repetition_penalty"] == 1 and asked[2:] == [1, 1]
    plain = told("plain.jsonl", tmp_path, **told_)
    assert plain.settings["repetition_penalty"] == 1 and asked[4:] == [1, 1, 1]


def without_a_template(folder: Path, **replaced: str) -> Path:
    """The bundled model as a base would be; ``replaced`` are texts of its tokenizer."""
    shutil.copytree(models.resolve(CHAT).path, folder)
    config = folder / "tokenizer_config.json"
    known = json.loads(config.read_text(encoding="utf-8"))
    del known["chat_template"]
    config.write_text(json.dumps(known), encoding="utf-8")
    for file in (folder / "tokenizer.json", config):
        text = file.read_text(encoding="utf-8")
        for old, new in replaced.items():
            text = text.replace(f"<|{old}|>", f"<|{new}|>")
        file.write_text(text, encoding="utf-8")
    return folder


def test_a_base_model_is_given_a_chat_template(tmp_path: Path) -> None:
    base = str(without_a_template(tmp_path / "base"))
    note = f"{base} is asked with the chat template chatml."
    settings = Settings(max_tokens=40)
    silent, again = Silent(), Silent()
    prompts = str(SAMPLES / "plain.jsonl")
    found = evaluate(base, prompts, tmp_path / "one", settings, progress=silent)
    assert found.settings["chat_template"] == "chatml" and silent.notes == [note]
    # The bundled model's own is ChatML.
    own = told("plain.jsonl", tmp_path / "two", judge=None)
    assert own.settings["chat_template"] == "own" and own.numbers == found.numbers
    # Given, it is the model's, and that of an opponent which has none.
    file = tmp_path / "mine.jinja"
    file.write_text(templates.READY["chatml"][0].replace("assistant", "helper"), encoding="utf-8")
    given = Settings(max_tokens=40, judge=CHAT, against=CHAT, chat_template=str(file))
    both = evaluate(base, prompts, tmp_path / "three", given, progress=again)
    assert both.settings["chat_template"] == "mine.jinja"
    assert again.notes == [f"{base} is asked with the chat template mine.jinja."]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (None, "has no chat template and does not know <|im_start|> of the template chatml; give"),
        ("llama3", "does not know <|start_header_id|>, <|end_header_id|>, <|eot_id|> of the"),
        ("none.jinja", "--chat-template none.jinja is no file that can be read"),
        ("broken.jinja", "cannot be used: the chat template refuses this conversation"),
    ],
)
def test_a_chat_template_that_does_not_do_is_told_before_anything_is_asked(
    given: str | None, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.jinja").write_text("{% for message in messages %}", encoding="utf-8")
    base = str(without_a_template(tmp_path / "base", im_start="from"))
    settings = Settings(chat_template=given)
    with pytest.raises(UsageError, match=re.escape(why)):
        evaluate(base, str(SAMPLES / "plain.jsonl"), Path("out"), settings, progress=Silent())
    assert not Path("out").exists()


def test_a_judge_without_a_chat_template_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    judge = str(without_a_template(tmp_path / "base"))
    with pytest.raises(UsageError, match="has no chat template, so this is no chat model"):
        told("alpaca_eval.json", tmp_path / "out", judge=judge)
    assert not (tmp_path / "out").exists()


def test_difficulties_are_read(tmp_path: Path) -> None:
    file = tmp_path / "df_gamed.csv"
    file.write_text(
        "model,index,preference,std_delta_len,instruction_difficulty,not_gamed_baseline\n"
        "a,0,0.4,1.5,0.2,False\na,1,0.6,1.0,-0.3,False\nb,0,0.4,-1.5,0.2,False\n",
        encoding="utf-8",
    )
    assert read_gamed(file).difficulty == {0: 0.2, 1: -0.3}
    found = told("alpaca_eval.json", tmp_path / "out", gamed=str(file))
    assert "difficulty" not in found.absent and "length_controlled" in titles(found)
    first, second = file.read_text(encoding="utf-8").splitlines()[:2]
    file.write_text(f"{first}\n{second}\n", encoding="utf-8")
    with pytest.raises(InvalidData, match=r"df_gamed.csv has no difficulty of prompt 1"):
        told("alpaca_eval.json", tmp_path / "out", gamed=str(file))
    file.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(InvalidData, match=r"df_gamed.csv is no df_gamed.csv"):
        told("alpaca_eval.json", tmp_path / "out", gamed=str(file))


def test_turns_are_answered_one_after_the_other(tmp_path: Path) -> None:
    """Against an earlier file of the model itself."""
    first = told("mt_bench.jsonl", tmp_path / "one", against=CHAT)
    file = tmp_path / "one" / first.file
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [len(row["choices"][0]["turns"]) for row in rows] == [2, 2]
    again = told("mt_bench.jsonl", tmp_path / "two", against=str(file))
    assert again.opponent == CHAT and again.judges == first.judges


def test_wildbench_has_scores_without_an_opponent(tmp_path: Path) -> None:
    alone = told("wildbench.jsonl", tmp_path)
    assert titles(alone) == {"wildbench_score", "wildbench_score_by_task"}
    assert alone.opponent is None
    assert alone.judges[0].games == 2
    both = told("wildbench.jsonl", tmp_path, against=CHAT)
    assert {"wildbench_reward", "wildbench_reward_500", "win_rate"} <= titles(both)
    assert {"wildbench_reward_by_task", "wildbench_reward_500_by_task"} <= titles(both)
    assert both.judges[0].games == 6


@pytest.mark.parametrize(
    ("name", "settings", "why"),
    [
        ("mt_bench.jsonl", {}, "without answers to compare with: give --against"),
        ("mt_bench.jsonl", {"judge": None}, "no answers to check by: give --judge"),
        ("plain.jsonl", {"judge": None, "second_judge": CHAT}, "--second-judge goes with"),
        ("plain.jsonl", {"against": CHAT, "gamed": "x"}, "--gamed is of AlpacaEval"),
        ("plain.jsonl", {"max_tokens": 0}, "--max-tokens 0"),
        ("plain.jsonl", {"repetition_penalty": 0.0}, "--repetition-penalty 0: it is above 0"),
    ],
)
def test_what_cannot_be_is_said_before_a_model_is_loaded(
    name: str, settings: dict[str, Any], why: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=why):
        told(name, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("scale", [THREE, FIVE])
def test_only_verdicts_of_the_scale_are_read(scale: tuple[str, ...]) -> None:
    schema = judging._schema("verdict", list(scale))
    for each in scale:
        assert read_verdict(json.dumps({"reason": "x", "verdict": each}), schema) == each
    for wrong in ('{"verdict": "C"}', '{"verdict": "A', '["A"]', "A", '{"reason": "A"}'):
        assert read_verdict(wrong, schema) is None
    score = judging._schema("score", list(range(1, 11)))
    assert read_verdict('{"score": 7}', score) == 7
    assert read_verdict('{"score": true}', score) is None


def test_a_judge_without_a_valid_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told_ = asking.open_engine

    def engine(spec: EngineSpec, model: models.Model, task: Task) -> Any:
        if silent:
            return Scripted(lambda request: Completion(request, TEMPLATE.renderer.ids("Well.")))
        return told_(spec, model, task)

    silent = False
    monkeypatch.setattr(asking, "open_engine", engine)
    first = told("mt_bench.jsonl", tmp_path, against=CHAT)
    file = tmp_path / first.file
    silent = True
    with pytest.raises(EngineError, match="gave no valid verdict at all; take another judge"):
        told("mt_bench.jsonl", tmp_path / "again", against=str(file))


def test_a_judge_that_favours_the_first_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one verdict in both orders that is none is counted."""

    def script(request: Request) -> Completion:
        if request.schema is None:
            return Completion(request, TEMPLATE.renderer.ids("7"))
        talk = "How do birds fly?" in TEMPLATE.decode(request.prompt)
        said = "no idea" if talk else '{"reason": "it is first", "verdict": "A"}'
        return Completion(request, TEMPLATE.renderer.ids(said))

    monkeypatch.setattr(asking, "open_engine", lambda *_: Scripted(script))
    found = told("plain.jsonl", tmp_path, against=CHAT)
    [judged] = found.judges
    assert (judged.games, judged.invalid) == (6, 2)
    assert judged.first is not None and judged.first.value == 1
    assert judged.consistent is not None and judged.consistent.value == 0
    assert judged.numbers[0].value.value == 0.5 and judged.numbers[0].value.n == 2
