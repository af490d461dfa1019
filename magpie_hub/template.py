"""What stands before, between and behind the messages, from a tokenizer's own chat template.

Magpie feeds a model the left side of its chat template up to the place of the user's message. That
left side is found by rendering a conversation with a sentinel in the place of the query and cutting
there; nothing is known about any model family.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magpie_hub.errors import EngineError, UsageError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SENTINEL = "\ue000QUERY\ue001"
_PROOFS = ("What is the capital of France?", "Fix this:\n```python\nx = 1\n```", "¿Qué hora es?")

Message = dict[str, str]


@dataclass(frozen=True)
class ChatTemplate:
    """The derived pieces. ``prefix`` is the pre-query text without a system prompt and
    ``prefix_ids`` its tokens; ``stop_ids`` end a query as well as an answer."""

    tokenizer: PreTrainedTokenizerBase
    prefix: str
    prefix_ids: tuple[int, ...]
    post_query: str
    stop_ids: frozenset[int]

    def query_prompt(self, system: str | None = None) -> tuple[int, ...]:
        """Token ids up to the place of the first user message."""
        if system is None:
            return self.prefix_ids
        prefix, _ = _cut(self.tokenizer, [{"role": "system", "content": system}])
        return _ids(self.tokenizer, prefix)

    def answer_prompt(self, query: str, system: str | None = None) -> tuple[int, ...]:
        """Token ids up to the place of the answer to ``query``."""
        messages = [{"role": "user", "content": query}]
        if system is not None:
            messages.insert(0, {"role": "system", "content": system})
        return _ids(self.tokenizer, _render(self.tokenizer, messages))

    def conversation(self, query: str, answer: str) -> tuple[int, ...]:
        """Token ids of a finished exchange, as a reward model reads it."""
        messages = [
            {"role": "user", "content": query},
            {"role": "assistant", "content": answer},
        ]
        text = self.tokenizer.apply_chat_template(messages, tokenize=False)
        assert isinstance(text, str)
        return _ids(self.tokenizer, text)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of generated tokens. Special tokens stay visible: in a query they are a leak."""
        text = self.tokenizer.decode(
            list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        assert isinstance(text, str)
        return text

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """The tokens that mark roles and turns; text that holds one is leaked template."""
        added = self.tokenizer.added_tokens_decoder.values()
        return tuple(sorted({token.content for token in added if token.special}))


def load(path: Path) -> ChatTemplate:
    """Derive from the tokenizer (and ``generation_config.json``) in ``path`` and prove it.

    ``UsageError`` where the tokenizer has no chat template, or one whose user message cannot be
    located; ``EngineError`` where the tokenizer cannot be loaded.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError) as error:
        raise EngineError(f"the tokenizer in {path} cannot be loaded: {error}.") from error
    if not tokenizer.chat_template:
        raise UsageError(
            f"the tokenizer in {path} has no chat template, so this is no chat model; Magpie needs "
            "an instruction-tuned one."
        )
    prefix, post_query = _cut(tokenizer, [])
    template = ChatTemplate(
        tokenizer=tokenizer,
        prefix=prefix,
        prefix_ids=_ids(tokenizer, prefix),
        post_query=post_query,
        stop_ids=_stop_ids(tokenizer, path, post_query),
    )
    _prove(template)
    return template


def _render(tokenizer: PreTrainedTokenizerBase, messages: list[Message]) -> str:
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert isinstance(text, str)
    return text


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    """The template writes BOS itself, so the tokenizer must not add a second one."""
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def _cut(tokenizer: PreTrainedTokenizerBase, before: list[Message]) -> tuple[str, str]:
    import jinja2

    try:
        text = _render(tokenizer, [*before, {"role": "user", "content": _SENTINEL}])
    except jinja2.TemplateError as error:
        raise UsageError(f"the chat template refuses this conversation: {error}.") from error
    if text.count(_SENTINEL) != 1:
        raise UsageError(
            f"the chat template shows the user's message {text.count(_SENTINEL)} times instead of "
            "once, so the place of the query cannot be found."
        )
    prefix, _, post_query = text.partition(_SENTINEL)
    return prefix, post_query


def _stop_ids(tokenizer: PreTrainedTokenizerBase, path: Path, post_query: str) -> frozenset[int]:
    """Where a turn ends: EOS, the generation config's stops, and the first special token that
    stands behind the user's message. Never plain text, which may be part of a query."""
    stops: set[int] = set()
    if isinstance(tokenizer.eos_token_id, int):
        stops.add(tokenizer.eos_token_id)
    config = path / "generation_config.json"
    if config.is_file():
        eos: Any = json.loads(config.read_text(encoding="utf-8")).get("eos_token_id")
        stops.update([eos] if isinstance(eos, int) else eos or [])
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    behind = _ids(tokenizer, post_query)
    if behind and behind[0] in special:
        stops.add(behind[0])
    if not stops:
        raise UsageError(f"the tokenizer in {path} names no token that ends a turn.")
    return frozenset(stops)


def _prove(template: ChatTemplate) -> None:
    """Prefix + query + post-query text must be what the template gives for that conversation, in
    tokens: a prefix that merges with the query would ask for something else than the template."""
    for query in _PROOFS:
        whole = template.answer_prompt(query)
        parts = template.prefix_ids + _ids(template.tokenizer, query + template.post_query)
        if whole != parts:
            at = next(
                (i for i, (a, b) in enumerate(zip(whole, parts, strict=False)) if a != b),
                min(len(whole), len(parts)),
            )
            raise UsageError(
                f"the derived prefix {template.prefix!r} does not survive a round trip: for the "
                f"query {query!r} the template gives other tokens from position {at} on."
            )
