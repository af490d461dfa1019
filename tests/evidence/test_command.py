"""Commands written out from settings, read again by the parser."""

from __future__ import annotations

import shlex
from dataclasses import fields
from typing import Any

import pytest

from magpie_hub.arguments import parser
from magpie_hub.engines import EngineSpec
from magpie_hub.evidence import compare, evaluate
from magpie_hub.evidence.command import command

WORDS = {"evaluate": ["m", "--prompts", "p"], "compare": ["a", "b"]}


def read(text: str) -> dict[str, Any]:
    program, *words = shlex.split(text)
    assert program == "magpie-hub"
    return vars(parser().parse_args(words))


@pytest.mark.parametrize("settings", [evaluate.Settings, compare.Settings])
def test_each_setting_has_its_option(settings: type) -> None:
    verb = settings.__module__.rpartition(".")[2]
    known = read(shlex.join(["magpie-hub", verb, *WORDS[verb]]))
    for each in fields(settings):
        assert each.name in known or each.name.removesuffix("s") in known, each.name


def test_a_command_says_what_is_not_by_default() -> None:
    words = WORDS["evaluate"]
    assert command("evaluate", words, evaluate.Settings()) == "magpie-hub evaluate m --prompts p"
    odd = evaluate.Settings(
        against="my file; rm -rf *",
        judge="j",
        max_tokens=7,
        truth=lambda question, answer: None,
        engine=EngineSpec("vllm", {"gpu_memory": 0.9}),
    )
    text = command("evaluate", words, odd, truth="checks:right")
    found = read(text)
    told = {key: found[key] for key in ("against", "judge", "max_tokens", "truth", "engine")}
    assert told == {
        "against": "my file; rm -rf *", "judge": "j", "max_tokens": 7, "truth": "checks:right",
        "engine": "vllm",
    }  # fmt: skip
    assert found["engine_arg"] == [] and "--seed" not in text


def test_what_may_be_repeated_is() -> None:
    many = compare.Settings(where="turns = 1", benchmarks=("a#b,c", "d e.txt"), scan=9)
    found = read(command("compare", WORDS["compare"], many))
    assert found["benchmark"] == ["a#b,c", "d e.txt"]
    assert (found["where"], found["scan"], found["source"]) == ("turns = 1", 9, ["a", "b"])
