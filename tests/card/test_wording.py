from __future__ import annotations

import pytest

from magpie_hub.card.wording import chosen
from magpie_hub.recipe.filter_presets import FILTERS
from magpie_hub.release import ConfigEntry


def said(where: str | None, **settings: str) -> str:
    return chosen(
        ConfigEntry(
            default=True, where=where, description="", funnel=(), splits={}, settings=settings
        )
    )


@pytest.mark.parametrize(
    ("where", "words"),
    [
        (None, "every row"),
        ("quality >= 'good' AND reward > -12", "quality at least good; reward above -12"),
        ("difficulty > 'easy' AND difficulty < 'hard'",
         "difficulty harder than easy; difficulty easier than hard"),
        ("quality < 'good'", "quality worse than good"),
        ("category IN ('Math', 'Reasoning', 'Editing')", "category is Math, Reasoning or Editing"),
        ("category NOT IN ('Math')", "category is none of Math"),
        ("reward BETWEEN -1 AND 4.5", "reward from -1 to 4.5"),
        ("finish_reason = 'stop'", "the answer ends by itself"),
        ("NOT refusal AND NOT loop", "no refusal; no loop"),
        ("leaked IS NULL AND pass_rate IS NOT NULL", "has no leaked; has a pass rate"),
        ("reward > 1 OR (turns = 3 AND margin >= 2)",
         "reward above 1 or (turns is 3 and margin at least 2)"),
        ("NOT (turns = 1)", "not: (turns is 1)"),
        ("NOT ENDS_WITH(query, ':')", "not: the question ends with “:”"),
        ("language <> 'en'", "language is not en"),
    ],
)  # fmt: skip
def test_in_words(where: str | None, words: str) -> None:
    assert said(where) == words


def test_what_has_no_words_is_shown_as_code() -> None:
    assert said("reward > 0 AND query ~ '`x|'") == r"reward above 0; ``query ~ '`x\|'``"
    assert said("this is ( no SQL") == "`this is ( no SQL`"


def test_labels_are_escaped() -> None:
    assert said("safety = '<b>[x](y)'") == r"safety is &lt;b>\[x\](y)"


def test_how_rows_are_picked() -> None:
    assert said("reward > 0", rows="5", order="reward DESC") == (
        "reward above 0; of these the first 0, by `reward DESC`"
    )
    assert said(None, rows="5", pick="random").endswith("of these 0 at random")
    assert "tenth of its lengths" in said(None, rows="5", pick="length_controlled")
    assert "the shares `{'by': 1}`" in said(None, rows="5", quotas="{'by': 1}")


@pytest.mark.parametrize("name", FILTERS)
def test_the_filters_of_the_paper(name: str) -> None:
    assert said(FILTERS[name].where)
