"""The grammar reads what it writes, and its checkers are strict at the edges."""

from random import Random

import pytest

from demo_model import grammar
from demo_model.corruption import corrupted
from demo_model.intent import FINAL_PUNCTUATION, contains
from demo_model.intents import INTENTS
from demo_model.malformed import garble
from demo_model.tables.text import SLIPS
from magpie_hub.schema import CATEGORIES, DIFFICULTIES, QUALITIES


@pytest.mark.parametrize("name", INTENTS)
def test_a_sampled_query_is_read_back(name: str) -> None:
    rng = Random(name)
    for _ in range(12):
        turn = grammar.sample(rng, intent=INTENTS[name])
        parsed = grammar.parse(turn.query)
        assert parsed is not None, turn.query
        assert parsed.intent == name, turn.query
        assert parsed.quality == turn.quality, turn.query
        assert all(turn.slots[slot] == value for slot, value in parsed.slots.items())
        assert parsed.category in CATEGORIES
        assert parsed.difficulty in DIFFICULTIES
        assert turn.query == turn.query.strip()


@pytest.mark.parametrize("name", [name for name, intent in INTENTS.items() if intent.checkable])
def test_its_own_answer_is_right_and_others_are_not(name: str) -> None:
    rng = Random(name)
    for _ in range(8):
        turn = grammar.sample(rng, intent=INTENTS[name])
        parsed = grammar.parse(turn.query)
        assert parsed is not None
        assert grammar.is_correct(parsed, turn.answer) is True, (turn.query, turn.answer)
        for wrong in ("", "I do not know.", turn.answer[: len(turn.answer) // 4]):
            assert grammar.is_correct(parsed, wrong) is False, (turn.query, wrong)


def test_the_answer_to_another_question_of_the_kind_is_wrong() -> None:
    rng = Random(3)
    for kind in ("other slots", "wrong number"):
        for _ in range(100):
            turn, worse, _ = corrupted(rng, kind=kind)
            parsed = grammar.parse(turn.query)
            assert parsed is not None
            assert grammar.is_correct(parsed, worse) is not True, (turn.query, worse)


def test_open_ended_questions_have_no_right_answer() -> None:
    parsed = grammar.parse("Write a short poem about the moon.")
    assert parsed is not None
    assert grammar.is_correct(parsed, "Anything at all.") is None


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("4 + 6 = 10", True),
        ("4 + 6 = 10.", True),
        ("4 + 6 = 1", False),
        ("4 + 6 = 100", False),
        ("4 + 6 = 10.5", False),
        ("4 + 6 = 10a", False),
    ],
)
def test_a_number_is_a_whole_number(answer: str, right: bool) -> None:
    parsed = grammar.parse("What is 4 + 6?")
    assert parsed is not None
    assert grammar.is_correct(parsed, answer) is right


def test_a_key_is_a_whole_word() -> None:
    assert contains("It is Rome.", key="Rome")
    assert not contains("It is Romeo.", key="Rome")
    assert not contains("Jerome", key="rome")
    assert contains("首都是巴黎。", key="巴黎")


@pytest.mark.parametrize(
    ("query", "quality"),
    [
        ("What is the capital of France?", "good"),
        ("I am a nurse from Rome. What is the capital of France?", "excellent"),
        ("What is the capital of France? Thanks!", "excellent"),
        ("what is the capital of france", "average"),
        ("Waht is the capital of France?", "average"),
        ("What is the capital?", "poor"),
        ("¿cuál es la capital de francia", "average"),
        ("Quelle est la capitale de la France", "average"),
        ("法国的首都是哪里", "average"),
    ],
)
def test_quality_follows_the_surface(query: str, quality: str) -> None:
    parsed = grammar.parse(query)
    assert parsed is not None
    assert parsed.quality == quality


@pytest.mark.parametrize(
    "query",
    [
        "",
        "What is the capital of",
        "What is the capital of silver?",
        "Give me an antonym ofinput.",
        "What is the capital of France? What is the",
        "意大 now who is the hard",
    ],
)
def test_malformed_queries_are_not_read(query: str) -> None:
    assert grammar.parse(query) is None


def test_garbled_queries_are_malformed() -> None:
    rng = Random(0)
    for _ in range(200):
        text = garble(grammar.sample(rng).query, rng=rng)
        assert text == text.strip() != ""
        assert grammar.parse(text) is None


def test_every_language_and_category_has_a_real_share() -> None:
    rng = Random(1)
    turns = [grammar.sample(rng) for _ in range(4000)]
    for language in ("es", "fr", "de", "zh"):
        assert sum(t.language == language for t in turns) / len(turns) > 0.05
    for category in CATEGORIES:
        assert sum(t.category == category for t in turns) / len(turns) > 0.03
    assert 0.04 < sum("\n" in t.query for t in turns) / len(turns) < 0.12
    assert {t.quality for t in turns} == set(QUALITIES[1:])


def test_slips_are_one_to_one_and_no_words_of_their_own() -> None:
    assert len(set(SLIPS.values())) == len(SLIPS)
    assert not set(SLIPS.values()) & set(SLIPS)


def test_templates_end_so_that_a_lost_mark_is_tolerated() -> None:
    for intent in INTENTS.values():
        for template in intent.templates:
            assert template == template.strip()
            assert template[-1] in FINAL_PUNCTUATION or "\n" in template, template
