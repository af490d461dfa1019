import sys

import pytest

from magpie_hub.annotate.language import IDENTIFIERS, Identifier, Lingua, prose
from magpie_hub.errors import MissingExtra, RecipeError
from magpie_hub.recipe import Language
from magpie_hub.run import Run
from magpie_hub.run.stored import store

FIVE = ("en", "es", "fr", "de", "zh")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What is the capital of France?", "en"),
        ("¿Cuál es la capital de Francia?", "es"),
        ("Quelle est la capitale du Japon ?", "fr"),
        ("Was ist die Hauptstadt von Italien?", "de"),
        ("法国的首都是哪里？", "zh"),
        ("", "und"),
        ("   \n", "und"),
    ],
)
def test_languages_are_told(text: str, language: str) -> None:
    assert Identifier(Language(among=FIVE)).identify(text) == language
    assert Identifier(Language()).identify(text) == language


def test_a_short_text_is_unsure_unless_the_candidates_are_narrowed() -> None:
    text = "Calculate 13 - 8."
    assert Identifier(Language()).identify(text) == "und"
    assert Identifier(Language(among=FIVE)).identify(text) == "en"


def test_a_line_break_is_no_obstacle() -> None:
    assert Identifier(Language()).identify("What is the capital\nof this country?") == "en"


def test_every_query_has_a_language(small_run: Run) -> None:
    for shard in range(small_run.shard_count):
        languages = store(small_run, "language").read(shard)["language"].to_pylist()
        assert len(languages) == small_run.rows_in(shard)
        assert set(languages) <= {*FIVE, "und"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Fix `x = 1` in\n```python\nfor i in x: pass\n``` please", "Fix in please"),
        ("See https://a.example/b?c and www.d.example now", "See and now"),
        ("Unfinished ~~~\ncode and no end", "Unfinished"),
        ("It's a ` tick", "It's a ` tick"),
        ("`only = code`", ""),
        ("12 + 30 = ?", ""),
        ("WHAT IS THIS?", "what is this?"),
    ],
)
def test_prose_is_what_is_read(text: str, expected: str) -> None:
    assert prose(text) == expected


def test_code_does_not_hide_the_language() -> None:
    code = "```python\nfor name in names:\n    print(name)  # the name of the user\n```"
    text = f"Warum gibt dieses Programm keinen einzigen Namen aus?\n{code}"
    assert Identifier(Language()).identify(text) == "de"
    assert Identifier(Language()).identify(code) == "und"


@pytest.mark.parametrize("among", [(), FIVE])
def test_the_confidence_is_told_below_the_bound_too(among: tuple[str, ...]) -> None:
    told = Identifier(Language(confidence=0.9, among=among))
    code, confidence = told.tell("Calculate 13 - 8.")
    assert 0 < confidence < 0.9
    assert told.identify("Calculate 13 - 8.") == "und"
    assert code != "und"
    assert told.tell("") == ("und", 0.0)
    assert told.tell("What is the capital of France?")[1] > 0.5


def test_lingua_has_the_same_door() -> None:
    told = Lingua(Language(among=FIVE))
    assert told.identify("Quelle est la capitale du Japon ?") == "fr"
    assert told.tell("法国的首都是哪里？")[0] == "zh"
    assert told.identify("`code` 12") == "und"
    assert Lingua(Language(among=FIVE, confidence=1.0)).identify("Calculate 13.") == "und"
    with pytest.raises(RecipeError, match="does not know qq"):
        Lingua(Language(among=("en", "qq")))


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lingua", None)
    with pytest.raises(MissingExtra, match=r"magpie-hub\[lingua\]"):
        IDENTIFIERS["lingua"](Language())
    monkeypatch.setattr("magpie_hub.annotate.language.find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"magpie-hub\[annotate\]"):
        IDENTIFIERS["lid.176"](Language())
