from demo_model.truth import judge


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
