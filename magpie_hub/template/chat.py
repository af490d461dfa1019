"""What was derived from a tokenizer, and the prompts that are made of it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from magpie_hub.errors import UsageError
from magpie_hub.template.proof import QUERIES, SENTINEL, Cut, begin, cut, prove
from magpie_hub.template.rendering import Message, Renderer
from magpie_hub.template.thinking import Thinking

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_REMEMBERED = 10_000
"""Prompts kept, so that many topics do not fill the memory."""


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
    _made: dict[tuple[str | None, str], tuple[int, ...]] = field(
        default_factory=dict, compare=False, repr=False
    )
    _proved: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

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

    def query_prompt(self, system: str | None = None, prefill: str = "") -> tuple[int, ...]:
        """Token ids up to the place of the first user message or, with a ``prefill``, up to the end
        of that beginning of it. White space around a prefill is dropped, since a word goes on with
        a token that holds the space. ``UsageError`` where the template takes no system prompt or
        cannot put the prefill."""
        if system is None and not prefill.strip():
            return self.prefix_ids
        key = (system, prefill.strip())
        if key not in self._made:
            if len(self._made) >= _REMEMBERED:
                del self._made[next(iter(self._made))]
            place = self.place if system is None else self._steered(system)
            self._made[key] = place.ids if not key[1] else self._begun(place, system, key[1])
        return self._made[key]

    def opening(self, system: str | None = None, prefill: str = "") -> tuple[int, ...]:
        """The tokens of the prefill alone: those of ``query_prompt`` behind the prefix."""
        return self.query_prompt(system, prefill)[len(self.query_prompt(system)) :]

    def answer_prompt(
        self, query: str | Sequence[Message], system: str | None = None
    ) -> tuple[int, ...]:
        """Token ids up to the place of the answer to ``query``, or to a whole history that ends
        with the user. ``UsageError`` where the template cannot ask for an answer."""
        if self.no_answer:
            raise UsageError(self.no_answer)
        return self.renderer.encode([*_system(system), *_messages(query)])

    def answer_prompts(self, queries: Sequence[str | Sequence[Message]]) -> list[tuple[int, ...]]:
        """:meth:`answer_prompt` of many, faster."""
        if self.no_answer:
            raise UsageError(self.no_answer)
        return self.renderer.encode_each([_messages(query) for query in queries])

    def followup_prompt(
        self, messages: Sequence[Message], system: str | None = None
    ) -> tuple[int, ...]:
        """Token ids up to the place of the next user message behind ``messages``, which end with
        an answer. Control tokens that a message spells out stay text."""
        if self.followup is None:
            raise UsageError(f"there is no second turn: {self.no_followup}")
        past = [*_system(system), *messages]
        broken = self.renderer.broken(past)
        if broken == past:
            return cut(self.renderer, past, self.followup_residue).ids
        return self.renderer.pieces(self._before_followup(broken))

    def followup_prompts(
        self, pasts: Sequence[tuple[Sequence[Message], str | None]]
    ) -> list[tuple[int, ...]]:
        """:meth:`followup_prompt` of many conversations, each with its system prompt, faster."""
        if not pasts:
            return []
        whole = [[*_system(system), *messages] for messages, system in pasts]
        found = self.renderer.batch([self._before_followup(messages) for messages in whole])
        alike = found[0] == self.followup_prompt(*pasts[0])
        return [
            ids
            if alike and self.renderer.broken(messages) == messages
            else self.followup_prompt(*p)
            for p, messages, ids in zip(pasts, whole, found, strict=True)
        ]

    def _before_followup(self, messages: Sequence[Message]) -> str:
        text = self.renderer.text([*messages, {"role": "user", "content": SENTINEL}])
        return text.rpartition(SENTINEL)[0].removesuffix(self.followup_residue)

    def conversation(self, query: str | Sequence[Message], answer: str) -> tuple[int, ...]:
        """Token ids of a finished exchange, as a reward model reads it."""
        return self.renderer.encode(
            [*_messages(query), {"role": "assistant", "content": answer}], generation=False
        )

    def decode(self, ids: Sequence[int]) -> str:
        """The text of generated tokens. Special tokens stay visible: in a query they are a leak."""
        return self.renderer.decode(ids)

    def query(self, ids: Sequence[int], opening: Sequence[int] = ()) -> tuple[str, bool]:
        """(the query in generated tokens, whether the text that ends one was seen). Templates trim
        content, so a query is what they would leave of it. ``opening`` are the tokens of a prefill,
        which are the query's own; where nothing was added to them there is no query."""
        text, found = self.decode([*opening, *ids]), ""
        if self.query_end is not None:
            text, found, _ = text.partition(self.query_end)
        query = text.strip()
        if opening and query == self.decode(opening).strip():
            query = ""
        return query, bool(found)

    def split(self, output: str | Sequence[int]) -> tuple[str | None, str]:
        """(thinking or None, answer) of what was generated behind an ``answer_prompt``."""
        text = output if isinstance(output, str) else self.decode(output)
        return self.thinking.split(text)

    def closing(self, ids: Sequence[int]) -> tuple[int, ...]:
        """The tokens that end the thinking with which the generated ``ids`` break off; none where
        they do not."""
        if not self.thinking.unfinished(self.decode(ids)):
            return ()
        return self.renderer.ids(self.thinking.ending)

    def thinking_length(self, ids: Sequence[int]) -> int | None:
        """How many of the generated tokens are thinking, with what closes it; None where the
        template knows of none."""
        if not self.thinking.active:
            return None
        text = self.decode(ids)
        if self.thinking.unfinished(text):
            return len(ids)
        if self.split(text)[0] is None and self.thinking.close not in text:
            return 0
        # The first tokens that spell the end: what they hold only grows.
        return (
            bisect_left(
                range(len(ids)),
                True,
                key=lambda n: self.thinking.close in self.decode(ids[: n + 1]),
            )
            + 1
        )

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

    def _steered(self, system: str) -> Cut:
        if not self.system.startswith("in "):
            raise UsageError(
                f"the chat template takes no system prompt ({self.system}), so queries cannot be "
                "steered by one; drop `system`, or write it into template: {override: ...}."
            )
        if control := self.renderer.controls.search(system):
            raise UsageError(
                f"the system prompt {system!r} holds the template's {control.group()}; take it out."
            )
        # Between one system prompt and another only their words differ: what stands behind them is
        # proved with the first, and of the others that they, too, are put as they are.
        messages = _system(system)
        known = next(iter(self._proved.items()), None)
        place = cut(self.renderer, messages, known[1] if known else None)
        _, found, tail = place.before.rpartition(system.strip())
        if not found:
            raise UsageError(f"the chat template changes the system prompt {system!r}.")
        alike = bool(tail) and known == (tail, place.residue)
        if known and not alike:
            place = cut(self.renderer, messages)
        queries = QUERIES[:1] if alike else QUERIES
        prove(self.renderer, place, messages, exact=not self.pinned, queries=queries)
        self._proved.setdefault(tail, place.residue)
        return place

    def _begun(self, place: Cut, system: str | None, prefill: str) -> tuple[int, ...]:
        own = (*self.literals, *self.thinking.marks, (self.query_end or "").strip())
        control = self.renderer.controls.search(prefill)
        mark = control.group() if control else next((m for m in own if m and m in prefill), None)
        if mark is not None:
            raise UsageError(
                f"the prefill {prefill!r} holds the template's {mark}, which would end the query "
                "or be no part of it; take it out."
            )
        return begin(self.renderer, place, _system(system), prefill)


def _messages(query: str | Sequence[Message]) -> list[Message]:
    return [{"role": "user", "content": query}] if isinstance(query, str) else [*query]


def _system(system: str | None) -> list[Message]:
    return [] if system is None else [{"role": "system", "content": system}]
