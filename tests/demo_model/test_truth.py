import pytest

from demo_model.truth import is_right, judge, majority


def test_rows_are_counted_by_what_the_grammar_knows() -> None:
    truth = judge(
        [
            ("What is 2 + 3?", "2 + 3 = 5"),
            ("What is 2 + 3?", "2 + 3 = 6"),
            ("What is 2 + 3?", None),
            ("gest plus Olga what", "I do not know."),
        ]
    )
    assert (truth.rows, truth.well_formed) == (4, 3)
    assert (truth.checkable, truth.correct) == (2, 1)
    # Of the three that can be read one has a wrong answer.
    assert truth.good == 2


CHAIN = "Start with 4, then add 5, double it, subtract 6. What is the result?"


@pytest.mark.parametrize(
    ("query", "answer", "right"),
    [
        (CHAIN, "The result is 12.", True),
        (CHAIN, "12", True),
        (CHAIN, "12.0", True),
        (CHAIN, "18 - 6 = 12", True),
        (CHAIN, "The result is 1.", False),
        (CHAIN, "The result is -12.", False),
        (CHAIN, "It is 12, I think. Or 13.", False),
        (CHAIN, "", False),
        ("What is half of 9?", "Half of 9 is 4.5.", True),
        ("What is 2 - 5?", "2 - 5 = -3", True),
        ("Which weekday comes 8 days after Monday?", "8 days after Monday comes Tuesday.", True),
        ("Which weekday comes 8 days after Monday?", "8 days after Monday comes Monday.", False),
        ("Write a short poem about the moon.", "Anything at all.", None),
        ("gest plus Olga what", "5", None),
    ],
)
def test_an_answer_is_right_by_its_value(query: str, answer: str, right: bool | None) -> None:
    assert is_right(query, answer) is right


def test_a_majority_is_of_values_not_of_words() -> None:
    assert majority("What is 2 + 3?", ["2 + 3 = 6", "5", "2 + 3 = 5", "It is 7."]) == "5"
    assert majority("What is the capital of France?", ["Rome", "Paris", "Paris"]) == "Paris"
    assert majority("What is 2 + 3?", ["4", "5"]) == "4"
