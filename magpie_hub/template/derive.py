"""From a tokenizer to a proved ``ChatTemplate``; nothing is known about any family of models."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from os.path import commonprefix
from typing import TYPE_CHECKING

from magpie_hub.errors import UsageError
from magpie_hub.template import thinking as thoughts
from magpie_hub.template.chat import ChatTemplate
from magpie_hub.template.proof import (
    QUERIES,
    SENTINEL,
    TURN,
    Cut,
    cut,
    heal,
    indentation,
    prove,
)
from magpie_hub.template.rendering import Renderer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SYSTEM = "\ue006System\ue007"
_ANSWER = "\ue004Answer\ue005"
_WRITTEN = """
{%- if messages[0].role != 'user' or messages|length > 2 -%}
{{- raise_exception('without a chat template there is one user message and one answer') -}}
{%- endif -%}
{{- override_prefix + messages[0].content + override_post -}}
{%- if messages|length == 2 -%}{{- messages[1].content + eos_token|default('') -}}{%- endif -%}
"""
_LITERALS = re.compile(
    r"\[/?[A-Z_]{2,}\]|<</?\w+>>|</?[a-z][\w:|-]*>|<\|[^|<>\s]+\|>|^#+ [\w ]+:\s*$", re.MULTILINE
)


@dataclass(frozen=True)
class Override:
    """A prefix in place of the derived one, in text with its special tokens. ``post_query`` may be
    left out where there is a chat template to take it from."""

    prefix: str
    post_query: str | None = None


def derive(
    tokenizer: PreTrainedTokenizerBase,
    *,
    eos_ids: Iterable[int] = (),
    override: Override | None = None,
    thinking: bool | None = None,
) -> ChatTemplate:
    """Derive and prove. ``eos_ids`` are those of the generation config. ``thinking`` turns it on
    or off where the template can; None is its default. ``UsageError`` says why not and what to
    do."""
    renderer = renderer_of(tokenizer, override)
    switch = thoughts.switch(renderer)
    if thinking is not None:
        if switch is None:
            raise UsageError(
                "the chat template has no variable that turns thinking on or off; leave "
                "`thinking` out of the recipe."
            )
        renderer = replace(renderer, variables={**renderer.variables, switch: thinking})
    place = _override(renderer, override) if override else cut(renderer, [])
    prove(renderer, place, exact=override is None)
    followup, no_followup = _followup(renderer)
    thought = thoughts.derive(renderer, place.after, switch)
    if thinking and thought.state == "none":
        raise UsageError(
            "the chat template does not show how thinking is told from an answer; leave "
            "`thinking` out of the recipe."
        )
    stops, query_end = _query_stops(renderer, place.after)
    ends = set(eos_ids) | {i for i in [tokenizer.eos_token_id] if isinstance(i, int)}
    return ChatTemplate(
        renderer=renderer,
        place=place,
        stop_ids=frozenset(stops | ends),
        answer_stop_ids=_answer_stops(renderer, ends, thought.close),
        query_end=query_end,
        followup=followup.before if followup else None,
        followup_residue=followup.residue if followup else "",
        no_followup=no_followup,
        no_answer=_no_answer(renderer, place, followup, thought.lead),
        system=_system_place(renderer, place, followup),
        indentation=indentation(renderer, place) if override is None else "kept",
        thinking=thought,
        literals=_literals(renderer, place, followup),
        pinned=override is not None,
    )


def renderer_of(tokenizer: PreTrainedTokenizerBase, override: Override | None = None) -> Renderer:
    """With content as a string, or as a list of parts where the template was written for those."""
    if not getattr(tokenizer, "chat_template", None):
        return _written(tokenizer, override)
    if isinstance(tokenizer.chat_template, dict) and "default" not in tokenizer.chat_template:
        names = ", ".join(tokenizer.chat_template)
        raise UsageError(
            f"the tokenizer has several chat templates ({names}) and none is the default; name the "
            "one for conversations 'default' in the model's folder."
        )
    renderer = Renderer(tokenizer, tokenizer.get_chat_template())
    question = [{"role": "user", "content": SENTINEL}]
    try:
        if SENTINEL in renderer.text(question):
            return renderer
    except UsageError:
        if SENTINEL not in _text_or_nothing(replace(renderer, parts=True)):
            raise
    in_parts = replace(renderer, parts=True)
    return in_parts if SENTINEL in _text_or_nothing(in_parts) else renderer


def _text_or_nothing(renderer: Renderer) -> str:
    try:
        return renderer.text([{"role": "user", "content": SENTINEL}])
    except UsageError:
        return ""


def _written(tokenizer: PreTrainedTokenizerBase, override: Override | None) -> Renderer:
    """A base model with an override: what it says is the whole template."""
    if override is None or override.post_query is None:
        raise UsageError(
            "the tokenizer has no chat template, so this is no chat model; Magpie needs an "
            "instruction-tuned one. If it is one, say how it was trained: "
            "template: {override: {prefix: ..., post_query: ...}}."
        )
    prefix, bos = override.prefix, tokenizer.bos_token
    # Such a model reads what its tokenizer makes of a text, and that begins with BOS once.
    if bos and tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id:
        prefix = bos + prefix.removeprefix(bos)
    return Renderer(
        tokenizer,
        _WRITTEN,
        variables={"override_prefix": prefix, "override_post": override.post_query},
    )


def _override(renderer: Renderer, override: Override) -> Cut:
    """The given prefix must be a left side of what the chat template renders, and the given
    post-query text a right side."""
    prefix = str(renderer.variables.get("override_prefix", override.prefix))
    texts = {query: renderer.text([{"role": "user", "content": query}]) for query in QUERIES}
    after = override.post_query
    if after is None:
        after = commonprefix([text[::-1] for text in texts.values()])[::-1]
    for text in texts.values():
        if not text.startswith(prefix):
            shared = commonprefix([text, prefix])
            raise UsageError(
                f"the override's prefix is not what the chat template writes: behind {shared!r} "
                f"the template goes on with {text[len(shared) :][:40]!r} and the override with "
                f"{prefix[len(shared) :][:40]!r}."
            )
        if not text.endswith(after):
            raise UsageError(
                f"the override's post_query is not what the chat template writes: that ends with "
                f"{text[-len(after) - 20 :]!r}."
            )
    return heal(renderer, prefix, texts, after)


def _followup(renderer: Renderer) -> tuple[Cut | None, str]:
    """The place of a second query, its ``before`` beginning behind the first answer; or why the
    template takes none."""
    past = [TURN[0], {"role": "assistant", "content": _ANSWER}]
    try:
        place = cut(renderer, TURN)
        prove(renderer, place, TURN, exact=True)
        before = cut(renderer, past, place.residue).before
    except UsageError as error:
        return None, str(error)
    if before.count(_ANSWER) != 1:
        return None, f"the chat template shows a past answer {before.count(_ANSWER)} times."
    return replace(place, before=before.partition(_ANSWER)[2]), ""


def _query_stops(renderer: Renderer, after: str) -> tuple[set[int], str | None]:
    """The token that ends a query: the first of the template's own behind it. Never plain text; but
    where plain text comes first, that text ends a query."""
    match = renderer.controls.search(after)
    plain = (after[: match.start()] if match else after).rstrip()
    if match is None and not plain:
        raise UsageError(
            "the chat template writes nothing behind the user's message that would end it; give "
            "what does as template: {override: {prefix: ..., post_query: ...}}."
        )
    stops = {renderer.control_ids[match.group()]} if match else set()
    return stops, plain or None


def _answer_stops(renderer: Renderer, ends: set[int], close: str) -> frozenset[int]:
    """What ends the last answer; what ends a past one where the template leaves the last open.
    Tokens that stand between thinking and answer end nothing."""
    between = {renderer.control_ids[found] for found in renderer.controls.findall(close)}
    for more in ([], [TURN[0]]):
        past = [TURN[0], {"role": "assistant", "content": _ANSWER}, *more]
        try:
            text = renderer.text(past, generation=False)
        except UsageError:
            continue
        behind = renderer.controls.findall(text.partition(_ANSWER)[2])
        ids = [i for i in (renderer.control_ids[found] for found in behind) if i not in between]
        if ids:
            return frozenset({ids[0]} | (ends - between))
    if not ends:
        raise UsageError(
            "neither the tokenizer nor the chat template names a token that ends an answer; set "
            "eos_token_id in the model's generation_config.json."
        )
    return frozenset(ends)


def _system_place(renderer: Renderer, place: Cut, followup: Cut | None) -> str:
    """Where the template puts a system prompt."""
    question = {"role": "user", "content": SENTINEL}
    try:
        text = renderer.text([{"role": "system", "content": _SYSTEM}, question])
    except UsageError as error:
        return str(error).removeprefix("the chat template refuses this conversation: ").rstrip(".")
    before, found, _ = text.partition(SENTINEL)
    if _SYSTEM not in text:
        return "it is ignored"
    if not found or _SYSTEM not in before:
        return "it would stand behind the query"
    header = _header(renderer, place.before, followup).lstrip()
    return "in its own turn" if before.rpartition(_SYSTEM)[2].endswith(header) else "in the query"


def _header(renderer: Renderer, before: str, followup: Cut | None) -> str:
    """What opens every user's turn: the end that both prefixes share, from a whole token on."""
    start = len(before) - len(
        commonprefix([before[::-1], (followup.before if followup else "")[::-1]])
    )
    for token in renderer.controls.finditer(before):
        if token.start() < start < token.end() or (followup is None and token.end() < len(before)):
            start = token.end() if followup is not None else token.start()
    return before[start:]


def _no_answer(renderer: Renderer, place: Cut, followup: Cut | None, lead: str) -> str:
    """Why an answer cannot be asked for: where the header of the answer's turn is what the template
    writes for a past answer only, the model would have to begin that turn itself."""
    opener = renderer.controls.search(_header(renderer, place.before, followup))
    if opener is None or opener.group() not in lead:
        return ""
    return (
        f"the chat template writes {lead!r} before a past answer but not before the next one; add "
        "it under add_generation_prompt in the model's folder."
    )


def _literals(renderer: Renderer, place: Cut, followup: Cut | None) -> tuple[str, ...]:
    """Marks that the template writes around turns as plain text."""
    around = "\n".join(
        [
            place.after,
            followup.before if followup else "",
            _header(renderer, place.before, followup),
        ]
    )
    found = (literal.strip() for literal in _LITERALS.findall(around))
    return tuple(dict.fromkeys(literal for literal in found if literal not in renderer.control_ids))
