import re

import pytest

from magpie_hub import schema, steering
from magpie_hub.annotate.language import Identifier
from magpie_hub.recipe import Language

SETS = {name: steering.load(name) for name in steering.names()}
EVERY = [(key, system) for prompts in SETS.values() for key, system in prompts.items()]


def test_the_sets_that_the_recipe_names() -> None:
    assert list(SETS) == [
        "categories", "code", "difficulty", "languages", "math", "personas", "translation",
    ]  # fmt: skip


def test_labels_are_those_of_the_columns() -> None:
    assert tuple(SETS["categories"]) == tuple(f"categories/{c}" for c in schema.CATEGORIES)
    assert tuple(SETS["difficulty"]) == tuple(f"difficulty/{d}" for d in schema.DIFFICULTIES)


@pytest.mark.parametrize(("key", "system"), EVERY, ids=[key for key, _ in EVERY])
def test_a_prompt_is_short_plain_text_and_its_own(key: str, system: str) -> None:
    assert 40 <= len(system) <= 260 and system == " ".join(system.split())
    assert system[-1] in ".。।" and not re.search(r"[{}<>|\[\]]", system)
    assert [s for _, s in EVERY].count(system) == 1


@pytest.mark.parametrize("key", SETS["languages"])
def test_a_languages_prompt_is_written_in_it(key: str) -> None:
    found = Identifier(Language()).identify(SETS["languages"][key])
    assert f"languages/{found}" == key


def test_the_ten_languages() -> None:
    assert len(SETS["languages"]) == 10
