"""Conversations through a tokenizer's own chat template, rendered always in the same way.

Every text here is what ``apply_chat_template`` writes and every token what it gives. Two things are
fixed: the day that a template prints, so that a prompt is the same tomorrow, and whether content is
a string or a list of parts, which is what the template was written for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from magpie_hub.errors import UsageError, said

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

Message = Mapping[str, str]
"""``role`` and ``content`` and, in an answer of a model that reasons, ``thinking``."""

DATE = "2025-01-01"
_CLOCK = {
    "%Y": "2025", "%y": "25", "%m": "01", "%-m": "1", "%d": "01", "%-d": "1", "%B": "January",
    "%b": "Jan", "%A": "Wednesday", "%a": "Wed", "%H": "12", "%I": "12", "%M": "00", "%S": "00",
    "%p": "PM", "%F": DATE,
}  # fmt: skip
_BREAK = "\ue0b7"
"""Of the private use area: no text has it, no tokenizer knows it as more than its bytes."""
_ANCHOR = "\n"
_THINKING_FIELDS = ("reasoning_content", "thinking", "reasoning", "thought")


@dataclass(frozen=True)
class Renderer:
    """A chat template with everything settled but the messages. ``variables`` are what the template
    is given besides them."""

    tokenizer: PreTrainedTokenizerBase
    source: str
    parts: bool = False
    variables: Mapping[str, bool | str] = field(default_factory=dict)

    @property
    def date(self) -> str | None:
        """The fixed day, where the template asks for one."""
        return DATE if "strftime_now" in self.source else None

    def text(self, messages: Sequence[Message], *, generation: bool = True) -> str:
        """``generation``: up to where the next answer begins. ``UsageError`` where the template
        does not take this conversation."""
        text = self._apply(messages, tokenize=False, add_generation_prompt=generation)
        assert isinstance(text, str)
        return text

    def encode(self, messages: Sequence[Message], *, generation: bool = True) -> tuple[int, ...]:
        """The tokens of a conversation. Control tokens that a message spells out stay text."""
        broken = self.broken(messages)
        if broken == list(messages):
            return tuple(self._tokens(messages, generation))
        return self.pieces(self.text(broken, generation=generation))

    def broken(self, messages: Sequence[Message]) -> list[Message]:
        """``messages`` with a mark inside each control token that one spells out; the tokens of
        such a rendering are its ``pieces``."""
        return [{**message, "content": self._broken(message["content"])} for message in messages]

    def pieces(self, text: str) -> tuple[int, ...]:
        """The tokens of a rendering of ``broken`` messages, in which no mark is left."""
        first, *rest = text.split(_BREAK)
        ids = list(self.ids(first))
        for piece in rest:
            # Behind an anchor, since many tokenizers put a space before what begins a text.
            anchored, anchor = self.ids(_ANCHOR + piece), self.ids(_ANCHOR)
            ids += anchored[len(anchor) :] if anchored[: len(anchor)] == anchor else self.ids(piece)
        return tuple(ids)

    def _broken(self, text: str) -> str:
        """``text`` with a mark inside each control token that it spells out: what stands on either
        side of one is tokenised by itself, and so cannot become that token."""
        if not self.controls.search(text):
            return text
        return self.controls.sub(lambda m: m[0][0] + _BREAK + m[0][1:], text.replace(_BREAK, ""))

    def ids(self, text: str) -> tuple[int, ...]:
        """The template writes BOS itself, so the tokenizer must not add a second one."""
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def batch(self, texts: list[str]) -> list[tuple[int, ...]]:
        """``ids`` of many texts, in one call."""
        if self._fast is not None:
            found = self._fast.encode_batch_fast(texts, add_special_tokens=False)
            return [tuple(encoding.ids) for encoding in found]
        return [tuple(ids) for ids in self.tokenizer(texts, add_special_tokens=False)["input_ids"]]

    def encode_each(self, conversations: Sequence[Sequence[Message]]) -> list[tuple[int, ...]]:
        """``encode`` of many, in a third of its time: rendered one by one and tokenised together,
        where that gives the first of them the same tokens."""
        if not conversations:
            return []
        texts = [self.text(messages) for messages in conversations]
        found = self.batch(texts)
        if found[0] != self.encode(conversations[0]):
            return [self.encode(messages) for messages in conversations]
        spelled = (any(self.controls.search(m["content"]) for m in c) for c in conversations)
        return [
            self.encode(messages) if controls else ids
            for messages, ids, controls in zip(conversations, found, spelled, strict=True)
        ]

    def decode(self, ids: Sequence[int]) -> str:
        """Special tokens stay visible: in a query they are a leak."""
        if self._fast is not None:
            return str(self._fast.decode(list(ids), skip_special_tokens=False))
        text = self.tokenizer.decode(
            list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        assert isinstance(text, str)
        return text

    @cached_property
    def _fast(self) -> Tokenizer | None:
        """What does the work in nearly all tokenizers; called many times, the wrapping costs more
        than the work."""
        fast: Tokenizer | None = getattr(self.tokenizer, "backend_tokenizer", None)
        return fast

    @cached_property
    def control_ids(self) -> dict[str, int]:
        """The added tokens that are the template's own: those that are special, and those that it
        writes. White space is not, which some tokenizers add as tokens too."""
        return {
            token.content: index
            for index, token in self.tokenizer.added_tokens_decoder.items()
            if token.content.strip() and (token.special or token.content in self.source)
        }

    @cached_property
    def controls(self) -> re.Pattern[str]:
        longest_first = sorted(self.control_ids, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def _tokens(self, messages: Sequence[Message], generation: bool) -> Sequence[int]:
        ids = self._apply(
            messages, add_generation_prompt=generation, tokenize=True, return_dict=False
        )
        assert isinstance(ids, list)
        return ids

    def _apply(self, messages: Sequence[Message], **options: bool) -> object:
        import jinja2

        settings: dict[str, Any] = {**options, **self.variables}
        conversation: list[Any] = [self._message(message) for message in messages]
        try:
            return self.tokenizer.apply_chat_template(
                conversation,
                chat_template=self._pinned,
                **settings,
            )
        # What a template does with a message that it was not written for is any of these.
        except (jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError) as error:
            raise UsageError(
                f"the chat template refuses this conversation: {said(error)}."
            ) from error

    def _message(self, message: Message) -> dict[str, object]:
        content = message["content"]
        made: dict[str, object] = {
            "role": message["role"],
            "content": [{"type": "text", "text": content}] if self.parts else content,
        }
        if thinking := message.get("thinking"):
            made |= dict.fromkeys(_THINKING_FIELDS, thinking)
        return made

    @cached_property
    def _pinned(self) -> str:
        """The clock is replaced inside the template, since what is passed to it must be data."""
        if self.date is None:
            return self.source
        day = "".join(f"|replace({code!r}, {value!r})" for code, value in _CLOCK.items())
        return (
            f"{{%- macro strftime_now(form) -%}}{{{{ form{day} }}}}{{%- endmacro +%}}{self.source}"
        )
