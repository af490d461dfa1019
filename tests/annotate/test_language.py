import pytest

from magpie_hub.annotate.language import Identifier
from magpie_hub.pool import store
from magpie_hub.recipe import Language
from magpie_hub.run import Run

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
