"""The presets row for row against the rules of the paper, the notebook and the cards, restated here
in plain Python over one generated pool; and what comparing labels as text would have done."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from magpie_hub import schema
from magpie_hub.builder import build
from magpie_hub.filters import Filter
from magpie_hub.recipe import Recipe
from magpie_hub.recipe.filter_presets import FILTERS
from tests.builders.pool import HandPool, row

NAMES = schema.in_order(
    "id messages category difficulty quality reward reward_difference min_neighbor_distance "
    "nearest_id query_chars response_chars response_tokens finish_reason".split()
)
Row = dict[str, Any]


@cache
def generated(count: int = 1500) -> tuple[Row, ...]:
    """Queries stand on a line, some of them twice or very near to one other, none near to two."""
    draw = random.Random(7)
    rows: list[Row] = []
    places = [float(number) for number in range(count)]
    for number in range(0, count - 1, 5):
        places[number] = places[number + draw.choice((1, 2))] + draw.choice((0, 0, 0.01, 0.3))
    draw.shuffle(places)
    for number in range(count):
        query = draw.choice(("Solve it", "Fix this:", "List:\n1\n2\n3\n4\n5", "a\nb\nc", "Why?:"))
        answer = "x" * draw.randint(1, 400)
        written = (
            f"{query}", answer, draw.choice((*schema.CATEGORIES, None)),
            draw.choice((*schema.DIFFICULTIES, None)), draw.choice((*schema.QUALITIES, None)),
            draw.choice((-12.0, -10.0, -11.0, -30.0, 0.5, 3.0, None)), "en", "stop",
        )  # fmt: skip
        near = min(
            (abs(other - places[number]), at) for at, other in enumerate(places) if at != number
        )
        rows.append(
            {
                **row(number, written),
                "reward_difference": draw.choice((-1.0, 0.0, 0.25, None)),
                "min_neighbor_distance": near[0],
                "nearest_id": f"handmade-{near[1]:06d}",
                "query_chars": len(query),
                "response_chars": len(answer),
                "response_tokens": len(answer) // 4 + 1,
            }
        )
    return tuple(rows)


def first_of_its_near(rows: tuple[Row, ...]) -> dict[str, str | None]:
    """As ``gen_dis.py`` gives ``min_similar_conversation_id``: of the neighbours nearer than 0.05
    the one with the lowest index if it stands before; the row's own id if it is the first; else
    None. Neighbours are mutual here, since no row is near to two others."""
    found: dict[str, str | None] = {}
    for at, each in enumerate(rows):
        if each["min_neighbor_distance"] >= 0.05:
            found[each["id"]] = None
        else:
            other = int(each["nearest_id"][-6:])
            assert int(rows[other]["nearest_id"][-6:]) == at
            found[each["id"]] = rows[min(at, other)]["id"]
    return found


def label(each: Row, name: str) -> int:
    scale = {"quality": schema.QUALITIES, "difficulty": schema.DIFFICULTIES}[name]
    return -1 if each[name] is None else scale.index(each[name])


GOOD, AVERAGE, EASY, MEDIUM = 3, 2, 1, 2


def paper(
    quality: int, difficulty: int, reward: float | None, difference: float | None
) -> Callable[[Row], bool]:
    """A line of table 5; None is a rule that it does not have."""

    def keeps(each: Row) -> bool:
        return (
            label(each, "quality") >= quality
            and label(each, "difficulty") >= difficulty
            and each["min_neighbor_distance"] > 0
            and (reward is None or (each["reward"] is not None and each["reward"] > reward))
            and (
                difference is None
                or (
                    each["reward_difference"] is not None and each["reward_difference"] > difference
                )
            )
        )

    return keeps


def notebook(lowest: int = GOOD, *, inclusive: bool = False, short: bool = False) -> Any:
    same = first_of_its_near(generated())

    def keeps(each: Row) -> bool:
        instruction, reward = each["messages"][0]["content"], each["reward"]
        return (
            label(each, "quality") >= lowest
            and reward is not None
            and (reward >= -10 if inclusive else reward > -10)
            and not instruction.endswith(":")
            and (same[each["id"]] is None or same[each["id"]] == each["id"])
            and (
                not short or instruction.count("\n") < 5 or each["category"] == "Coding & Debugging"
            )
        )

    return keeps


RULES: dict[str, Callable[[], Callable[[Row], bool]]] = {
    "magpie-air": lambda: paper(GOOD, MEDIUM, None, 0),
    "magpie-pro": lambda: paper(AVERAGE, -1, -12, None),
    "magpie-pro-2": lambda: paper(GOOD, EASY, -12, None),
    "magpie-pro-3": lambda: paper(-1, -1, -12, None),
    "magpie-pro-4": lambda: paper(GOOD, EASY, None, 0),
    "magpie-pro-5": lambda: paper(GOOD, EASY, -12, None),
    "magpie-pro-6": lambda: paper(-1, EASY, -12, None),
    "notebook": notebook,
    "card-pro": lambda: notebook(AVERAGE, inclusive=True),
    "card": lambda: notebook(inclusive=True),
    "card-llama-3": lambda: notebook(inclusive=True, short=True),
}


def built(config: str, out: Path) -> list[str]:
    text = f"name: x\nmodel: m\nrows: 9\nconfigs:\n  c: {{{config}}}\n"
    specs = dict(Recipe.parse(text, name="x.yaml").configs)
    pool = HandPool(rows=list(generated()), specs=specs, names=NAMES, shard_rows=400)
    release = build(pool, "1.0.0", out / "1.0.0", kind="sft", report=lambda line: None)
    files = release.manifest.configs["c"].splits["train"].files
    return [name for file in files for name in pl.read_parquet(release.path / file)["id"]]


def test_every_preset_has_its_rules_here() -> None:
    assert list(RULES) == list(FILTERS)


@pytest.mark.parametrize("name", list(RULES))
def test_a_preset_keeps_what_its_rules_keep(name: str) -> None:
    rows = generated()
    frame = pl.DataFrame([{key: each[key] for key in NAMES} for each in rows])
    keep = Filter.parse(FILTERS[name].where, NAMES).keep(frame).to_list()
    expected = [RULES[name]()(each) for each in rows]
    assert keep == expected
    assert 20 < sum(keep) < len(rows) - 20


def longest(rows: list[Row], count: int) -> list[str]:
    """As the notebook: sorted by characters, the first so many; and back in their order."""
    chosen = sorted(rows, key=lambda each: len(each["messages"][1]["content"]), reverse=True)
    return sorted(each["id"] for each in chosen[:count])


def test_the_notebook_row_for_row(tmp_path: Path) -> None:
    keeps = notebook()
    expected = longest([each for each in generated() if keeps(each)], 40)
    assert built("preset: notebook, rows: 40, pick: longest", tmp_path) == expected


def test_filter6_is_half_easy_and_half_harder(tmp_path: Path) -> None:
    kept = [each for each in generated() if RULES["magpie-pro-6"]()(each)]
    easy = [each for each in kept if each["difficulty"] == "easy"]
    harder = [each for each in kept if label(each, "difficulty") > EASY]
    expected = sorted([*longest(easy, 50), *longest(harder, 50)])
    assert built("preset: magpie-pro-6, rows: 100, pick: longest", tmp_path) == expected


def test_without_a_word_a_preset_is_length_controlled(tmp_path: Path) -> None:
    lengths = {each["id"]: each["response_chars"] for each in generated()}
    picks = {
        pick: [lengths[i] for i in built(f"preset: magpie-pro, rows: 200{pick}", tmp_path / name)]
        for name, pick in (("a", ""), ("b", ", pick: longest"))
    }
    kept = [each["response_chars"] for each in generated() if RULES["magpie-pro"]()(each)]
    mean = sum(kept) / len(kept)
    assert abs(sum(picks[""]) / 200 - mean) < 15 and sum(picks[", pick: longest"]) / 200 > mean + 50


def test_labels_are_not_compared_as_text() -> None:
    """magpie-ultra's filter compares strings, and so keeps "very poor" and drops "excellent"."""
    frame = pl.DataFrame({"quality": list(schema.QUALITIES)})
    as_text = [name for name in schema.QUALITIES if name >= "good"]
    assert as_text == ["very poor", "poor", "good"]
    ours = Filter.parse("quality >= 'good'", ("quality",)).keep(frame)
    assert frame.filter(ours)["quality"].to_list() == ["good", "excellent"]
    harder = Filter.parse("difficulty > 'easy'", ("difficulty",))
    levels = pl.DataFrame({"difficulty": list(schema.DIFFICULTIES)})
    assert levels.filter(harder.keep(levels))["difficulty"].to_list() == [
        "medium", "hard", "very hard",
    ]  # fmt: skip
