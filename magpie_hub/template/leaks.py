"""Queries that carry what is not theirs: role text, thinking, an answer, the steps of one.

Such a query is rejected with a reason and never repaired: cutting at a mark by a regular expression
turned "3.5 liters" into "5 liters" and lost what stood behind a first line. The rules look at whole
lines outside of code, and leave alone what a person may well write: lists, code, transcripts and
answers that are given to be looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from magpie_hub.template.chat import ChatTemplate

_FENCE = re.compile(r"^\s*(```|~~~)")
FOREIGN = re.compile(
    r"<\|(?:im_(?:start|end|sep)|endoftext|end_of_text|begin_of_text|eot_id|(?:start|end)_header_id"
    r"|end|eot|user|assistant|system)\|>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>"
)
_THINKING = re.compile(r"^\s*</?think(?:ing)?>|</think(?:ing)?>\s*$")
_ASKER, _ANSWERER = {"user", "human"}, {"assistant"}
_COLON = re.compile(r"^\W{0,3}(\w+)\W{0,2}:(?:\W|$)")
_STEP = re.compile(r"^\s*(?:#{2,4}\s*|\*\*\s*)(Step\s+\d+)\b", re.IGNORECASE)
_ANSWER = re.compile(
    r"^\W{0,4}((?:the\s+)?(?:correct\s+|final\s+)?(?:answer|solution|explanation|response)"
    r"(?:\s+is\b|\W{0,2}:))(.*)",
    re.IGNORECASE,
)
_LOOKED_AT = re.compile(
    r"\b(?:grad(?:e|ing)|check|correct(?!\s+answer)|mark|scor(?:e|ing)|verify|review|evaluat\w+|"
    r"proofread|feedback|improve|rewrite|rephrase|edit|translate|summari[sz]e|format|student'?s?|"
    r"quiz|exam|flash\s?cards?|my (?:answer|solution|explanation|response)|is (?:this|that|it)|"
    r"am i|did i|was i)\b",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"^(?:(?:sure|certainly|of course|absolutely)[!,.]\s+(?:here|i|let)\b"
    r"|as an ai(?: language)? model,? i\b|i(?:'m| am) sorry, but (?:i|as)\b)",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?:\S+\s+){2,}\S|[.?!。？！]\W*$")


@dataclass(frozen=True)
class _Lines:
    """The lines of a query, each with whether it is code, quotes or empty."""

    text: str
    lines: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> _Lines:
        kept, code = [], False
        for line in text.split("\n"):
            fence = bool(_FENCE.match(line))
            code ^= fence
            quiet = code or fence or line.startswith(("    ", "\t", ">"))
            kept.append("" if quiet else line.strip())
        return cls(text, tuple(kept))

    def __iter__(self) -> Iterator[tuple[int, str]]:
        return ((i, line) for i, line in enumerate(self.lines) if line)

    def before(self, at: int) -> str:
        """The nearest line above that says something."""
        return next((line for line in reversed(self.lines[:at]) if line), "")

    def behind(self, at: int) -> str:
        return next((line for line in self.lines[at + 1 :] if line), "")


def leaks(text: str, template: ChatTemplate) -> str | None:
    """Why ``text`` is no query, as the end of a sentence, or None. Run it with the templates of
    all models that will read the query."""
    controls = (found.group() for found in template.renderer.controls.finditer(text))
    # A token that looks like any word is no mark that a reader would see.
    if control := next((token for token in controls if not token.isalnum()), None):
        return f"holds the template's {control}"
    for mark in (*template.literals, *template.thinking.marks):
        if mark in text:
            return f"holds the template's {mark}"
    if found := FOREIGN.search(text):
        return f"holds another template's {found.group()}"
    lines = _Lines.of(text)
    rules: tuple[Callable[[_Lines], str | None], ...] = (_thinking, _role, _steps, _answer)
    return next((reason for rule in rules if (reason := rule(lines))), None)


def _thinking(lines: _Lines) -> str | None:
    found = next((match for _, line in lines if (match := _THINKING.search(line))), None)
    return f"holds thinking ({found.group().strip()})" if found else None


def _role(lines: _Lines) -> str | None:
    """A role's word alone on a line between sentences, or before a colon where no transcript is
    quoted."""
    asked = False
    for at, line in lines:
        first = not lines.before(at)
        if line.lower() in _ASKER | _ANSWERER and _stands_alone(lines, at):
            return f"holds the role '{line}' on a line of its own"
        if not (match := _COLON.match(line)):
            continue
        role = match.group(1).lower()
        if first and role in _ASKER | _ANSWERER:
            return f"begins with the role '{match.group(1)}:'"
        if role in _ANSWERER and not asked and not lines.before(at).endswith(":"):
            return f"holds the role '{match.group(1)}:'"
        asked |= role in _ASKER
    return None


def _stands_alone(lines: _Lines, at: int) -> bool:
    """Not an item among others in a list of words."""
    above, below = lines.before(at), lines.behind(at)
    if not below or not _SENTENCE.search(below):
        return False
    return not above or (bool(_SENTENCE.search(above)) and not above.endswith(":"))


def _steps(lines: _Lines) -> str | None:
    """The headings of a worked answer, where nothing announces them as the asker's own."""
    for at, line in lines:
        if match := _STEP.match(line):
            return None if lines.before(at).endswith(":") else f"holds the step '{match.group(1)}'"
    return None


def _answer(lines: _Lines) -> str | None:
    if match := _OPENING.match(lines.text.lstrip()):
        return f"begins like an answer ('{match.group()}')"
    found = [(at, match) for at, line in lines if (match := _ANSWER.match(line))]
    if len(found) != 1:  # several are a quiz or examples
        return None
    at, match = found[0]
    if not match.group(2).strip(" *_") and not lines.behind(at):
        return None  # the place where the answer is wanted
    rest = "\n".join(lines.lines[:at] + lines.lines[at + 1 :])
    if not lines.before(at):
        return None if "?" in lines.text else f"begins with an answer ('{match.group(1)}')"
    return None if _LOOKED_AT.search(rest) else f"holds an answer ('{match.group(1).strip()}')"
