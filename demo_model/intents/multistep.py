"""Questions of several steps, for a model that thinks: hardly ever right at a guess, mostly right
where every step is written out, and the more steps the less often.

They weigh nothing in the ordinary corpus; the third lap of the training brings them.
"""

from functools import partial
from itertools import pairwise
from random import Random

from demo_model.intent import (
    HARD,
    MATH,
    MEDIUM,
    REASON,
    VERY_HARD,
    Intent,
    Slot,
    Slots,
    number,
    one_of,
)
from demo_model.intents.reasoning import EXTREMES, counted_days, weekday
from demo_model.tables import people, world

_LIMIT = 20
"""Sums stay within 0 and this."""
_MOVES = {"add {k}": 1, "subtract {k}": -1}
_DOUBLE = "double it"
_EVENTS = {
    "buys {k}": 1,
    "finds {k}": 1,
    "gets {k}": 1,
    "gives away {k}": -1,
    "loses {k}": -1,
    "sells {k}": -1,
}
_SIGNS = {form.removesuffix(" {k}"): sign for form, sign in (_MOVES | _EVENTS).items()}


def _draw_chain(
    rng: Random, *, low: int, high: int, forms: dict[str, int], double: bool
) -> dict[str, object]:
    """A start and `low` to `high` moves that keep the running number within its limit."""
    reached = start = rng.randint(1, 9)
    moves = []
    for _ in range(rng.randint(low, high)):
        if double and 2 <= reached <= _LIMIT // 2 and rng.random() < 0.2:
            moves.append(_DOUBLE)
            reached *= 2
            continue
        rooms = {f: _LIMIT - reached if sign > 0 else reached for f, sign in forms.items()}
        form = rng.choice([f for f, room in rooms.items() if room > 0])
        k = rng.randint(1, min(9, rooms[form]))
        moves.append(form.format(k=k))
        reached += forms[form] * k
    return {"x": start, "o": ", ".join(moves)}


def _chain_slot(*, low: int, high: int, forms: dict[str, int], double: bool) -> Slot:
    move = "|".join(form.format(k=r"\d{1,2}") for form in forms)
    move = f"(?:{move}|{_DOUBLE})" if double else f"(?:{move})"
    return Slot(
        draw=lambda rng: str(_draw_chain(rng, low=low, high=high, forms=forms, double=double)["o"]),
        pattern=f"{move}(?:, {move}){{{low - 1},{high - 1}}}",
    )


def _steps(s: Slots) -> list[tuple[str, int]]:
    """Every step as it is written out, with what it comes to."""
    reached, steps = int(s["x"]), []
    for move in s["o"].split(", "):
        if move == _DOUBLE:
            written, after = f"{reached} * 2", reached * 2
        else:
            verb, _, k = move.rpartition(" ")
            written = f"{reached} {'+' if _SIGNS[verb] > 0 else '-'} {k}"
            after = reached + _SIGNS[verb] * int(k)
        steps.append((f"{written} = {after}", after))
        reached = after
    return steps


def _reached(s: Slots) -> int:
    return _steps(s)[-1][1]


def _written(s: Slots) -> str:
    return "\n".join(written for written, _ in _steps(s))


def _chain(name: str, *, low: int, high: int, difficulty: str) -> Intent:
    shape = {"low": low, "high": high, "forms": _MOVES, "double": True}
    return Intent(
        name=name,
        category=MATH,
        templates=(
            "Start with {x}, then {o}. What is the result?",
            "Take {x}, {o}. Which number do you get?",
        ),
        slots={"x": number(1, 9), "o": _chain_slot(**shape)},
        draw=partial(_draw_chain, **shape),
        answer=lambda s, _: f"The result is {_reached(s)}.",
        keys=lambda s: [f"is {_reached(s)}"],
        thought=_written,
        value=_reached,
        difficulty=difficulty,
        wants="follow a chain of sums",
        knowledge="arithmetic",
        weight=0.0,
    )


def _draw_story(rng: Random) -> dict[str, object]:
    person, thing = rng.choice(people.NAMES), rng.choice(people.THINGS)
    chain = _draw_chain(rng, low=3, high=5, forms=_EVENTS, double=False)
    return {"n": person, "f": thing} | chain


def _draw_line(rng: Random) -> dict[str, object]:
    """Four people in a row, told by three pairs; each pair shares a person with those before."""
    row = rng.sample(people.NAMES, 4)
    pairs = list(pairwise(row))
    order = rng.choice([(0, 1, 2), (1, 0, 2), (1, 2, 0), (2, 1, 0)])
    comparative = rng.choice(list(people.COMPARISONS))
    told = [name for place in order for name in pairs[place]]
    extreme = rng.choice(people.COMPARISONS[comparative])
    return dict(zip("abcdef", told, strict=True)) | {"k": comparative, "q": extreme}


def _rows(s: Slots) -> list[list[str]]:
    """The row of people as each pair makes it longer; no more where a pair does not fit."""
    row = [s["a"], s["b"]]
    rows = [row]
    for left, right in (s["c"], s["d"]), (s["e"], s["f"]):
        if right == row[0] and left not in row:
            row = [left, *row]
        elif left == row[-1] and right not in row:
            row = [*row, right]
        else:
            break
        rows.append(row)
    return rows


def _line_winner(s: Slots) -> str:
    most, least = people.COMPARISONS[s["k"]]
    row = _rows(s)[-1]
    if len(row) < 4 or s["q"] not in (most, least):
        return "nobody"
    return row[0] if s["q"] == most else row[-1]


def _line_thought(s: Slots) -> str:
    return "\n".join(" > ".join(row) for row in _rows(s))


_NAME = one_of(people.NAMES)

INTENTS: tuple[Intent, ...] = (
    _chain("chain_short", low=2, high=3, difficulty=MEDIUM),
    _chain("chain", low=4, high=5, difficulty=HARD),
    _chain("chain_long", low=6, high=8, difficulty=VERY_HARD),
    Intent(
        name="story_chain",
        category=MATH,
        templates=(
            "{n} has {x} {f}, then {o}. How many {f} are left?",
            "{n} starts with {x} {f}, {o}. How many {f} does {n} have now?",
        ),
        slots={
            "n": _NAME,
            "f": one_of(people.THINGS),
            "x": number(1, 9),
            "o": _chain_slot(low=3, high=5, forms=_EVENTS, double=False),
        },
        draw=_draw_story,
        answer=lambda s, _: f"{s['n']} has {_reached(s)} {s['f']} now.",
        keys=lambda s: [f"has {_reached(s)} {s['f']}"],
        thought=_written,
        value=_reached,
        difficulty=HARD,
        wants="count {f}",
        knowledge="arithmetic",
        weight=0.0,
    ),
    Intent(
        name="weekday_far",
        category=REASON,
        templates=("Which weekday comes {k} days after {d}?", "What day is {k} days after {d}?"),
        slots={"d": one_of(world.WEEKDAYS), "k": number(6, 12)},
        answer=lambda s, _: f"{s['k']} days after {s['d']} comes {weekday(s, after=int(s['k']))}.",
        keys=lambda s: [f"comes {weekday(s, after=int(s['k']))}"],
        thought=lambda s: "\n".join(counted_days(s)),
        difficulty=HARD,
        wants="find a weekday",
        knowledge="the calendar",
        weight=0.0,
    ),
    Intent(
        name="line",
        category=REASON,
        templates=(
            "{a} is {k} than {b}. {c} is {k} than {d}. {e} is {k} than {f}. Who is the {q}?",
        ),
        slots=dict.fromkeys("abcdef", _NAME)
        | {"k": one_of(people.COMPARISONS), "q": one_of(EXTREMES)},
        draw=_draw_line,
        answer=lambda s, _: f"{_line_winner(s)} is the {s['q']}.",
        keys=lambda s: [f"{_line_winner(s)} is the {s['q']}"],
        thought=_line_thought,
        difficulty=VERY_HARD,
        wants="compare four people",
        knowledge="logic",
        weight=0.0,
    ),
)
