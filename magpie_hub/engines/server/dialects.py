"""What the kinds of completion server understand of a request, and how their answers read.

Nothing is left to a server's defaults: vLLM and SGLang take theirs from the model's
``generation_config.json`` (a repetition penalty, a top-k), llama.cpp's are top-k 40, min-p 0.05 and
a temperature that comes after top-p.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from magpie_hub.engines import Completion, FinishReason, Request
from magpie_hub.errors import EngineError
from magpie_hub.models import Model

Kind = Literal["vllm", "sglang", "llamacpp", "other"]
"""As ``owned_by`` in ``/v1/models`` has it. "other" gets only what the OpenAI API itself has."""

_FIXED: dict[Kind, dict[str, Any]] = {
    "vllm": {
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "skip_special_tokens": False,
        "spaces_between_special_tokens": False,
        "add_special_tokens": False,
        "return_token_ids": True,
    },
    "sglang": {
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "skip_special_tokens": False,
        "return_token_ids": True,
    },
    # The only two samplers, in the order in which all others apply them. Token ids come in the
    # verbose part of an answer.
    "llamacpp": {"samplers": ["temperature", "top_p"], "return_tokens": True, "verbose": True},
    "other": {},
}
_SEEDS: dict[Kind, int] = {"vllm": 2**63}
_SEEDS_OTHERWISE = 2**31 - 1
"""Signed 32 bits are what every server reads; 2**32 - 1 is no seed to llama.cpp but "any"."""
_MOST_STOPS = 4
"""Stop strings in a request, by the OpenAI API."""
_STOPPED = {"stop", "eos_token", "stop_sequence"}


@dataclass(frozen=True)
class Vocabulary:
    """The tokenizer of the model that the server serves, from our own copy of it."""

    tokenizer: Any

    @classmethod
    def load(cls, model: Model) -> Vocabulary:
        """``EngineError`` where the model's folder has no tokenizer that loads."""
        from transformers import AutoTokenizer

        try:
            return cls(AutoTokenizer.from_pretrained(model.path))
        except (OSError, ValueError, ImportError) as error:
            raise EngineError(f"the tokenizer of {model.ref} cannot be loaded: {error}.") from error

    @cached_property
    def bos(self) -> int | None:
        return None if self.tokenizer.bos_token_id is None else int(self.tokenizer.bos_token_id)

    def ids(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def text(self, ids: Sequence[int]) -> str:
        return str(
            self.tokenizer.decode(
                list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
            )
        )


def body(
    kind: Kind, request: Request, max_tokens: int, vocabulary: Vocabulary
) -> Mapping[str, Any]:
    """The fields of a completion request but for the model's name and the prompt."""
    decoding = request.decoding
    assert decoding is not None, "a completion needs its decoding"
    fields = _FIXED[kind] | {
        "max_tokens": max_tokens,
        "temperature": decoding.temperature,
        "seed": request.seed % _SEEDS.get(kind, _SEEDS_OTHERWISE),
    }
    if kind != "other" or decoding.top_p < 1:  # TGI refuses a top_p of 1
        fields["top_p"] = decoding.top_p
    if decoding.repetition_penalty != 1:
        fields |= _penalty(kind, decoding.repetition_penalty)
    if kind in ("vllm", "sglang"):
        fields["stop_token_ids"] = sorted(request.stop_ids)
        # A grammar ends with the model's own end of text, whatever our stops are.
        fields["ignore_eos"] = request.schema is None
    elif stops := [vocabulary.text([i]) for i in sorted(request.stop_ids)]:
        fields["stop"] = stops if kind == "llamacpp" else stops[:_MOST_STOPS]
    if request.schema is not None:
        fields |= _schema(kind, request.schema)
    return fields


def penalises(kind: Kind) -> bool:
    """Whether it has a repetition penalty that counts the prompt as the other engines do: SGLang's
    counts only what was written."""
    return kind in ("vllm", "llamacpp")


def _penalty(kind: Kind, penalty: float) -> dict[str, Any]:
    assert penalises(kind), "the crew refuses it"
    if kind == "vllm":
        return {"repetition_penalty": penalty}
    return {
        "samplers": ["penalties", *_FIXED[kind]["samplers"]],
        "repeat_penalty": penalty,
        "repeat_last_n": -1,  # the whole context, not the last 64 tokens
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
    }


def _schema(kind: Kind, schema: str) -> dict[str, Any]:
    if kind == "vllm":  # the older guided_json is ignored without a word
        return {"structured_outputs": {"json": json.loads(schema)}}
    return {"json_schema": schema if kind == "sglang" else json.loads(schema)}


@dataclass(frozen=True)
class Answer:
    """A completion as the server put it. ``token_ids``: where it gives them. ``prompt_tokens``:
    what it read, by its own count."""

    text: str
    token_ids: tuple[int, ...] | None
    finish: str
    prompt_tokens: int | None

    @classmethod
    def read(cls, data: Any) -> Answer:  # noqa: ANN401 (what a server sent)
        """``ValueError`` where this is no completion."""
        try:
            choice = data["choices"][0]
            ids = choice.get("token_ids")
            if ids is None:
                ids = (data.get("__verbose") or {}).get("tokens") or None
            counted = (data.get("usage") or {}).get("prompt_tokens")
            return cls(
                text=str(choice["text"]),
                token_ids=None if ids is None else tuple(int(i) for i in ids),
                finish=str(choice.get("finish_reason")),
                prompt_tokens=None if counted is None else int(counted),
            )
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise ValueError("no completion") from error

    def completion(self, request: Request, vocabulary: Vocabulary) -> Completion:
        """Cut at the first stop. ``ValueError`` where the server gave up on it."""
        ids = vocabulary.ids(self.text) if self.token_ids is None else self.token_ids
        stops = request.stop_ids
        if request.schema is not None and vocabulary.tokenizer.eos_token_id is not None:
            stops = stops | {vocabulary.tokenizer.eos_token_id}
        end = next((i for i, token in enumerate(ids) if token in stops), None)
        finish: FinishReason
        if end is not None or self.finish in _STOPPED:
            finish = "stop"
        elif self.finish == "length":
            finish = "length"
        else:
            raise ValueError(f"ended a completion with '{self.finish}'")
        return Completion(request, ids[:end], finish)
