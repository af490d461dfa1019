"""What a user asks next: about the answer, about another one of the same kind, or something new."""

import re
from dataclasses import replace
from random import Random

from demo_model import grammar
from demo_model.grammar import Turn
from demo_model.intent import OTHER, VERY_EASY
from demo_model.intents import INTENTS
from demo_model.intents.coding import has_javascript, javascript
from demo_model.intents.lookup import capitalized
from demo_model.tables import people
from demo_model.tables.frames import THANKS
from demo_model.tables.people import ROLES

# The slot that may be asked about again, by intent.
_AGAIN = {
    "capital": "x", "continent": "x", "language": "x", "capital_and_language": "c", "legs": "a",
    "animal_class": "a", "young": "x", "color": "x", "element": "x", "month": "x", "define": "x",
    "author": "x", "opposite": "x", "advice": "t", "two_hops": "t", "steps": "t",
}  # fmt: skip
_AGAIN_FORMS = ("What about {x}?", "And {x}?", "Now the same for {x}.", "How about {x}?")
_PLUS = ("Now add {k} to that.", "Add {k} to the result.", "What if you add {k} more?")
_SUMS = ("add", "subtract", "print_sum", "story_add", "story_subtract")

FOLLOW_UP = "follow_up"
"""The intent of a turn that only makes sense after another; the grammar does not read it alone."""


def follow(turn: Turn, *, rng: Random) -> Turn:
    """The next turn after `turn`."""
    asked = _about(turn, rng) if rng.random() < 0.6 else None
    if asked is not None:
        return asked
    chance = rng.random()
    # Thanks end most real conversations; here a few are enough, or they crowd out the rest.
    if chance < 0.08 and turn.language == "en":
        query, answer = rng.choice(THANKS)
        return replace(
            _next(turn, query=query, answer=answer), category=OTHER, difficulty=VERY_EASY
        )
    if chance < 0.75:
        kin = [
            intent
            for intent in INTENTS.values()
            if intent.category == turn.category
            and intent.language == turn.language
            and not intent.vague
            and intent.weight > 0
        ]
        return grammar.sample(rng, intent=rng.choice(kin))
    fresh = grammar.sample(rng)
    return fresh if fresh.language == turn.language else grammar.sample(rng)


def is_follow_up(query: str) -> bool:
    """Whether `query` is one of the taught forms that refer to the turn before."""
    return _FORMS.fullmatch(query) is not None


def _next(turn: Turn, *, query: str, answer: str) -> Turn:
    return replace(turn, query=query, answer=answer, intent=FOLLOW_UP, slots={}, quality="good")


def _about(turn: Turn, rng: Random) -> Turn | None:
    options = [ask for ask in (_again, _plus, _to_javascript, _more, _role, _title, _language,
                               _harder) if ask(turn, Random(0)) is not None]  # fmt: skip
    return rng.choice(options)(turn, rng) if options else None


def _again(turn: Turn, rng: Random) -> Turn | None:
    slot = _AGAIN.get(turn.intent)
    if slot is None:
        return None
    intent = INTENTS[turn.intent]
    slots = turn.slots | {slot: intent.slots[slot].draw(rng)}
    query = rng.choice(_AGAIN_FORMS).format(x=slots[slot])
    return _next(turn, query=query, answer=intent.answer(slots, rng))


def _plus(turn: Turn, rng: Random) -> Turn | None:
    if turn.intent not in _SUMS:
        return None
    value = int(re.findall(r"\d+", turn.answer)[-1])
    if value > 10:
        return None
    k = rng.randint(1, 10)
    return _next(turn, query=rng.choice(_PLUS).format(k=k), answer=f"{value} + {k} = {value + k}")


def _to_javascript(turn: Turn, rng: Random) -> Turn | None:
    if turn.intent != "python" or not has_javascript(turn.slots["f"]):
        return None
    query = rng.choice(("Now write it in JavaScript.", "Can you translate it to JavaScript?"))
    return _next(turn, query=query, answer=javascript(turn.slots["f"]))


def _more(turn: Turn, rng: Random) -> Turn | None:
    if turn.intent != "ideas":
        return None
    ideas = people.IDEAS[turn.slots["t"]]
    last = turn.answer.splitlines()[-1].partition(". ")[2]
    spelt = [capitalized(idea) for idea in ideas]
    another = spelt[(spelt.index(last) + 1) % len(spelt)]
    query = rng.choice(("Give me one more idea.", "Can you add another one?"))
    return _next(turn, query=query, answer=f"{int(turn.slots['k']) + 1}. {another}")


def _role(turn: Turn, rng: Random) -> Turn | None:
    if turn.intent not in ("introduce", "scene"):
        return None
    hello, does, loves = ROLES[turn.slots["x"]]
    query, answer = rng.choice(
        (
            ("What do you do all day?", f"{hello} I {does}."),
            ("What do you love most?", f"{hello} I love {loves}."),
        )
    )
    return _next(turn, query=query, answer=answer)


def _title(turn: Turn, rng: Random) -> Turn | None:
    if turn.intent != "story":
        return None
    animal, adjective = turn.slots["a"], turn.slots["x"].split()[1]
    query = rng.choice(("Give the story a title.", "What is a good title for it?"))
    return _next(turn, query=query, answer=f"The {capitalized(adjective)} {capitalized(animal)}")


def _language(turn: Turn, rng: Random) -> Turn | None:
    if turn.intent != "translate":
        return None
    intent = INTENTS["translate"]
    slots = turn.slots | {"l": intent.slots["l"].draw(rng)}
    query = rng.choice(("And in {l}?", "How do you say it in {l}?")).format(l=slots["l"])
    return _next(turn, query=query, answer=intent.answer(slots, rng))


def _harder(turn: Turn, rng: Random) -> Turn | None:
    if turn.intent not in ("weekday", "trip", "study_plan"):
        return None
    intent = INTENTS[turn.intent]
    slots = turn.slots | {"k": intent.slots["k"].draw(rng)}
    query = rng.choice(("And for {k} days?", "What about {k} days?")).format(k=slots["k"])
    return _next(turn, query=query, answer=intent.answer(slots, rng))


def _forms() -> re.Pattern[str]:
    values: set[str] = {r"\d+", *people.GOALS}
    for name, slot in _AGAIN.items():
        values.add(INTENTS[name].slots[slot].pattern)
    asked = [re.escape(form).replace(r"\{x\}", f"(?:{'|'.join(values)})") for form in _AGAIN_FORMS]
    fixed = (*_PLUS, "Now write it in JavaScript.", "Can you translate it to JavaScript?",
             "Give me one more idea.", "Can you add another one?", "What do you do all day?",
             "What do you love most?", "Give the story a title.", "What is a good title for it?",
             "And in {l}?", "How do you say it in {l}?", "And for {k} days?",
             "What about {k} days?", *(query for query, _ in THANKS))  # fmt: skip
    asked += [
        re.escape(form)
        .replace(r"\{k\}", r"\d+")
        .replace(r"\{l\}", "(?:Spanish|French|German|Chinese)")
        for form in fixed
    ]
    return re.compile("|".join(asked), re.IGNORECASE)


_FORMS = _forms()
