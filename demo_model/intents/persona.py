"""Role play, creative writing, advice and brainstorming: mostly open-ended, so not checkable."""

from collections.abc import Sequence
from random import Random

from demo_model.intent import (
    ADVICE,
    BRAINSTORM,
    CREATIVE,
    EASY,
    HARD,
    MEDIUM,
    ROLE,
    VERY_HARD,
    Intent,
    Slots,
    number,
    one_of,
)
from demo_model.intents.lookup import capitalized, lookup, with_article
from demo_model.tables import people, world


def _cycle(rng: Random, items: Sequence[str], *, count: int) -> list[str]:
    """A window of a circular list: as varied as a sample, and far easier to learn."""
    start = rng.randrange(len(items))
    return [items[(start + i) % len(items)] for i in range(min(count, len(items)))]


def _introduce(s: Slots, _: Random) -> str:
    hello, does, _loves = people.ROLES[s["x"]]
    return f"{hello} Nice to meet you, {s['n']}. I am {s['x']} and I {does}."


def _favorite(s: Slots, _: Random) -> str:
    hello, does, loves = people.ROLES[s["x"]]
    return f"{hello} What I love most is {loves}, because I {does}."


def _scene(s: Slots, _: Random) -> str:
    return f"{people.ROLES[s['x']][0]} I am {s['x']}. What brings {s['y']} like you here today?"


def _story(s: Slots, rng: Random) -> str:
    hero = rng.choice(people.NAMES)
    return (
        f"Once there was {s['x']} {s['a']} named {hero} who wanted to {s['g']}. "
        f"One day the {s['a']} {people.QUESTS[s['g']]}. The end."
    )


def _advice(s: Slots, rng: Random) -> str:
    first, second, third = _cycle(rng, people.ADVICE[s["t"]], count=3)
    return f"To {s['t']}, {first}, {second} and {third}."


def _ideas(s: Slots, rng: Random) -> str:
    ideas = _cycle(rng, people.IDEAS[s["t"]], count=int(s["k"]))
    return "\n".join(f"{i}. {capitalized(idea)}" for i, idea in enumerate(ideas, start=1))


def _has_ideas(s: Slots, answer: str) -> bool:
    named = sum(idea[1:] in answer for idea in people.IDEAS[s["t"]])
    return len(answer.strip().splitlines()) == named == int(s["k"])


def _names(s: Slots, rng: Random) -> str:
    *names, last = _cycle(rng, people.NAMED_THINGS[s["t"]], count=max(2, int(s["k"])))
    return f"How about {', '.join(names)} or {last}?"


def _has_names(s: Slots, answer: str) -> bool:
    return sum(name in answer for name in people.NAMED_THINGS[s["t"]]) == int(s["k"])


INTENTS: tuple[Intent, ...] = (
    Intent(
        name="introduce",
        category=ROLE,
        templates=("Pretend you are {x} and introduce yourself to {n}.", "You are {x}. Greet {n}."),
        slots={"x": one_of(people.ROLES), "n": one_of(people.NAMES)},
        answer=_introduce,
        difficulty=MEDIUM,
        wants="play with {x}",
        knowledge="role play",
        weight=1.5,
    ),
    Intent(
        name="favorite",
        category=ROLE,
        templates=(
            "Act as {x}. What is your favorite thing?",
            "Speak like {x} and tell {n} what you love most.",
        ),
        slots={"x": one_of(people.ROLES), "n": one_of(people.NAMES)},
        answer=_favorite,
        difficulty=MEDIUM,
        wants="play with {x}",
        knowledge="role play",
    ),
    Intent(
        name="scene",
        category=ROLE,
        templates=("Let's role-play: you are {x} and I am {y}. Start the talk.",),
        slots={"x": one_of(people.ROLES), "y": one_of(people.ROLES)},
        draw=lambda rng: dict(zip("xy", rng.sample(list(people.ROLES), 2), strict=True)),
        answer=_scene,
        difficulty=HARD,
        wants="start a role play",
        knowledge="role play",
    ),
    Intent(
        name="poem",
        category=CREATIVE,
        templates=(
            "Write a short poem about the {w}.",
            "Compose a two-line poem about the {w} for {n}.",
        ),
        slots={"w": one_of(people.POEMS), "n": one_of(people.NAMES)},
        answer=lambda s, _: f"The {s['w']} {people.POEMS[s['w']][0]},\n{people.POEMS[s['w']][1]}.",
        difficulty=VERY_HARD,
        wants="get a poem about the {w}",
        knowledge="poetry",
    ),
    Intent(
        name="story",
        category=CREATIVE,
        templates=(
            "Write a very short story about {x} {a} who wants to {g}.",
            "Tell me a story about {x} {a} that tries to {g}.",
        ),
        slots={
            "x": one_of(map(with_article, people.ADJECTIVES)),
            "a": one_of(world.ANIMALS),
            "g": one_of(people.QUESTS),
        },
        answer=_story,
        difficulty=HARD,
        wants="read a short story",
        knowledge="storytelling",
        weight=2.0,
    ),
    lookup(
        "slogan",
        category=CREATIVE,
        templates=("Write a slogan for {x}.", "Create a catchy slogan for {x}."),
        table=people.SLOGANS,
        answer="{value}",
        difficulty=EASY,
        wants="get a slogan for {x}",
        knowledge="marketing",
        weight=0.5,
        open_ended=True,
    ),
    Intent(
        name="advice",
        category=ADVICE,
        templates=(
            "How can I {t}?",
            "What is the best way to {t}?",
            "I want to {t}. What should I do?",
            "My friend {n} wants to {t}. What should I say?",
        ),
        slots={"t": one_of(people.ADVICE), "n": one_of(people.NAMES)},
        answer=_advice,
        difficulty=EASY,
        wants="get advice on how to {t}",
        knowledge="daily life",
        weight=2.0,
    ),
    Intent(
        name="feeling",
        category=ADVICE,
        templates=(
            "I feel {e} about {t}. What should I do?",
            "I am {e} because of {t}. Any advice?",
        ),
        slots={"e": one_of(people.FEELINGS), "t": one_of(people.CONCERNS)},
        answer=lambda s, _: f"{people.FEELINGS[s['e']]}. You could {people.CONCERNS[s['t']]}.",
        difficulty=MEDIUM,
        wants="get advice about {t}",
        knowledge="emotions",
        weight=2.0,
    ),
    Intent(
        name="ideas",
        category=BRAINSTORM,
        templates=(
            "Give me {k} ideas for {t}.",
            "Brainstorm {k} ideas for {t}.",
            "{n} needs {k} ideas for {t}.",
        ),
        slots={"k": number(2, 4), "t": one_of(people.IDEAS), "n": one_of(people.NAMES)},
        answer=_ideas,
        check=_has_ideas,
        difficulty=MEDIUM,
        wants="get ideas for {t}",
        knowledge="creativity",
        weight=2.0,
    ),
    Intent(
        name="names",
        category=BRAINSTORM,
        templates=(
            "Suggest {k} names for a {t}.",
            "I need {k} name ideas for my {t}.",
            "{n} has a new {t}. Suggest {k} names for it.",
        ),
        slots={"k": number(2, 4), "t": one_of(people.NAMED_THINGS), "n": one_of(people.NAMES)},
        answer=_names,
        check=_has_names,
        difficulty=EASY,
        wants="get names for a {t}",
        knowledge="creativity",
        weight=1.5,
    ),
)
