from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magpie_hub.words import Words, normal_form, normal_forms, text_key

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def words(text: str | None) -> list[str]:
    found = Words.of(pl.Series([text], dtype=pl.String))
    return [found.words(at, 1) for at in range(int(found.firsts[1]))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World! it's x_1", ["hello", "world", "it", "s", "x_1"]),
        ("ＡＢＣ Straße", ["abc", "straße"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("用Python编程？", ["用", "python", "编", "程"]),
        ("ที่นี่", ["ที่", "นี่"]),
        ("!?", []),
        ("", []),
        (None, []),
    ],
)
def test_words(text: str | None, expected: list[str]) -> None:
    assert words(text) == expected


def test_scripts_without_spaces_are_told() -> None:
    texts = pl.Series(["用Python编程吗", "Say 你好 to them all", "สวัสดีครับ", "hello", ""])
    assert Words.of(texts).unspaced.tolist() == [True, False, True, False, False]


@given(st.lists(TEXT, max_size=8), st.integers(1, 4))
def test_runs_are_equal_where_their_words_are(texts: list[str], size: int) -> None:
    found = Words.of(pl.Series(texts, dtype=pl.String))
    hashes, text, first = found.runs(np.full(len(found), size), shorter=False)
    counts = np.diff(found.firsts)
    assert len(hashes) == np.maximum(counts - size + 1, 0).sum()
    runs = [found.words(int(at), size) for at in first]
    assert len(set(zip(runs, hashes.tolist(), strict=True))) == len(set(runs))
    assert len(set(runs)) == len(set(hashes.tolist()))
    assert all(found.firsts[t] <= at for t, at in zip(text, first, strict=True))


def test_a_short_text_has_one_run_where_wanted() -> None:
    found = Words.of(pl.Series(["one two", "", "one two three four"]))
    assert found.runs(np.full(3, 3), shorter=True)[1].tolist() == [0, 2, 2]
    assert found.runs(np.full(3, 3), shorter=False)[1].tolist() == [2, 2]


def test_hashes_stay_what_they_are() -> None:
    """They are stored; a change makes all that is on disk worthless."""
    found = Words.of(pl.Series(["What is the capital of France?"]))
    hashes, _, _ = found.runs(np.array([3]), shorter=True)
    assert hashes.tolist() == [
        11116613651511772292,
        17174885020435023448,
        158345647502663642,
        2305244644073578322,
    ]


def test_chunks_are_the_whole_in_order() -> None:
    texts = pl.Series([f"text number {n} " * (n % 50) for n in range(5000)])
    runs = [c.runs(np.full(len(c), 3), shorter=True)[0] for c in Words.chunks(texts)]
    whole = Words.of(texts)
    assert len(runs) > 1
    expected = whole.runs(np.full(len(whole), 3), shorter=True)[0]
    assert np.concatenate(runs).tolist() == expected.tolist()


@given(st.lists(TEXT | st.none(), max_size=8))
def test_normal_forms_are_those_of_each(texts: list[str | None]) -> None:
    forms = normal_forms(pl.Series(texts, dtype=pl.String)).to_list()
    assert forms == [None if text is None else normal_form(text) for text in texts]


def test_text_keys_differ_where_more_than_case_does() -> None:
    assert text_key("What  is\nThis?") == text_key("what is this?")
    assert text_key("what is this?") != text_key("what is this")
