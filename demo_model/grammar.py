"""The grammar of the corpus: it writes queries, and reads them back.

`parse` is how everything that the model samples is judged: a query is well-formed when the grammar
can read it, whatever its case and with or without its final mark; `is_correct` then checks an
answer, where the kind of question has a right one.
"""

import re
from dataclasses import dataclass
from functools import cache
from random import Random

from demo_model.intent import (
    FINAL_PUNCTUATION,
    Intent,
    Slots,
)
from demo_model.intents import INTENTS
from demo_model.tables.frames import FRAMES
from demo_model.tables.text import SLIPS
from magpie_hub.schema import CATEGORIES

# Shares of the queries without a system prompt. Languages other than English share theirs equally.
ENGLISH = 0.69
VAGUE = 0.03
CATEGORY_WEIGHTS = dict(zip(CATEGORIES, (12, 13, 7, 12, 11, 13, 6, 11, 6, 5, 6, 5), strict=True))
CARELESS = 0.16
POLITE = 0.46


@dataclass(frozen=True)
class Parsed:
    """A query that the grammar can read. `intent` names an entry of `INTENTS`."""

    intent: str
    slots: Slots
    category: str
    difficulty: str
    quality: str
    language: str
    core: str
    """The query without its greeting, introduction and thanks."""


@dataclass(frozen=True)
class Turn:
    """A query with its answer and the labels that a judge should give it."""

    query: str
    answer: str
    intent: str
    slots: Slots
    category: str
    difficulty: str
    quality: str
    language: str


def is_correct(parsed: Parsed, answer: str) -> bool | None:
    """Whether `answer` is right; None where the kind of question has no one right answer."""
    return INTENTS[parsed.intent].is_correct(parsed.slots, answer.strip())


def parse(query: str) -> Parsed | None:
    """Reads a query back, or None where it is malformed."""
    found = _parse(query)
    if found is not None:
        return found
    mended = _SLIP.sub(_mend, query)
    # A query with slips in it is careless, however polite it is.
    return _parse(mended, careless=True) if mended != query else None


def sample(rng: Random, *, intent: Intent | None = None) -> Turn:
    """A query of one intent, or of any in their shares, with its answer."""
    chosen = intent or draw_intent(rng)
    slots = chosen.sample_slots(rng)
    core = rng.choice(chosen.templates).format(**slots)
    query, quality = _dress(core, rng=rng, intent=chosen)
    return Turn(
        query=query,
        answer=chosen.answer(slots, rng),
        intent=chosen.name,
        slots=slots,
        category=chosen.category,
        difficulty=chosen.difficulty,
        quality=quality,
        language=chosen.language,
    )


def draw_intent(rng: Random) -> Intent:
    names, weights = intent_weights()
    return INTENTS[rng.choices(names, cum_weights=weights)[0]]


@cache
def intent_weights() -> tuple[list[str], list[float]]:
    """Intent names and their cumulative shares: first the language, then category, then weight."""
    groups: dict[tuple[str, str], float] = {}
    for intent in INTENTS.values():
        groups[_group(intent)] = groups.get(_group(intent), 0.0) + intent.weight
    languages = {language for language, _ in groups if language != "en"}
    total = sum(CATEGORY_WEIGHTS.values())
    share: dict[tuple[str, str], float] = {}
    for language, theme in groups:
        if theme == "vague":
            share[language, theme] = VAGUE
        elif language == "en":
            share[language, theme] = (ENGLISH - VAGUE) * CATEGORY_WEIGHTS[theme] / total
        else:
            themes = [t for spoken, t in groups if spoken == language]
            each = sum(groups[language, t] for t in themes)
            share[language, theme] = (1 - ENGLISH) / len(languages) * groups[language, theme] / each
    names, cumulative, reached = [], [], 0.0
    for name, intent in INTENTS.items():
        reached += share[_group(intent)] * intent.weight / groups[_group(intent)]
        names.append(name)
        cumulative.append(reached)
    return names, cumulative


def _group(intent: Intent) -> tuple[str, str]:
    return intent.language, "vague" if intent.vague else intent.category


# ---------------------------------------------------------------------------------- surface


def _dress(core: str, *, rng: Random, intent: Intent) -> tuple[str, str]:
    """The query around its core, and the quality that this gives it."""
    if intent.vague:
        return core, "poor"
    chance = rng.random()
    plain = "\n" not in core and "`" not in core
    if chance < CARELESS and plain:
        careless = _careless(core, rng=rng)
        return (careless, "average") if careless != core else (core, "good")
    if chance < CARELESS + POLITE and intent.knowledge != "small talk":
        return _polite(core, rng=rng, language=intent.language), "excellent"
    return core, "good"


def _careless(core: str, *, rng: Random) -> str:
    kind = rng.choice(("lower", "slip", "both"))
    text = core
    if kind != "slip":
        text = text.lower().rstrip(FINAL_PUNCTUATION).rstrip()
    if kind != "lower":
        slips = [m for m in re.finditer(r"[A-Za-z]+", text) if m[0].lower() in SLIPS]
        if slips:
            word = rng.choice(slips)
            slip = SLIPS[word[0].lower()]
            slip = slip.capitalize() if word[0][0].isupper() else slip
            text = text[: word.start()] + slip + text[word.end() :]
    return text


def _polite(core: str, *, rng: Random, language: str) -> str:
    frame = FRAMES[language]
    space = "" if language == "zh" else " "
    kind = rng.random()
    before = after = ""
    if kind < 0.65:
        before = rng.choice(frame.introductions) + space
    elif kind < 0.8:
        before = rng.choice(frame.greetings) + space
    if (kind >= 0.8 or kind < 0.12) and "\n" not in core:
        after = space + rng.choice(frame.thanks)
    if not before and not after:
        before = rng.choice(frame.greetings) + space
    return before + core + after


# ---------------------------------------------------------------------------------- reading


def _parse(query: str, *, careless: bool = False) -> Parsed | None:
    for core, framed in _undressed(query):
        for intent in INTENTS.values():
            found = intent.match(core)
            if found is None:
                continue
            template, slots = found
            exact = template.format(**slots) == core and not careless
            if intent.vague:
                quality = "poor"
            elif not exact:
                quality = "average"
            else:
                quality = "excellent" if framed else "good"
            return Parsed(
                intent=intent.name,
                slots=slots,
                category=intent.category,
                difficulty=intent.difficulty,
                quality=quality,
                language=intent.language,
                core=core,
            )
    return None


def _undressed(query: str) -> list[tuple[str, bool]]:
    """The query as it is, then without what stands around it; whether anything did."""
    found = _FRAME.fullmatch(query)
    candidates = [(query, False)]
    if found and (found["before"] or found["after"]):
        candidates.append((found["core"], True))
    return candidates


def _choice(texts: set[str]) -> str:
    return "|".join(re.escape(text) for text in sorted(texts, key=lambda t: (-len(t), t)))


def _frame_pattern() -> re.Pattern[str]:
    before = {t for f in FRAMES.values() for t in (*f.greetings, *f.introductions)}
    after = {t.rstrip(FINAL_PUNCTUATION) for f in FRAMES.values() for t in f.thanks}
    marks = re.escape(FINAL_PUNCTUATION)
    return re.compile(
        f"(?P<before>(?:{_choice(before)}) ?)?(?P<core>.+?)"
        f"(?P<after>(?:(?<=[{marks}]) ?|(?<=。))(?:{_choice(after)})[{marks}]?)?",
        re.IGNORECASE | re.DOTALL,
    )


def _mend(slip: re.Match[str]) -> str:
    word = _MENDED[slip[0].lower()]
    return word.capitalize() if slip[0][0].isupper() else word


_FRAME = _frame_pattern()
_MENDED = {slip: word for word, slip in SLIPS.items()}
_SLIP = re.compile(rf"\b(?:{_choice(set(_MENDED))})\b", re.IGNORECASE)
