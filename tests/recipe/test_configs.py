"""Configs as a recipe declares them: what goes together, and what is refused where."""

from __future__ import annotations

import pytest

from magpie_hub import schema
from magpie_hub.errors import RecipeError
from magpie_hub.filters import Filter
from magpie_hub.recipe import Recipe
from magpie_hub.recipe.configs import Quotas
from magpie_hub.recipe.filter_presets import FILTERS
from magpie_hub.rows import cuts


def recipe(config: str) -> Recipe:
    text = f"name: x\nmodel: m\nrows: 9\nconfigs:\n  c: {{{config}}}\n"
    return Recipe.parse(text, name="x.yaml")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("order: reward DESC", "c: `order` picks rows; say how many with `rows`"),
        ("at_most: true", "`at_most` picks rows"),
        ("quotas: {by: category, shares: {Math: 0.5}}", "`quotas` picks rows"),
        ("rows: 3", "say which 3 rows: `order: reward DESC`, or `pick: length_controlled`"),
        ("rows: 0, pick: random", "c.rows: Input should be greater"),
        ("rows: 3, pick: order", "`pick: order` needs an `order`"),
        ("rows: 3, pick: longest, order: reward", "takes no `order`"),
        ("rows: 3, pick: longest, seed: 2", "`seed` is for `pick: random`"),
        ("rows: 3, pick: best", "c.pick: Input should be 'order', 'random'"),
        ("splits: {train: 0.5}", "c.splits: train is what the other splits leave"),
        ("splits: {test: 1.0}", "leave some rows for train"),
        ("splits: {te-st: 0.1}", "'te-st' is no split"),
        ("columns: [reward, reward]", "c.columns: 'reward' stands here twice"),
        ("preset: magpie-aire", "c.preset: there is no preset 'magpie-aire'; did you mean 'magp"),
        ("preset: [notebook]", "c.preset: Input should be a valid string"),
        ("presett: notebook", "c.presett: there is no such key; did you mean 'preset'?"),
        ("rows: 3, pick: random, quotas: {by: category, shares: {Maths: 0.5}}",
         "c.quotas: 'Maths' is no category; did you mean 'Math'"),
        ("rows: 3, pick: random, quotas: {by: difficulty, shares: {'> very hard': 0.5}}",
         "no difficulty is > very hard"),
        ("rows: 3, pick: random, quotas: {by: difficulty, shares: {'> easy': 0.5, hard: 0.1}}",
         "'hard' has a share under '> easy' and 'hard'"),
        ("rows: 3, pick: random, quotas: {by: language, shares: {English: 0.5}}",
         "'English' is no language"),
        ("rows: 3, pick: random, quotas: {by: language, shares: {en: 0.8, de: 0.3}}", "add up to"),
        ("rows: 3, pick: random, quotas: {by: reward, shares: {en: 0.8}}", "c.quotas.by: Input"),
    ],
)  # fmt: skip
def test_misuse_is_refused_with_its_place(config: str, says: str) -> None:
    with pytest.raises(RecipeError) as raised:
        recipe(config)
    message = str(raised.value)
    assert message.startswith("x.yaml, line 5, configs.c") and says in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("where: qualty = 'good'", "c.where: the filter `qualty = 'good'` reads `qualty`"),
        ("rows: 3, order: rewrad DESC", "c.order: the order `rewrad DESC` names `rewrad`, no col"),
        ("rows: 3, order: rewrad", "did you mean 'reward'?"),
        ("rows: 3, order: reward DOWN", "cannot be read; write columns with ASC or DESC"),
        ("rows: 3, order: 'reward,'", "cannot be read"),
        ("rows: 3, order: category", "whose values have no order"),
        ("rows: 3, order: messages", "whose values have no order"),
        ("rows: 3, order: margin", "names `margin`, which the rows do not have"),
        ("columns: [rewards]", "c.columns: `columns` names `rewards`, which the rows do not have"),
        ("columns: [rewart]", "no column; did you mean 'reward'?"),
        ("rows: 3, pick: random, quotas: {by: language, shares: {en: 0.5}}",
         "c.quotas: quotas by language need the column `language`"),
        ("rows: 3, pick: longest", "c.pick: `pick: longest` needs the column `response_tokens`"),
    ],
)  # fmt: skip
def test_what_the_rows_cannot_give_is_refused_with_its_place(config: str, says: str) -> None:
    made = recipe(config)
    columns = ("id", "messages", "category", "quality", "reward")
    with pytest.raises(RecipeError) as raised:
        cuts.check(made.configs["c"], columns, lambda key: made.place("configs", "c", key))
    message = str(raised.value)
    assert message.startswith("x.yaml, line 5, configs.c") and says in message
    assert "\n" not in message


def test_quota_keys_are_labels_or_compare_them() -> None:
    quotas = Quotas(by="difficulty", shares={"easy": 0.5, "> easy": 0.25, "< easy": 0.25})
    assert [quotas.labels(key) for key in quotas.shares] == [
        ("easy",), ("medium", "hard", "very hard"), ("very easy",),
    ]  # fmt: skip


def test_presets_are_written_out() -> None:
    spec = recipe("preset: magpie-pro-2, rows: 300_000").configs["c"]
    assert spec.where == FILTERS["magpie-pro-2"].where and spec.preset is None
    assert spec.pick == "length_controlled" and "Filter2" in (spec.description or "")
    longest = recipe("preset: magpie-pro-2, rows: 300_000, pick: longest").configs["c"]
    assert longest.pick == "longest"
    halves = recipe("preset: magpie-pro-6, rows: 200_000").configs["c"]
    assert halves.quotas and halves.quotas.shares == {"easy": 0.5, "> easy": 0.5}
    assert recipe("preset: magpie-pro-6").configs["c"].quotas is None


def test_a_preset_and_a_filter_of_ones_own_hold_both() -> None:
    spec = recipe("""preset: magpie-pro-3, where: "language = 'en' OR language = 'de'" """)
    where = spec.configs["c"].where
    assert where and Filter.parse(where, schema.names()).clauses == (
        "min_neighbor_distance > 0", "reward > -12", "(language = 'en' OR language = 'de')",
    )  # fmt: skip


def test_the_resolved_recipe_holds_no_preset_and_reads_back() -> None:
    made = recipe("preset: card-llama-3, rows: 5, at_most: true, splits: {test: 0.1}")
    text = made.to_yaml()
    assert "preset" not in text
    again = Recipe.parse(text, name="again")
    assert again.configs == made.configs and again.to_yaml() == text
