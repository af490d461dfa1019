from __future__ import annotations

import json
from typing import Any

import pytest

from magpie_hub import models
from magpie_hub.engines import Decoding, Request
from magpie_hub.engines.server.dialects import Answer, Kind, Vocabulary, body

VOCABULARY = Vocabulary.load(models.resolve("bundled:chat"))
SCHEMA = '{"type": "object"}'
START, END = VOCABULARY.ids("<|im_start|>"), VOCABULARY.ids("<|im_end|>")


def wanted(**changes: Any) -> Request:
    settings: dict[str, Any] = {
        "prompt": (5, 6),
        "decoding": Decoding(0.7, 0.9, 30),
        "stop_ids": frozenset(START + END),
        "seed": 2**62 + 5,
    }
    return Request(**settings | changes)


def fields(kind: Kind, **changes: Any) -> dict[str, Any]:
    return dict(body(kind, wanted(**changes), 20, VOCABULARY))


@pytest.mark.parametrize("kind", ["vllm", "sglang", "llamacpp", "other"])
def test_every_kind_is_told_how_to_decode(kind: Kind) -> None:
    sent = fields(kind)
    assert (sent["temperature"], sent["top_p"], sent["max_tokens"]) == (0.7, 0.9, 20)
    assert sent["seed"] == fields(kind)["seed"] < 2**63
    assert sent["seed"] != fields(kind, seed=7)["seed"] == 7
    assert json.loads(json.dumps(sent)) == sent


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
def test_a_models_own_defaults_are_overruled(kind: Kind) -> None:
    sent = fields(kind)
    assert (sent["top_k"], sent["min_p"], sent["repetition_penalty"]) == (-1, 0.0, 1.0)
    assert sent["stop_token_ids"] == sorted(START + END)
    assert sent["ignore_eos"] and sent["return_token_ids"] and not sent["skip_special_tokens"]


def test_llama_cpp_applies_nothing_but_temperature_and_top_p() -> None:
    sent = fields("llamacpp", stop_ids=frozenset(range(6)))
    assert sent["samplers"] == ["temperature", "top_p"]
    assert len(sent["stop"]) == 6
    assert "ignore_eos" not in sent, "there it forbids the token instead of reading past it"


def test_a_repetition_penalty_goes_in_the_servers_own_words() -> None:
    strict = Decoding(0.0, 1.0, 30, repetition_penalty=1.2)
    assert fields("vllm", decoding=strict)["repetition_penalty"] == 1.2
    sent = fields("llamacpp", decoding=strict)
    assert sent["samplers"] == ["penalties", "temperature", "top_p"]
    # Over all of the context: its own default looks back on 64 tokens.
    assert (sent["repeat_penalty"], sent["repeat_last_n"]) == (1.2, -1)
    assert sent["presence_penalty"] == sent["frequency_penalty"] == 0
    for kind in ("vllm", "sglang", "llamacpp", "other"):
        assert fields(kind) == fields(kind, decoding=Decoding(0.7, 0.9, 30, 1.0))


def test_another_server_gets_what_the_openai_api_has() -> None:
    sent = fields("other", stop_ids=frozenset(range(6)), decoding=Decoding(0.7, 1.0, 30))
    assert set(sent) == {"max_tokens", "temperature", "seed", "stop"}
    assert len(sent["stop"]) == 4
    assert sent["seed"] < 2**31
    assert "stop" not in fields("other", stop_ids=frozenset())


def test_a_schema_goes_in_the_servers_own_words() -> None:
    sent = fields("vllm", schema=SCHEMA)
    assert sent["structured_outputs"] == {"json": {"type": "object"}}
    assert sent["ignore_eos"] is False
    assert fields("sglang", schema=SCHEMA)["json_schema"] == SCHEMA
    assert fields("llamacpp", schema=SCHEMA)["json_schema"] == {"type": "object"}


def answer(text: str, finish: str = "stop", **choice: Any) -> dict[str, Any]:
    return {"choices": [{"text": text, "finish_reason": finish, **choice}]}


def test_token_ids_are_taken_from_where_they_are() -> None:
    assert Answer.read(answer("x", token_ids=[7, 8])).token_ids == (7, 8)
    assert Answer.read(answer("x") | {"__verbose": {"tokens": [9]}}).token_ids == (9,)
    assert Answer.read(answer("x", token_ids=None)).token_ids is None
    assert Answer.read(answer("x") | {"usage": {"prompt_tokens": 4}}).prompt_tokens == 4


@pytest.mark.parametrize("data", [{}, [], None, {"choices": []}, {"choices": [{}]}, {"choices": 1}])
def test_what_is_no_completion_is_seen(data: Any) -> None:
    with pytest.raises(ValueError, match="no completion"):
        Answer.read(data)


@pytest.mark.parametrize(
    ("finish", "ids", "expected"),
    [
        ("stop", [9, *END, 9], ("stop", (9,))),
        ("length", [9, *END], ("stop", (9,))),
        ("length", [9, 10], ("length", (9, 10))),
        ("eos_token", [9], ("stop", (9,))),
        ("stop_sequence", [], ("stop", ())),
    ],
)
def test_a_completion_ends_where_the_request_says(
    finish: str, ids: list[int], expected: tuple[str, tuple[int, ...]]
) -> None:
    completion = Answer.read(answer("", finish, token_ids=ids)).completion(wanted(), VOCABULARY)
    assert (completion.finish_reason, completion.token_ids) == expected


def test_what_holds_a_grammar_together_ends_with_the_end_of_text() -> None:
    read = Answer.read(answer("", token_ids=[9, *END]))
    bound = read.completion(wanted(schema=SCHEMA, stop_ids=frozenset()), VOCABULARY)
    assert bound.token_ids == (9,)
    assert read.completion(wanted(stop_ids=frozenset()), VOCABULARY).token_ids == (9, *END)


def test_a_completion_that_the_server_gave_up_is_none() -> None:
    with pytest.raises(ValueError, match="ended a completion with 'abort'"):
        Answer.read(answer("x", "abort")).completion(wanted(), VOCABULARY)
