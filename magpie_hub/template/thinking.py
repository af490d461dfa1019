"""Thinking: how it is marked, who opens it, and how it is told from the answer.

Found by rendering an answer that comes with thinking. Where the template shows none, it may still
drop it from past answers: then the marks are the pair of tags that makes a text vanish, or that the
template names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from os.path import commonprefix
from typing import Literal

from magpie_hub.errors import UsageError
from magpie_hub.template.proof import SENTINEL, TURN
from magpie_hub.template.rendering import Renderer

State = Literal["none", "free", "opened", "closed"]
_SWITCHES = ("enable_thinking", "thinking", "enable_reasoning", "reasoning", "think")
"""The names under which templates take the wish to think or not."""
_THOUGHT = "\ue002Thought\ue003"
_ANSWER = "\ue004Answer\ue005"
_TAGS = re.compile(
    r"</(?P<xml>[\w:-]{1,40})>|\[/(?P<square>\w{1,40})\]|<(?P<pipe>\w{1,40})\|>"
    r"|<\|end_of_(?P<words>\w{1,40})\|>|<\|(?P<suffix>\w{1,40})_end\|>"
)
_OPENERS = {
    "xml": "<{}>",
    "square": "[{}]",
    "pipe": "<|{}>",
    "words": "<|begin_of_{}|>",
    "suffix": "<|{}_start|>",
}
_OPENED = re.compile(r"([<\[])([^<>\[\]/|]{1,40}[>\]])$")
_NAMES = re.compile(r"think|thought|reason", re.IGNORECASE)


@dataclass(frozen=True)
class Thinking:
    """``state``: the prompt for an answer leaves thinking to the model ("free"), has "opened" it,
    has "closed" it at once, or the template knows of none.

    ``open`` is what the model writes before it thinks, ``close`` what it writes between thinking
    and answer (``ending``, with the white space around it), ``lead`` before an answer without
    thinking, ``tail`` behind any answer; ``switch`` is the template's variable for it. ``marks``
    are the tags among them."""

    state: State = "none"
    open: str = ""
    close: str = ""
    ending: str = ""
    lead: str = ""
    tail: str = ""
    switch: str | None = None
    marks: tuple[str, ...] = ()

    @property
    def active(self) -> bool:
        """Whether an answer may begin with thinking."""
        return self.state in ("free", "opened")

    def unfinished(self, output: str) -> bool:
        """Whether ``output`` is thinking that has not ended."""
        text = output.strip()
        opened = self.state == "opened" or (bool(self.open) and text.startswith(self.open))
        return self.active and opened and self.close not in text.removeprefix(self.open)

    def split(self, output: str) -> tuple[str | None, str]:
        """(thinking or None, answer). An output that was cut off while thinking has no answer."""
        text = output.strip()
        if self.tail and text.endswith(self.tail):
            text = text.removesuffix(self.tail).rstrip()
        if self.state == "none":
            return None, text.removeprefix(self.lead).strip()
        opened = bool(self.open) and text.startswith(self.open)
        if opened:
            text = text.removeprefix(self.open)
        thought, found, answer = text.partition(self.close)
        if found:
            return thought.strip() or None, answer.strip()
        if opened or self.state == "opened":
            return text.strip() or None, ""
        return None, text.removeprefix(self.lead).strip()


def switch(renderer: Renderer) -> str | None:
    """The variable that turns thinking on and off, if setting it changes what is rendered."""
    question = [{"role": "user", "content": SENTINEL}]
    for name in _SWITCHES:
        if re.search(rf"\b{name}\b", renderer.source) is None:
            continue
        settings = [
            replace(renderer, variables={**renderer.variables, name: value})
            for value in (True, False)
        ]
        try:
            on, off = (setting.text(question) for setting in settings)
        except UsageError:
            continue
        if on != off:
            return name
    return None


def derive(renderer: Renderer, after: str, name: str | None) -> Thinking:
    """``after`` stands between a query and the place of its answer; ``name`` is the switch."""
    state: State
    head, close, tail = _shown(renderer) or ("", "", _tail(renderer))
    ending = close
    ours = after.rstrip()
    if close:
        state, opener = _state(head, ours, close)
    elif pair := next(_pairs(renderer, ours), None):
        opener, close = pair
        ending = f"\n{close}\n\n"  # as nearly all write it; the template does not show it
        state = "opened" if ours.endswith(opener) else "free"
        state = "closed" if ours.endswith(close) else state
    else:
        return Thinking(lead=_lead(renderer, ours), tail=tail, switch=name)
    lead = _lead(renderer, ours) if state == "free" else ""
    marks = tuple(dict.fromkeys(_marks(head or opener, close)))
    return Thinking(
        state=state,
        open=opener.strip(),
        close=close.strip(),
        ending=ending,
        lead=lead,
        tail=tail,
        switch=name,
        marks=marks,
    )


def _state(head: str, ours: str, close: str) -> tuple[State, str]:
    """How the prompt for an answer, which ends in ``ours``, leaves the thinking that the template
    writes behind ``head``; and what the model writes to begin it."""
    if head.rstrip() == ours:
        return "opened", ""
    if head.startswith(ours):
        return "free", head[len(ours) :]
    if ours.endswith(_last_tag(close)):
        return "closed", ""
    if ours.startswith(head.rstrip()):
        return "opened", ""
    return "free", head[len(commonprefix([head, ours])) :]


def _answered(renderer: Renderer, **thinking: str) -> tuple[str, str] | None:
    """What stands between the query and a last answer, and behind that answer."""
    answer = {"role": "assistant", "content": _ANSWER, **thinking}
    try:
        text = renderer.text([{"role": "user", "content": SENTINEL}, answer], generation=False)
    except UsageError:
        return None
    if text.count(_ANSWER) != 1 or text.count(SENTINEL) != 1:
        return None
    head, _, behind = text.partition(SENTINEL)[2].partition(_ANSWER)
    return head, behind


def _shown(renderer: Renderer) -> tuple[str, str, str] | None:
    """(before the thinking, between it and the answer, behind the answer), if it is shown."""
    found = _answered(renderer, thinking=_THOUGHT)
    if found is None or found[0].count(_THOUGHT) != 1:
        return None
    head, _, close = found[0].partition(_THOUGHT)
    if not close.strip():
        return None
    return head, close, _until_control(renderer, found[1], close)


def _tail(renderer: Renderer) -> str:
    found = _answered(renderer)
    return _until_control(renderer, found[1], "") if found else ""


def _lead(renderer: Renderer, ours: str) -> str:
    """What the model writes before an answer without thinking."""
    found = _answered(renderer)
    return found[0][len(ours) :].strip() if found and found[0].startswith(ours) else ""


def _until_control(renderer: Renderer, behind: str, close: str) -> str:
    """What the model writes behind an answer before the token that ends it; the tokens that close
    the thinking end no answer."""
    for match in renderer.controls.finditer(behind):
        if match.group() not in close:
            return behind[: match.start()].strip()
    return ""


def _pairs(renderer: Renderer, ours: str) -> Iterator[tuple[str, str]]:
    """Pairs of tags that make a text vanish from a past answer, then those named for thinking: one
    that the prompt opens, or one that the template writes."""
    vocabulary = " ".join(t.content for t in renderer.tokenizer.added_tokens_decoder.values())
    named = []
    for match in dict.fromkeys(m.group() for m in _TAGS.finditer(renderer.source + vocabulary)):
        tag = _TAGS.fullmatch(match)
        assert tag is not None and tag.lastgroup is not None
        opener = _OPENERS[tag.lastgroup].format(tag.group(tag.lastgroup))
        if _vanishes(renderer, opener, match):
            # Some write a word behind the tag, on its line.
            word = re.search(re.escape(opener) + r"(\w+)\\n", renderer.source)
            yield opener + (word.group(1) if word else ""), match
        elif _NAMES.search(match) and opener in renderer.source:
            named.append((opener, match))
    if (last := _OPENED.search(ours)) and _NAMES.search(last.group()):
        yield last.group(), last.expand(r"\g<1>/\g<2>")
    yield from named


def _vanishes(renderer: Renderer, opener: str, close: str) -> bool:
    if close not in renderer.source:
        return False
    past = {"role": "assistant", "content": f"{opener}{_THOUGHT}{close}{_ANSWER}"}
    try:
        text = renderer.text([TURN[0], past, TURN[0]])
    except UsageError:
        return False
    return _THOUGHT not in text and _ANSWER in text


def _last_tag(close: str) -> str:
    """The mark at the end of ``close``; all of it where there is none."""
    tags = list(_TAGS.finditer(close))
    return tags[-1].group() if tags else close.strip()


def _marks(head: str, close: str) -> Iterator[str]:
    for tag in _TAGS.finditer(close):
        assert tag.lastgroup is not None
        opener = _OPENERS[tag.lastgroup].format(tag.group(tag.lastgroup))
        yield from (mark for mark in (opener, tag.group()) if mark in head + close)
    if _TAGS.search(close) is None and close.strip():
        yield close.strip()
