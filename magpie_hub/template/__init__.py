"""What stands before, between and behind the messages, from a tokenizer's own chat template.

Magpie feeds a model the left side of its chat template up to the place of the user's message (arXiv
2406.08464, section 2.1). That left side is found by rendering a conversation with a sentinel in
the place of the query and cutting there. Whatever is derived is proved against
``apply_chat_template``, token by token, before it is used; what cannot be proved is refused.

    rendering.py   conversations through the template, always in the same way
    proof.py       the place of the query, in text and tokens, and its proof
    thinking.py    how thinking is marked and told from the answer
    derive.py      all pieces of one template
    chat.py        the prompts made of them
    leaks.py       queries that carry what is not theirs
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from magpie_hub.errors import EngineError, UsageError
from magpie_hub.template.chat import ChatTemplate
from magpie_hub.template.derive import Override, derive, renderer_of
from magpie_hub.template.leaks import leaks
from magpie_hub.template.rendering import DATE, Message, Renderer
from magpie_hub.template.thinking import Thinking

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Ids = tuple[int, ...]

__all__ = [
    "DATE",
    "ChatTemplate",
    "Message",
    "Override",
    "Reader",
    "Thinking",
    "derive",
    "leaks",
    "load",
    "load_tokenizer",
    "reader",
]


@dataclass(frozen=True)
class Reader:
    """A model that reads finished conversations: a reward model, a guard. Nothing is derived from
    its template, so that one which puts instructions around the conversation serves too."""

    renderer: Renderer
    stop_ids: frozenset[int]

    def conversation(self, messages: Sequence[Message], *, generation: bool = False) -> Ids:
        """Token ids of the whole; ``generation``: up to where the model's own words begin."""
        return self.renderer.encode(messages, generation=generation)

    def decode(self, ids: Sequence[int]) -> str:
        return self.renderer.decode(ids)


def load(
    path: Path,
    *,
    override: Override | None = None,
    thinking: bool | None = None,
    source: str | None = None,
) -> ChatTemplate:
    """Derive from the tokenizer (and ``generation_config.json``) in ``path`` and prove it;
    ``source`` is a chat template in the place of the tokenizer's own.

    ``UsageError`` where the tokenizer has no chat template, or one that cannot be proved;
    ``EngineError`` where the tokenizer cannot be loaded.
    """
    tokenizer = load_tokenizer(path)
    if source is not None:
        tokenizer.chat_template = source
    try:
        return derive(tokenizer, eos_ids=_eos_ids(path), override=override, thinking=thinking)
    except UsageError as error:
        raise UsageError(f"the model in {path} cannot be used: {error}") from error


def reader(path: Path) -> Reader:
    """What reads conversations for the model in ``path``. Errors as of :func:`load`."""
    tokenizer = load_tokenizer(path)
    stops = {*_eos_ids(path), tokenizer.eos_token_id} - {None}
    try:
        return Reader(renderer_of(tokenizer), frozenset(stops))
    except UsageError as error:
        raise UsageError(f"the model in {path} cannot be used: {error}") from error


def load_tokenizer(path: Path) -> PreTrainedTokenizerBase:
    """With the chat template that its model has. ``EngineError`` where it cannot be loaded."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError, ImportError) as error:
        raise EngineError(f"the tokenizer in {path} cannot be loaded: {error}.") from error
    beside = path / "chat_template.json"  # where processors used to keep it
    if not getattr(tokenizer, "chat_template", None) and beside.is_file():
        tokenizer.chat_template = _json(beside).get("chat_template")
    return cast("PreTrainedTokenizerBase", tokenizer)


def _eos_ids(path: Path) -> list[int]:
    config = path / "generation_config.json"
    eos: Any = _json(config).get("eos_token_id") if config.is_file() else None
    return [eos] if isinstance(eos, int) else list(eos or [])


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{file.name} in the model's folder is no JSON: {error}.") from error
    return content if isinstance(content, dict) else {}
