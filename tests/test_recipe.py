from collections import Counter
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from magpie_hub.errors import RecipeError
from magpie_hub.recipe import Recipe, pattern
from tests.conftest import SMALL

SHIPPED = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_recipes_load(file: Path) -> None:
    assert Recipe.load(file).rows > 0


def test_the_resolved_recipe_reads_back_as_itself() -> None:
    recipe = Recipe.parse(SMALL, name="small.yaml")
    again = Recipe.parse(recipe.to_yaml(), name="again")
    assert again.model_dump() == recipe.model_dump()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("rows: 48", "rowz: 48"), "small.yaml, line 5, rowz: there is no such key; did you mean"),
        (("rows: 48", "rows: many"), "small.yaml, line 5, rows: Input should be a valid integer"),
        (("rows: 48", ""), "small.yaml, rows: this key is needed"),
        (
            ("max_tokens: 80", "max_token: 80"),
            "line 9, sample.max_token: there is no such key; did",
        ),
        (("top_p: 0.95", "top_p: 1.5"), "line 8, sample.grid[0].top_p: Input should be less"),
        (
            ("judge:", "jugde:"),
            "line 14, annotate.jugde: there is no such key; did you mean 'judge'",
        ),
        (("model: bundled:chat", "model: [a"), "not valid YAML"),
        (("rows: 48", "name: other"), "line 5: name stands here a second time (first on line 2)"),
        (("name: small", "name: Small one"), "line 2, name: String should match pattern"),
        (("filtered:", "filt/ered:"), "'filt/ered' is no config name"),
        (("weight: 3", "weight: 0.0001"), "line 8, sample.grid"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(change: tuple[str, str], sentence: str) -> None:
    with pytest.raises(RecipeError) as raised:
        Recipe.parse(SMALL.replace(*change), name="small.yaml")
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


def test_overrides_are_yaml_values_under_dotted_keys() -> None:
    overrides = ["rows=9", "sample.max_tokens=5", "configs.math.where=category = 'Math'"]
    recipe = Recipe.parse(SMALL, name="small.yaml", overrides=overrides)
    assert (recipe.rows, recipe.sample.max_tokens) == (9, 5)
    assert recipe.configs["math"].where == "category = 'Math'"


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("rows", "write it as key=value"),
        ("rows.x=1", "--set rows.x=1: rows holds"),
        ("smaple.max_tokens=1", "--set smaple.max_tokens: there is no such key"),
        ("rows=[", "not valid YAML"),
    ],
)
def test_a_wrong_override_names_itself(override: str, sentence: str) -> None:
    with pytest.raises(RecipeError, match="--set") as raised:
        Recipe.parse(SMALL, name="small.yaml", overrides=[override])
    assert sentence in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"nothing\.yaml: cannot be read"):
        Recipe.load(tmp_path / "nothing.yaml")


@pytest.mark.parametrize("text", ["", "- a", "just words", "\t"])
def test_what_is_no_mapping_is_no_recipe(text: str) -> None:
    with pytest.raises(RecipeError):
        Recipe.parse(text, name="x.yaml")


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_a_pattern_honours_its_weights_exactly(weights: list[int]) -> None:
    order = pattern([float(w) for w in weights])
    counts = Counter(order)
    scale = len(order) / sum(weights)
    assert [counts[i] for i in range(len(weights))] == [w * scale for w in weights]


def test_a_pattern_spreads_evenly() -> None:
    assert pattern([3, 1]) == [0, 0, 1, 0]
    assert pattern([0.5, 0.5]) == [0, 1]


def test_a_bare_annotator_means_its_defaults() -> None:
    assert yaml.safe_load(SMALL)["annotate"]["judge"] is None
    assert Recipe.parse(SMALL, name="x").annotate.judge is not None
