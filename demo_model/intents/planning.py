"""Trips, lessons, steps and budgets."""

from collections.abc import Callable
from random import Random

from demo_model.intent import HARD, MEDIUM, PLAN, Intent, Slots, number, one_of
from demo_model.intents.lookup import capitalized
from demo_model.tables import people


def _days(items: list[str], s: Slots, *, form: str) -> str:
    return "\n".join(
        form.format(day=day, item=item) for day, item in enumerate(items[: int(s["k"])], start=1)
    )


def _covers(table: dict[str, list[str]]) -> Callable[[Slots, str], bool]:
    """As many days as were asked for, each with something of its own from the table."""

    def check(s: Slots, answer: str) -> bool:
        days = int(s["k"])
        named = sum(item in answer for item in table[s["t"]])
        return answer.count("Day ") == days and named == days

    return check


def _steps(s: Slots, _: Random) -> str:
    steps = enumerate(people.GOALS[s["t"]], start=1)
    return "\n".join(f"{i}. {capitalized(step)}." for i, step in steps)


def _draw_budget(rng: Random) -> dict[str, object]:
    days = rng.randint(2, 5)
    return {"k": days, "b": days * rng.choice([10, 20])}


def _per_day(s: Slots) -> str:
    days = int(s["k"])
    return f"{int(s['b']) / days:g}" if days else "infinitely many"


INTENTS: tuple[Intent, ...] = (
    Intent(
        name="trip",
        category=PLAN,
        templates=("Plan a {k}-day trip to {t}.", "Make an itinerary for {k} days in {t}."),
        slots={"k": number(2, 4), "t": one_of(people.SIGHTS)},
        answer=lambda s, _: (
            f"Here is a plan for {s['t']}:\n"
            + _days(people.SIGHTS[s["t"]], s, form="Day {day}: visit {item}.")
        ),
        check=_covers(people.SIGHTS),
        difficulty=HARD,
        wants="plan a trip to {t}",
        knowledge="travel",
        weight=1.5,
    ),
    Intent(
        name="study_plan",
        category=PLAN,
        templates=(
            "Make a {k}-day study plan for {t}.",
            "I want to learn {t} in {k} days. Can you make a plan?",
        ),
        slots={"k": number(2, 5), "t": one_of(people.SUBJECTS)},
        answer=lambda s, _: (
            "Here is a study plan:\n" + _days(people.SUBJECTS[s["t"]], s, form="Day {day}: {item}.")
        ),
        check=_covers(people.SUBJECTS),
        difficulty=MEDIUM,
        wants="plan how to learn {t}",
        knowledge="studying",
        weight=1.5,
    ),
    Intent(
        name="steps",
        category=PLAN,
        templates=(
            "What steps do I need to {t}?",
            "Give me a step-by-step plan to {t}.",
            "{n} and {m} want to {t}. Make a plan for them.",
        ),
        slots={
            "t": one_of(people.GOALS),
            "n": one_of(people.NAMES),
            "m": one_of(people.NAMES),
        },
        answer=_steps,
        check=lambda s, answer: all(step[1:] in answer for step in people.GOALS[s["t"]]),
        difficulty=MEDIUM,
        wants="plan how to {t}",
        knowledge="organization",
        weight=1.5,
    ),
    Intent(
        name="budget",
        category=PLAN,
        templates=(
            "I have {b} dollars for {k} days. How much can I spend each day?",
            "Plan a budget of {b} dollars for {k} days.",
        ),
        slots={"b": number(20, 100), "k": number(2, 5)},
        draw=_draw_budget,
        answer=lambda s, _: f"You can spend {s['b']} / {s['k']} = {_per_day(s)} dollars each day.",
        keys=lambda s: [f"= {_per_day(s)} dollars"],
        difficulty=HARD,
        wants="plan a budget",
        knowledge="budgeting",
        weight=0.7,
    ),
)
