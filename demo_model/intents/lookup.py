"""The commonest kind of question: one slot, one table, one sentence with the value."""

from collections.abc import Mapping
from random import Random

from demo_model.intent import Intent, Slot, Slots, one_of


def with_article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def capitalized(text: str) -> str:
    return text[0].upper() + text[1:]


def lookup(
    name: str,
    *,
    category: str,
    templates: tuple[str, ...],
    table: Mapping[str, str],
    answer: str,
    difficulty: str,
    wants: str,
    knowledge: str,
    language: str = "en",
    weight: float = 1.0,
    open_ended: bool = False,
) -> Intent:
    """An intent whose slot `x` is a key of `table`; `answer` may use {x}, {X} and {value}.

    `X` is the slot at the start of a sentence. A right answer contains the value, unless the
    question is open-ended, where nothing says that another answer is wrong.
    """

    def write(slots: Slots, _: Random) -> str:
        x = slots["x"]
        return answer.format(x=x, X=capitalized(x), value=table[x])

    slot: Slot = one_of(table)
    return Intent(
        name=name,
        category=category,
        templates=templates,
        slots={"x": slot},
        answer=write,
        keys=None if open_ended else lambda slots: [table[slots["x"]]],
        difficulty=difficulty,
        wants=wants,
        knowledge=knowledge,
        language=language,
        weight=weight,
    )
