"""What was derived from a tokenizer, and the prompts that are made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from magpie_hub.errors import UsageError
from magpie_hub.template.proof import Cut, cut, prove
from magpie_hub.template.rendering import Message, Renderer
from magpie_hub.template.thinking import Thinking

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class ChatTemplate:
    """The derived and proved pieces.

    ``prefix`` is the text before a query without a system prompt and ``prefix_ids`` its tokens;
    white space at its end that merges with a query (``residue``) is not in them, the model writes
    it. ``post_query`` goes on to where the answer begins. ``stop_ids`` end a query,
    ``answer_stop_ids`` an answer; ``query_end`` is the text that ends a query where no token of
    its own does. ``followup`` is what stands between an answer and the next query, None where
    there is no second turn. ``system`` says where a system prompt goes ("in ...") or why it goes
    nowhere; ``no_followup`` and ``no_answer`` why there is no second turn and no answer.
    ``indentation`` is what becomes of white space before a query; ``literals`` are the marks around
    turns that are plain text; ``pinned``: by an override.
    """

    renderer: Renderer
    place: Cut
    stop_ids: frozenset[int]
    answer_stop_ids: frozenset[int]
    query_end: str | None
    followup: str | None
    system: str
    indentation: str
    thinking: Thinking
    literals: tuple[str, ...]
    followup_residue: str = ""
    no_followup: str = ""
    no_answer: str = ""
    pinned: bool = False
    _made: dict[str, tuple[int, ...]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        return self.renderer.tokenizer

    @property
    def prefix(self) -> str:
        return self.place.before

    @property
    def prefix_ids(self) -> tuple[int, ...]:
        return self.place.ids

    @property
    def residue(self) -> str:
        return self.place.residue

    @property
    def post_query(self) -> str:
        return self.place.after

    @property
    def date(self) -> str | None:
        """The day that the template is told, where it asks."""
        return self.renderer.date

    def query_prompt(self, system: str | None = None) -> tuple[int, ...]:
        """Token ids up to the place of the first user message. ``UsageError`` where the template
        takes no system prompt."""
        if system is None:
            return self.prefix_ids
        if system not in self._made:
            self._made[system] = self._steered(system)
        return self._made[system]

    def answer_prompt(
        self, query: str | Sequence[Message], system: str | None = None
    ) -> tuple[int, ...]:
        """Token ids up to the place of the answer to ``query``, or to a whole history that ends
        with the user. ``UsageError`` where the template cannot ask for an answer."""
        if self.no_answer:
            raise UsageError(self.no_answer)
        messages = [{"role": "user", "content": query}] if isinstance(query, str) else [*query]
        return self.renderer.encode([*_system(system), *messages])

    def followup_prompt(
        self, messages: Sequence[Message], system: str | None = None
    ) -> tuple[int, ...]:
        """Token ids up to the place of the next user message behind ``messages``, which end with
        an answer."""
        if self.followup is None:
            raise UsageError(f"there is no second turn: {self.no_followup}")
        return cut(self.renderer, [*_system(system), *messages], self.followup_residue).ids

    def conversation(self, query: str | Sequence[Message], answer: str) -> tuple[int, ...]:
        """Token ids of a finished exchange, as a reward model reads it."""
        messages = [{"role": "user", "content": query}] if isinstance(query, str) else [*query]
        return self.renderer.encode(
            [*messages, {"role": "assistant", "content": answer}], generation=False
        )

    def decode(self, ids: Sequence[int]) -> str:
        """The text of generated tokens. Special tokens stay visible: in a query they are a leak."""
        return self.renderer.decode(ids)

    def query(self, ids: Sequence[int]) -> tuple[str, bool]:
        """(the query in generated tokens, whether the text that ends one was seen). Templates trim
        content, so a query is what they would leave of it."""
        text = self.decode(ids)
        if self.query_end is None:
            return text.strip(), False
        text, found, _ = text.partition(self.query_end)
        return text.strip(), bool(found)

    def split(self, output: str | Sequence[int]) -> tuple[str | None, str]:
        """(thinking or None, answer) of what was generated behind an ``answer_prompt``."""
        text = output if isinstance(output, str) else self.decode(output)
        return self.thinking.split(text)

    def visible(self, text: str) -> str:
        """``text`` with its control tokens in ⟨⟩ and its white space shown."""
        marked = self.renderer.controls.sub(lambda found: f"⟨{found.group()}⟩", text)
        return marked.replace("\n", "⏎").replace("\t", "⇥").replace(" ", "·")

    def describe(self) -> dict[str, str]:
        """What a manifest or a fingerprint should know of the template."""
        thinking = self.thinking
        return {
            "prefix": self.prefix,
            "post_query": self.post_query,
            "query_stops": " ".join(map(str, sorted(self.stop_ids))),
            "answer_stops": " ".join(map(str, sorted(self.answer_stop_ids))),
            "thinking": thinking.state,
            "date": self.date or "none",
            "variables": ", ".join(f"{k}={v}" for k, v in self.renderer.variables.items()),
        }

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """The tokens that mark roles and turns; text that holds one is leaked template."""
        added = self.tokenizer.added_tokens_decoder.values()
        return tuple(sorted({token.content for token in added if token.special}))

    def _steered(self, system: str) -> tuple[int, ...]:
        if not self.system.startswith("in "):
            raise UsageError(
                f"the chat template takes no system prompt ({self.system}), so queries cannot be "
                "steered by one; drop `system`, or write it into template: {override: ...}."
            )
        place = cut(self.renderer, _system(system))
        if place.before.count(system.strip()) == 0:
            raise UsageError(f"the chat template changes the system prompt {system!r}.")
        prove(self.renderer, place, _system(system), exact=not self.pinned)
        return place.ids


def _system(system: str | None) -> list[Message]:
    return [] if system is None else [{"role": "system", "content": system}]
