"""The form before a gated dataset: from the recipe to the front matter."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import DatasetCard

from magpie_hub.builder import build
from magpie_hub.errors import RecipeError
from magpie_hub.recipe import Gating, Recipe
from tests.builders.pool import HandPool
from tests.conftest import SMALL

FORM = """
gating:
  heading: Say who you are
  prompt: These rows are for research.
  button: Agree and go on
  fields:
    Name: text
    Country: country
    Use: {options: [research, teaching]}
    I will not train a guard on it: checkbox
"""


def test_the_form_stands_on_the_card(tmp_path: Path) -> None:
    gating = Recipe.parse(SMALL + FORM, name="r").gating
    assert gating is not None
    pool = HandPool(terms={"gating": gating})
    release = build(pool, "1.0.0", tmp_path / "1.0.0", kind="sft", report=lambda line: None)
    data = DatasetCard((release.path / "README.md").read_text(encoding="utf-8")).data.to_dict()
    assert data["extra_gated_heading"] == "Say who you are"
    assert data["extra_gated_prompt"] == "These rows are for research."
    assert data["extra_gated_button_content"] == "Agree and go on"
    assert "extra_gated_description" not in data
    assert data["extra_gated_fields"] == {
        "Name": "text",
        "Country": "country",
        "Use": {"type": "select", "options": ["research", "teaching"]},
        "I will not train a guard on it": "checkbox",
    }
    assert release.manifest.gating == gating


def test_the_form_is_in_the_resolved_recipe() -> None:
    recipe = Recipe.parse(SMALL + FORM, name="r")
    assert Recipe.parse(recipe.to_yaml(), name="again").gating == recipe.gating
    assert Recipe.parse(SMALL, name="r").gating is None


def test_without_a_form_nothing_is_asked() -> None:
    assert Gating().front_matter() == {}


@pytest.mark.parametrize("field", ["number", "{options: [one]}", "{options: 3}"])
def test_what_the_hub_cannot_ask_is_refused(field: str) -> None:
    with pytest.raises(RecipeError, match=r"gating\.fields\.Use"):
        Recipe.parse(f"{SMALL}gating: {{fields: {{Use: {field}}}}}\n", name="r")
