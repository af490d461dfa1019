"""The same ten kinds of question in four more languages.

One set of intents serves every language, so that a language is only a table, and each has a real
share of the corpus rather than a handful of sentences.
"""

from collections.abc import Callable
from random import Random

from demo_model.intent import (
    ADVICE,
    CODE,
    CREATIVE,
    DATA,
    EASY,
    HARD,
    INFO,
    MATH,
    MEDIUM,
    OTHER,
    PLAN,
    ROLE,
    VERY_EASY,
    VERY_HARD,
    Intent,
    Slot,
    Slots,
    digit_list,
    number,
    one_of,
)
from demo_model.intents.coding import python
from demo_model.tables.languages import LANGUAGES, Language


def _sum(s: Slots) -> int:
    return int(s["x"]) + int(s["y"])


def _ascending(s: Slots) -> list[int]:
    return sorted(int(value) for value in s["l"].split(", "))


def _poem(language: Language) -> Callable[[Slots, Random], str]:
    return lambda s, _: "\n".join(language.poems[s["x"]])


def _role(language: Language) -> Callable[[Slots, Random], str]:
    comma = "," if language.code == "zh" else ", "
    stop = "。" if language.code == "zh" else "."

    def answer(s: Slots, _: Random) -> str:
        hello, does = language.roles[s["x"]]
        space = "" if language.code == "zh" else " "
        return f"{hello}{space}{s['n']}{comma}{does}{stop}"

    return answer


def _trip(language: Language, *, day: str) -> Callable[[Slots, Random], str]:
    form = "{day}{i}天:{sight}" if language.code == "zh" else "{day} {i}: {sight}"

    def answer(s: Slots, _: Random) -> str:
        sights = language.trips[s["x"]][: int(s["k"])]
        lines = (form.format(day=day, i=i, sight=x) for i, x in enumerate(sights, start=1))
        return "\n".join(lines)

    return answer


def _intents(language: Language) -> list[Intent]:
    ask = language.questions
    person: dict[str, Slot] = {"n": one_of(language.names)}

    def intent(
        name: str,
        *,
        category: str,
        slots: dict[str, Slot],
        answer: Callable[[Slots, Random], str],
        difficulty: str,
        wants: str,
        knowledge: str,
        keys: Callable[[Slots], list[str]] | None = None,
        weight: float = 1.0,
    ) -> Intent:
        return Intent(
            name=f"{name}_{language.code}",
            category=category,
            templates=tuple(ask[name][:-1]),
            slots=slots,
            answer=answer,
            keys=keys,
            difficulty=difficulty,
            wants=wants,
            knowledge=knowledge,
            language=language.code,
            weight=weight,
        )

    def fill(name: str, table: dict[str, str]) -> Callable[[Slots, Random], str]:
        return lambda s, _: ask[name][-1].format(**s, value=table[s["x"]])

    return [
        intent(
            "capital",
            category=INFO,
            slots={"x": one_of(language.capitals)},
            answer=fill("capital", language.capitals),
            keys=lambda s: [language.capitals[s["x"]]],
            difficulty=EASY,
            wants="know a capital",
            knowledge="geography",
        ),
        intent(
            "opposite",
            category=OTHER,
            slots={"x": one_of(language.opposites)},
            answer=fill("opposite", language.opposites),
            keys=lambda s: [language.opposites[s["x"]]],
            difficulty=VERY_EASY,
            wants="find an antonym",
            knowledge="vocabulary",
            weight=0.7,
        ),
        intent(
            "advice",
            category=ADVICE,
            slots=person | {"x": one_of(language.advice)},
            answer=fill("advice", language.advice),
            difficulty=EASY,
            wants="get advice",
            knowledge="daily life",
        ),
        intent(
            "poem",
            category=CREATIVE,
            slots=person | {"x": one_of(language.poems)},
            answer=_poem(language),
            difficulty=VERY_HARD,
            wants="get a poem",
            knowledge="poetry",
        ),
        intent(
            "role",
            category=ROLE,
            slots=person | {"x": one_of(language.roles)},
            answer=_role(language),
            difficulty=MEDIUM,
            wants="play a role",
            knowledge="role play",
        ),
        intent(
            "trip",
            category=PLAN,
            slots=person | {"x": one_of(language.trips), "k": number(2, 3)},
            answer=_trip(language, day=ask["trip"][-1]),
            keys=lambda s: language.trips[s["x"]][: int(s["k"])],
            difficulty=HARD,
            wants="plan a trip",
            knowledge="travel",
        ),
        intent(
            "code",
            category=CODE,
            slots={"x": one_of(language.functions)},
            answer=lambda s, _: python(language.functions[s["x"]]),
            keys=lambda s: [python(language.functions[s["x"]])],
            difficulty=MEDIUM,
            wants="get Python code",
            knowledge="Python",
            weight=0.8,
        ),
        intent(
            "add",
            category=MATH,
            slots={"x": number(1, 10), "y": number(1, 10)},
            answer=lambda s, _: f"{s['x']} + {s['y']} = {_sum(s)}",
            keys=lambda s: [f"= {_sum(s)}"],
            difficulty=VERY_EASY,
            wants="add two numbers",
            knowledge="arithmetic",
        ),
        intent(
            "story",
            category=MATH,
            slots=person | {"f": one_of(language.things), "x": number(1, 10), "y": number(1, 10)},
            answer=lambda s, _: ask["story"][-1].format(**s, value=_sum(s)),
            keys=lambda s: [f"= {_sum(s)}"],
            difficulty=MEDIUM,
            wants="count things",
            knowledge="arithmetic",
            weight=1.5,
        ),
        intent(
            "maximum",
            category=DATA,
            slots={"l": digit_list(3, 4)},
            answer=lambda s, _: (
                ", ".join(map(str, _ascending(s)))
                + ". "
                + ask["maximum"][-1].format(value=_ascending(s)[-1])
            ),
            keys=lambda s: [f" {_ascending(s)[-1]}" + ask["maximum"][-1][-1]],
            difficulty=EASY,
            wants="find a maximum",
            knowledge="statistics",
        ),
    ]


INTENTS: tuple[Intent, ...] = tuple(
    intent for language in LANGUAGES for intent in _intents(language)
)
