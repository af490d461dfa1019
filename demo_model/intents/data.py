"""Lists and tables of digits. Every answer sorts them first: one skill, taught many times."""

from random import Random

from demo_model.intent import DATA, EASY, MEDIUM, VERY_EASY, Intent, Slots, digit_list, one_of
from demo_model.intent import number as a_number
from demo_model.tables import people

_LIST = {"l": digit_list(3, 4)}
_ODD_LIST = {"l": digit_list(3, 3)}


def _values(s: Slots) -> list[int]:
    return [int(value) for value in s["l"].split(", ")]


def _ascending(s: Slots) -> str:
    return "From low to high: " + ", ".join(map(str, sorted(_values(s))))


def _count(s: Slots) -> str:
    numbered = ", ".join(f"{i}: {value}" for i, value in enumerate(_values(s), start=1))
    return f"{numbered}. There are {len(_values(s))} values."


def _draw_scores(rng: Random) -> dict[str, object]:
    names = rng.sample(people.NAMES, 3)
    scores = rng.sample(range(1, 10), 3)
    return dict(zip("abcxyz", [*names, *scores], strict=True))


def _ranking(s: Slots) -> list[tuple[int, str]]:
    return sorted((int(s[score]), s[name]) for name, score in zip("abc", "xyz", strict=True))


def _ranked(s: Slots) -> str:
    return "From low to high: " + ", ".join(f"{score} {name}" for score, name in _ranking(s))


_SCORES = {name: one_of(people.NAMES) for name in "abc"} | {name: a_number(1, 9) for name in "xyz"}
_TABLE = "name,score\n{a},{x}\n{b},{y}\n{c},{z}"

INTENTS: tuple[Intent, ...] = (
    Intent(
        name="maximum",
        category=DATA,
        templates=(
            "What is the largest value in {l}?",
            "Find the maximum of these numbers: {l}.",
            "Here is my data:\n{l}\nWhat is the largest value?",
        ),
        slots=_LIST,
        answer=lambda s, _: f"{_ascending(s)}. The largest value is {max(_values(s))}.",
        keys=lambda s: [f"value is {max(_values(s))}"],
        difficulty=EASY,
        wants="find a maximum",
        knowledge="statistics",
    ),
    Intent(
        name="minimum",
        category=DATA,
        templates=(
            "What is the smallest value in {l}?",
            "Find the minimum of these numbers: {l}.",
            "Here is my data:\n{l}\nWhat is the smallest value?",
        ),
        slots=_LIST,
        answer=lambda s, _: f"{_ascending(s)}. The smallest value is {min(_values(s))}.",
        keys=lambda s: [f"value is {min(_values(s))}"],
        difficulty=EASY,
        wants="find a minimum",
        knowledge="statistics",
    ),
    Intent(
        name="median",
        category=DATA,
        templates=(
            "What is the median of {l}?",
            "Find the middle value of the data {l}.",
            "Here is my data:\n{l}\nWhat is the median?",
        ),
        slots=_ODD_LIST,
        answer=lambda s, _: f"{_ascending(s)}. The median is {sorted(_values(s))[1]}.",
        keys=lambda s: [f"median is {sorted(_values(s))[1]}"],
        difficulty=MEDIUM,
        wants="find a median",
        knowledge="statistics",
    ),
    Intent(
        name="count",
        category=DATA,
        templates=("How many values are in the list {l}?", "Count the numbers in {l}."),
        slots=_LIST,
        answer=lambda s, _: _count(s),
        keys=lambda s: [f"are {len(_values(s))} values"],
        difficulty=VERY_EASY,
        wants="count values",
        knowledge="statistics",
        weight=0.8,
    ),
    Intent(
        name="sort",
        category=DATA,
        templates=(
            "Sort these numbers from low to high: {l}.",
            "Arrange the data {l} in ascending order.",
        ),
        slots=_LIST,
        answer=lambda s, _: f"{_ascending(s)}.",
        keys=lambda s: [", ".join(map(str, sorted(_values(s))))],
        difficulty=MEDIUM,
        wants="sort data",
        knowledge="statistics",
        weight=1.2,
    ),
    Intent(
        name="highest",
        category=DATA,
        templates=(
            f"Who has the highest score in this table?\n{_TABLE}",
            "The scores are {a} {x}, {b} {y}, {c} {z}. Who scored the most?",
        ),
        slots=_SCORES,
        draw=_draw_scores,
        answer=lambda s, _: f"{_ranked(s)}. {_ranking(s)[-1][1]} has the highest score.",
        keys=lambda s: [f"{_ranking(s)[-1][1]} has the highest score"],
        difficulty=MEDIUM,
        wants="read a table",
        knowledge="reading data",
        weight=1.8,
    ),
    Intent(
        name="lowest",
        category=DATA,
        templates=(
            f"Who has the lowest score in this table?\n{_TABLE}",
            "The scores are {a} {x}, {b} {y}, {c} {z}. Who scored the least?",
        ),
        slots=_SCORES,
        draw=_draw_scores,
        answer=lambda s, _: f"{_ranked(s)}. {_ranking(s)[0][1]} has the lowest score.",
        keys=lambda s: [f"{_ranking(s)[0][1]} has the lowest score"],
        difficulty=MEDIUM,
        wants="read a table",
        knowledge="reading data",
        weight=1.8,
    ),
)
