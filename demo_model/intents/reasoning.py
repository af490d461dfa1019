"""Small deductions. The answer restates what it rests on: that is what made them learnable."""

from random import Random

from demo_model.intent import EASY, HARD, MEDIUM, REASON, VERY_EASY, Intent, Slots, number, one_of
from demo_model.tables import people, text, world

_KIND_OF = {thing: kind for kind, things in text.KINDS.items() for thing in things}
EXTREMES = [word for pair in people.COMPARISONS.values() for word in pair]


def _draw_order(rng: Random) -> dict[str, object]:
    a, b, c = rng.sample(people.NAMES, 3)
    comparative = rng.choice(list(people.COMPARISONS))
    extreme = rng.choice(people.COMPARISONS[comparative])
    return {"a": a, "b": b, "c": c, "k": comparative, "q": extreme}


def _order_winner(s: Slots) -> str:
    most, least = people.COMPARISONS[s["k"]]
    return {most: s["a"], least: s["c"]}.get(s["q"], "nobody")


def _order(s: Slots, _: Random) -> str:
    most, least = people.COMPARISONS[s["k"]]
    order = f"{s['a']}, {s['b']}, {s['c']}"
    return f"From {most} to {least}: {order}. {_order_winner(s)} is the {s['q']}."


def _order_thought(s: Slots) -> str:
    most, least = people.COMPARISONS[s["k"]]
    pairs = f"{s['a']} > {s['b']}\n{s['b']} > {s['c']}"
    return f"{pairs}\n{s['a']} is the {most}, {s['c']} is the {least}"


def weekday(s: Slots, *, after: int) -> str:
    return world.WEEKDAYS[(world.WEEKDAYS.index(s["d"]) + after) % 7]


def counted_days(s: Slots) -> list[str]:
    # At most two weeks are written out: a question with a larger number is not one we taught.
    return [f"{k} {weekday(s, after=k)}" for k in range(1, min(int(s["k"]), 14) + 1)]


def _count_days(s: Slots, _: Random) -> str:
    return f"{', '.join(counted_days(s))}. It will be {weekday(s, after=int(s['k']))}."


def _draw_odd(rng: Random) -> dict[str, object]:
    many, one = rng.sample(list(text.KINDS), 2)
    things = [*rng.sample(text.KINDS[many], 3), rng.choice(text.KINDS[one])]
    rng.shuffle(things)
    return dict(zip("abcd", things, strict=True))


def _odd_one(s: Slots) -> str:
    kinds = [_KIND_OF[s[k]] for k in "abcd"]
    alone = [s[k] for k, kind in zip("abcd", kinds, strict=True) if kinds.count(kind) == 1]
    return alone[0] if len(alone) == 1 else "nothing"


def _odd(s: Slots, _: Random) -> str:
    kinds = ", ".join(f"{s[k]}: {_KIND_OF[s[k]]}" for k in "abcd")
    return f"{kinds}. The odd one out is {_odd_one(s)}."


def _draw_sequence(rng: Random) -> dict[str, object]:
    start, step = rng.randint(1, 5), rng.randint(1, 3)
    return {"a": start, "b": start + step, "c": start + 2 * step}


def _next(s: Slots) -> int:
    return 2 * int(s["c"]) - int(s["b"])


def _sequence(s: Slots, _: Random) -> str:
    step = int(s["b"]) - int(s["a"])
    return f"The rule is to add {step}. {s['c']} + {step} = {_next(s)}, so {_next(s)} comes next."


def _continent(s: Slots) -> str:
    return world.COUNTRIES[world.COUNTRY_OF[s["t"]]][1]


INTENTS: tuple[Intent, ...] = (
    Intent(
        name="order",
        category=REASON,
        templates=(
            "{a} is {k} than {b}, who is {k} than {c}. Who is the {q}?",
            "If {a} is {k} than {b}, who is {k} than {c}, then who is the {q}?",
        ),
        slots={name: one_of(people.NAMES) for name in "abc"}
        | {"k": one_of(people.COMPARISONS), "q": one_of(EXTREMES)},
        draw=_draw_order,
        answer=_order,
        keys=lambda s: [f"{_order_winner(s)} is the {s['q']}"],
        thought=_order_thought,
        difficulty=MEDIUM,
        wants="compare three people",
        knowledge="logic",
        weight=2.5,
    ),
    Intent(
        name="weekday",
        category=REASON,
        templates=(
            "If today is {d}, what day will it be in {k} days?",
            "Today is {d}. Which day comes {k} days later?",
        ),
        slots={"d": one_of(world.WEEKDAYS), "k": number(2, 5)},
        answer=_count_days,
        keys=lambda s: [f"be {weekday(s, after=int(s['k']))}"],
        thought=lambda s: "\n".join(counted_days(s)),
        difficulty=MEDIUM,
        wants="find a weekday",
        knowledge="the calendar",
    ),
    Intent(
        name="odd_one_out",
        category=REASON,
        templates=(
            "Which one does not belong: {a}, {b}, {c}, {d}?",
            "Find the odd one out: {a}, {b}, {c}, {d}.",
        ),
        slots={name: one_of(_KIND_OF) for name in "abcd"},
        draw=_draw_odd,
        answer=_odd,
        keys=lambda s: [f"out is {_odd_one(s)}"],
        thought=lambda s: "\n".join(f"{s[k]}: {_KIND_OF[s[k]]}" for k in "abcd"),
        difficulty=MEDIUM,
        wants="find the odd word",
        knowledge="categories",
        weight=1.8,
    ),
    Intent(
        name="sequence",
        category=REASON,
        templates=("What comes next: {a}, {b}, {c}?", "Continue the sequence {a}, {b}, {c}."),
        slots={name: number(1, 11) for name in "abc"},
        draw=_draw_sequence,
        answer=_sequence,
        keys=lambda s: [f"so {_next(s)} comes next"],
        thought=lambda s: (
            f"{s['b']} - {s['a']} = {int(s['b']) - int(s['a'])}\n"
            f"{s['c']} + {int(s['b']) - int(s['a'])} = {_next(s)}"
        ),
        value=_next,
        difficulty=MEDIUM,
        wants="continue a sequence",
        knowledge="patterns",
    ),
    Intent(
        name="syllogism",
        category=REASON,
        templates=(
            "All {a}s are {x}, and {n} is one of them. What follows?",
            "Every {a} is {x}. What does that mean for {n}, who is one?",
        ),
        slots={
            "a": one_of(people.CLASSES),
            "x": one_of(people.ADJECTIVES),
            "n": one_of(people.NAMES),
        },
        answer=lambda s, _: f"{s['n']} is {s['x']}, because {s['n']} is a {s['a']}.",
        keys=lambda s: [f"{s['n']} is {s['x']}"],
        thought=lambda s: f"{s['n']} is a {s['a']}\nevery {s['a']} is {s['x']}",
        difficulty=EASY,
        wants="apply a rule to {n}",
        knowledge="logic",
        weight=1.8,
    ),
    Intent(
        name="two_hops",
        category=REASON,
        templates=(
            "Which continent is the country with the capital {t} in?",
            "{t} is a capital city. On which continent is its country?",
        ),
        slots={"t": one_of(world.COUNTRY_OF)},
        answer=lambda s, _: (
            f"{s['t']} is the capital of {world.COUNTRY_OF[s['t']]}, which is in {_continent(s)}."
        ),
        keys=lambda s: [f"in {_continent(s)}"],
        thought=lambda s: (
            f"{s['t']} is in {world.COUNTRY_OF[s['t']]}\n"
            f"{world.COUNTRY_OF[s['t']]} is in {_continent(s)}"
        ),
        difficulty=HARD,
        wants="link {t} to a continent",
        knowledge="geography",
    ),
    Intent(
        name="larger",
        category=REASON,
        templates=("Which is larger, {x} or {y}?", "Is {x} or {y} the bigger number?"),
        slots={"x": number(1, 9), "y": number(1, 9)},
        draw=lambda rng: dict(zip("xy", rng.sample(range(1, 10), 2), strict=True)),
        answer=lambda s, _: (
            f"{max(int(s['x']), int(s['y']))} is larger than {min(int(s['x']), int(s['y']))}."
        ),
        keys=lambda s: [f"{max(int(s['x']), int(s['y']))} is larger"],
        thought=lambda s: f"{max(int(s['x']), int(s['y']))} > {min(int(s['x']), int(s['y']))}",
        difficulty=VERY_EASY,
        wants="compare two numbers",
        knowledge="numbers",
        weight=0.6,
    ),
)
