"""Sums that a tiny model can learn: operands up to ten, every step written out.

Two-digit arithmetic, unit conversion and drills of three sums were tried in the prototype and not
learned in this budget, so they are left out rather than answered wrongly.
"""

from random import Random

from demo_model.intent import (
    EASY,
    HARD,
    MATH,
    MEDIUM,
    VERY_EASY,
    VERY_HARD,
    Intent,
    number,
    one_of,
)
from demo_model.intents.lookup import lookup
from demo_model.tables import people, world


def _sum(s: dict[str, str]) -> int:
    return int(s["x"]) + int(s["y"])


def _difference(s: dict[str, str]) -> int:
    return int(s["x"]) - int(s["y"])


def _product(s: dict[str, str]) -> int:
    return int(s["x"]) * int(s["y"])


def _half(s: dict[str, str]) -> float:
    return int(s["x"]) / 2


def _draw_difference(rng: Random) -> dict[str, object]:
    left, y = rng.randint(1, 10), rng.randint(1, 10)
    return {"x": left + y, "y": y}


def _draw_boxes(rng: Random) -> dict[str, object]:
    """Boxes whose content stays within ten, so that the second step is a sum that was taught."""
    x, y = rng.choice([(2, 3), (2, 4), (2, 5), (3, 2), (3, 3), (4, 2), (5, 2)])
    return {"x": x, "y": y, "z": rng.randint(1, x * y - 1)}


def _draw_equation(rng: Random) -> dict[str, object]:
    x, y = rng.randint(1, 10), rng.randint(1, 10)
    return {"y": y, "x": x + y}


def _draw_brackets(rng: Random) -> dict[str, object]:
    x = rng.randint(1, 4)
    return {"x": x, "y": rng.randint(1, 5 - x), "z": rng.randint(2, 5)}


def _boxes(s: dict[str, str]) -> str:
    full, eaten = _product(s), int(s["z"])
    return (
        f"First, {s['x']} * {s['y']} = {full}. Then, {full} - {eaten} = {full - eaten}. "
        f"So {full - eaten} {s['f']} remain."
    )


def _brackets(s: dict[str, str]) -> str:
    inner, z = _sum(s), int(s["z"])
    return f"First, {s['x']} + {s['y']} = {inner}. Then, {inner} * {z} = {inner * z}."


_SMALL = {"x": number(1, 10), "y": number(1, 10)}
_FACTORS = {"x": number(2, 9), "y": number(2, 9)}
_STORY = {"n": one_of(people.NAMES), "f": one_of(people.THINGS)}

INTENTS: tuple[Intent, ...] = (
    Intent(
        name="add",
        category=MATH,
        templates=(
            "What is {x} + {y}?",
            "Calculate {x} + {y}.",
            "Add {x} and {y}.",
            "What is the sum of {x} and {y}?",
        ),
        slots=_SMALL,
        answer=lambda s, _: f"{s['x']} + {s['y']} = {_sum(s)}",
        keys=lambda s: [f"= {_sum(s)}"],
        thought=lambda s: f"{s['x']} + {s['y']} = {_sum(s)}",
        value=_sum,
        difficulty=VERY_EASY,
        wants="add {x} and {y}",
        knowledge="arithmetic",
        weight=2.0,
    ),
    Intent(
        name="subtract",
        category=MATH,
        templates=("What is {x} - {y}?", "Calculate {x} - {y}.", "Subtract {y} from {x}."),
        slots=_SMALL,
        draw=_draw_difference,
        answer=lambda s, _: f"{s['x']} - {s['y']} = {_difference(s)}",
        keys=lambda s: [f"= {_difference(s)}"],
        thought=lambda s: f"{s['x']} - {s['y']} = {_difference(s)}",
        value=_difference,
        difficulty=VERY_EASY,
        wants="subtract {y} from {x}",
        knowledge="arithmetic",
        weight=2.0,
    ),
    Intent(
        name="multiply",
        category=MATH,
        templates=(
            "What is {x} * {y}?",
            "Calculate {x} times {y}.",
            "Multiply {x} by {y}.",
            "What is the product of {x} and {y}?",
        ),
        slots=_FACTORS,
        answer=lambda s, _: f"{s['x']} * {s['y']} = {_product(s)}",
        keys=lambda s: [f"= {_product(s)}"],
        thought=lambda s: f"{s['x']} * {s['y']} = {_product(s)}",
        value=_product,
        difficulty=EASY,
        wants="multiply {x} by {y}",
        knowledge="arithmetic",
        weight=2.0,
    ),
    Intent(
        name="half",
        category=MATH,
        templates=("What is half of {x}?", "Divide {x} by 2."),
        slots={"x": number(1, 10)},
        draw=lambda rng: {"x": 2 * rng.randint(1, 10)},
        answer=lambda s, _: f"Half of {s['x']} is {_half(s):g}.",
        keys=lambda s: [f"is {_half(s):g}"],
        thought=lambda s: f"{_half(s):g} + {_half(s):g} = {s['x']}",
        value=_half,
        difficulty=EASY,
        wants="halve {x}",
        knowledge="arithmetic",
        weight=0.7,
    ),
    Intent(
        name="square",
        category=MATH,
        templates=("What is {x} squared?", "What is the square of {x}?"),
        slots={"x": number(2, 10)},
        answer=lambda s, _: f"{s['x']} squared is {int(s['x']) ** 2}.",
        keys=lambda s: [f"is {int(s['x']) ** 2}"],
        thought=lambda s: f"{s['x']} * {s['x']} = {int(s['x']) ** 2}",
        value=lambda s: int(s["x"]) ** 2,
        difficulty=EASY,
        wants="square {x}",
        knowledge="arithmetic",
        weight=0.6,
    ),
    Intent(
        name="brackets",
        category=MATH,
        templates=(
            "Compute ({x} + {y}) * {z} step by step.",
            "What is ({x} + {y}) * {z}? Show your work.",
        ),
        slots={"x": number(1, 4), "y": number(1, 4), "z": number(2, 5)},
        draw=_draw_brackets,
        answer=lambda s, _: _brackets(s),
        keys=lambda s: [f"= {_sum(s) * int(s['z'])}"],
        thought=lambda s: (
            f"{s['x']} + {s['y']} = {_sum(s)}\n{_sum(s)} * {s['z']} = {_sum(s) * int(s['z'])}"
        ),
        value=lambda s: _sum(s) * int(s["z"]),
        difficulty=MEDIUM,
        wants="evaluate an expression",
        knowledge="arithmetic",
    ),
    Intent(
        name="story_add",
        category=MATH,
        templates=(
            "{n} has {x} {f} and buys {y} more. How many are there now?",
            "{n} has {x} {f}. A friend brings {y} more. How many are there?",
        ),
        slots=_STORY | _SMALL,
        answer=lambda s, _: f"{s['n']} has {s['x']} + {s['y']} = {_sum(s)} {s['f']}.",
        keys=lambda s: [f"= {_sum(s)} {s['f']}"],
        thought=lambda s: f"{s['x']} + {s['y']} = {_sum(s)}",
        value=_sum,
        difficulty=MEDIUM,
        wants="count {f}",
        knowledge="arithmetic",
        weight=2.5,
    ),
    Intent(
        name="story_subtract",
        category=MATH,
        templates=(
            "{n} had {x} {f} and gave away {y}. How many are left?",
            "{n} had {x} {f} but lost {y} of them. How many are left?",
        ),
        slots=_STORY | _SMALL,
        draw=_draw_difference,
        answer=lambda s, _: f"{s['n']} has {s['x']} - {s['y']} = {_difference(s)} {s['f']} left.",
        keys=lambda s: [f"= {_difference(s)} {s['f']}"],
        thought=lambda s: f"{s['x']} - {s['y']} = {_difference(s)}",
        value=_difference,
        difficulty=MEDIUM,
        wants="count {f}",
        knowledge="arithmetic",
        weight=2.5,
    ),
    Intent(
        name="story_boxes",
        category=MATH,
        templates=("{n} buys {x} boxes with {y} {f} each and gives away {z}. How many remain?",),
        slots=_STORY | {"x": number(2, 5), "y": number(2, 5), "z": number(1, 9)},
        draw=_draw_boxes,
        answer=lambda s, _: _boxes(s),
        keys=lambda s: [f"So {_product(s) - int(s['z'])} {s['f']}"],
        thought=lambda s: (
            f"{s['x']} * {s['y']} = {_product(s)}\n"
            f"{_product(s)} - {s['z']} = {_product(s) - int(s['z'])}"
        ),
        value=lambda s: _product(s) - int(s["z"]),
        difficulty=HARD,
        wants="solve a problem in two steps",
        knowledge="arithmetic",
        weight=2.0,
    ),
    Intent(
        name="equation",
        category=MATH,
        templates=("Solve for x: x + {y} = {x}.", "If x + {y} = {x}, what is x?"),
        slots=_SMALL,
        draw=_draw_equation,
        answer=lambda s, _: f"x = {s['x']} - {s['y']} = {_difference(s)}",
        keys=lambda s: [f"= {_difference(s)}"],
        thought=lambda s: f"x = {s['x']} - {s['y']}\n{s['x']} - {s['y']} = {_difference(s)}",
        value=_difference,
        difficulty=MEDIUM,
        wants="solve an equation",
        knowledge="algebra",
    ),
    Intent(
        name="area",
        category=MATH,
        templates=(
            "A rectangle is {x} cm long and {y} cm wide. What is its area?",
            "Find the area of a rectangle with sides {x} cm and {y} cm.",
        ),
        slots=_FACTORS,
        answer=lambda s, _: f"The area is {s['x']} * {s['y']} = {_product(s)} square cm.",
        keys=lambda s: [f"= {_product(s)} square"],
        thought=lambda s: f"{s['x']} * {s['y']} = {_product(s)}",
        value=_product,
        difficulty=MEDIUM,
        wants="find an area",
        knowledge="geometry",
    ),
    lookup(
        "proof",
        category=MATH,
        templates=("Prove that {x}.", "Give a short proof that {x}."),
        table={statement: ". ".join(steps) for statement, steps in world.PROOFS.items()},
        answer="{value}.",
        difficulty=VERY_HARD,
        wants="see a proof",
        knowledge="number theory",
        weight=0.8,
    ),
)
