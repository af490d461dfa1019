"""What a kind of question is: templates with typed slots, an answer, and a way to check it.

The same declaration writes questions (`draw`, `templates`) and reads them back (`Slot.pattern`,
`Slot.restore`), so whatever the model samples can be measured against what it was taught.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from random import Random

from magpie_hub.schema import CATEGORIES, DIFFICULTIES

Slots = dict[str, str]

INFO, REASON, PLAN, EDIT, CODE, MATH, ROLE, DATA, CREATIVE, ADVICE, BRAINSTORM, OTHER = CATEGORIES

VERY_EASY, EASY, MEDIUM, HARD, VERY_HARD = DIFFICULTIES

# Question marks and full stops that a careless writer leaves out.
FINAL_PUNCTUATION = ".?!。？！"
# Letters and digits that may not touch a key: "= 1" must not be found in "= 10". Chinese is left
# out, because it writes words without spaces between them.
_WORD = "0-9A-Za-z\u00c0-\u024f"


@dataclass(frozen=True)
class Slot:
    """A place in a template: how to fill it, how to recognise it, how to restore its case."""

    draw: Callable[[Random], str]
    pattern: str
    restore: Callable[[str], str] = field(default=str.lower)


def one_of(values: Iterable[object]) -> Slot:
    """One of a closed list; a lower-cased value is restored to the list's own spelling."""
    known = [str(value) for value in values]
    spelling = {value.lower(): value for value in known}
    longest_first = sorted(spelling, key=lambda value: (-len(value), value))
    pattern = "|".join(map(re.escape, longest_first))
    return Slot(
        draw=lambda rng: rng.choice(known),
        pattern=f"(?:{pattern})",
        restore=lambda text: spelling[text.lower()],
    )


def number(low: int, high: int) -> Slot:
    """A number; any other number is still recognised, the answer to it is then mostly wrong."""
    return Slot(draw=lambda rng: str(rng.randint(low, high)), pattern=r"\d{1,4}")


def digit_list(low: int, high: int) -> Slot:
    """`low` to `high` different digits. Digits, because a number of two tokens sorts badly."""

    def draw(rng: Random) -> str:
        return ", ".join(map(str, rng.sample(range(1, 10), rng.randint(low, high))))

    value = r"\d{1,3}"
    return Slot(draw=draw, pattern=f"{value}(?:, {value}){{{low - 1},{high - 1}}}")


@dataclass(frozen=True)
class Intent:
    """One kind of question. Everything a reader of the corpus can ask of it is a method here."""

    name: str
    category: str
    templates: tuple[str, ...]
    answer: Callable[[Slots, Random], str]
    difficulty: str
    wants: str
    """Completes "The user wants to ..."; slots may stand in it."""
    knowledge: str
    slots: Mapping[str, Slot] = field(default_factory=dict)
    draw: Callable[[Random], Mapping[str, object]] | None = None
    """Fills the slots together, where they depend on each other."""
    keys: Callable[[Slots], Sequence[str]] | None = None
    """Strings that a right answer contains."""
    check: Callable[[Slots, str], bool] | None = None
    language: str = "en"
    weight: float = 1.0
    """Among those of its language and category; what weighs nothing is left to the third lap."""
    vague: bool = False
    thought: Callable[[Slots], str] | None = None
    """The steps to the answer, for when the model is to think before it answers."""
    value: Callable[[Slots], float] | None = None
    """The number that the question asks for, where it asks for one."""

    @property
    def checkable(self) -> bool:
        return self.keys is not None or self.check is not None

    def sample_slots(self, rng: Random) -> Slots:
        filled = {name: slot.draw(rng) for name, slot in self.slots.items()}
        if self.draw is not None:
            filled |= {name: str(value) for name, value in self.draw(rng).items()}
        return filled

    def think(self, slots: Slots) -> str:
        if self.thought is not None:
            return self.thought(slots)
        return f"The user wants to {self.wants.format(**slots)}."

    def is_correct(self, slots: Slots, answer: str) -> bool | None:
        if self.check is not None:
            return self.check(slots, answer)
        if self.keys is not None:
            return all(contains(answer, key=key) for key in self.keys(slots))
        return None

    @cached_property
    def patterns(self) -> tuple[re.Pattern[str], ...]:
        return tuple(_pattern(template, slots=self.slots) for template in self.templates)

    def match(self, text: str) -> tuple[str, Slots] | None:
        """The template that `text` was written with and its slots, whatever the case."""
        for template, pattern in zip(self.templates, self.patterns, strict=True):
            found = pattern.fullmatch(text)
            if found:
                values = found.groupdict()
                return template, {k: self.slots[k].restore(v) for k, v in values.items()}
        return None


def contains(text: str, *, key: str) -> bool:
    """Whether `key` stands in `text` as whole words and whole numbers."""
    before = f"(?<![{_WORD}])" if re.match(f"[{_WORD}]", key) else ""
    after = f"(?![{_WORD}]|[.,]\\d)" if re.search(f"[{_WORD}]$", key) else ""
    return re.search(before + re.escape(key) + after, text) is not None


def _pattern(template: str, *, slots: Mapping[str, Slot]) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)
    seen: set[str] = set()
    regex = ""
    for position, part in enumerate(parts):
        if position % 2 == 0:
            regex += re.escape(part)
        elif part in seen:
            regex += f"(?P={part})"
        else:
            seen.add(part)
            regex += f"(?P<{part}>{slots[part].pattern})"
    if template[-1] in FINAL_PUNCTUATION:
        # A template such as "... French ?" also loses the space before the mark.
        body = re.escape(template[-1])
        regex = regex.removesuffix(body)
        if regex.endswith("\\ "):
            regex = regex.removesuffix("\\ ") + "\\ ?"
        regex += f"[{re.escape(FINAL_PUNCTUATION)}]?"
    regex = re.sub(r"^[¿¡]", lambda mark: f"{mark[0]}?", regex)
    return re.compile(regex, re.IGNORECASE)
