import pytest

from magpie_hub.checks.vote import Vote, majority


def test_values_are_grouped_and_the_first_of_the_largest_group_wins() -> None:
    vote = majority(["2", None, "0.5", r"\frac{1}{2}", "50%", " "])
    assert vote == Vote(winner=2, value="0.5", votes=3, counted=4, agreement=0.5)


def test_a_tie_goes_to_the_group_that_came_first() -> None:
    assert majority(["7", "8", "8.0", "7.0"]).winner == 0
    assert majority(["6", "8", "7", "7.0", "8.0"]).winner == 1


@pytest.mark.parametrize("answers", [[], [None], [None, "", "  "]])
def test_without_a_value_nobody_wins(answers: list[str | None]) -> None:
    assert majority(answers) == Vote(None, None, 0, 0, 0.0)
