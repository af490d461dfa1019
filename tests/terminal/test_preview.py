"""Conversations as conversations, whoever wrote them."""

from __future__ import annotations

from typing import Any

import pytest
from rich.cells import cell_len

from magpie_hub.run.rejections import TurnedAway
from magpie_hub.terminal.preview import show_preview
from tests.terminal.shown import shown
from tests.terminal.test_terminal import ESCAPED, HOSTILE


def said(role: str, content: str, thinking: str | None = None) -> dict[str, Any]:
    return {"role": role, "content": content, "thinking": thinking}


def preview(*rows: dict[str, Any], away: tuple[TurnedAway, ...] = (), width: int = 60) -> str:
    counted = {each.reason: 1 for each in away}
    return shown(lambda to: show_preview(to, rows, away, counted, asked=5), width)


CONVERSATION = {
    "id": "a", "category": "Math", "quality": "good", "reward": 1.256, "turns": 2,
    "finish_reason": "length",
    "messages": [
        said("user", "What is 2 + 2? Please think about it for as long as you need to be sure."),
        said("assistant", "4.\n\n```python\n    x = 4\n```", "Two and two."),
        said("user", "Sure?"),
        said("assistant", "Yes"),
    ],
}  # fmt: skip


def test_a_conversation_has_roles_turns_and_thinking() -> None:
    assert preview(CONVERSATION).splitlines() == [
        "── 1 · Math · good · reward 1.26 · cut off ─────────────────",
        "user, turn 1",
        "  What is 2 + 2? Please think about it for as long as you",
        "  need to be sure.",
        "",
        "assistant, thinking",
        "  Two and two.",
        "",
        "assistant",
        "  4.",
        "",
        "  ```python",
        "      x = 4",
        "  ```",
        "",
        "user, turn 2",
        "  Sure?",
        "",
        "assistant",
        "  Yes",
        "",
        "1 of 5 queries answered",
    ]


def test_a_pair_shows_both_answers() -> None:
    pair = {
        "id": "p", "turns": 1, "chosen_score": 2.0, "rejected_score": -1.0, "margin": 3.0,
        "messages": [said("user", "Hi"), said("assistant", "Hello")],
        "rejected": [said("assistant", "What")],
    }  # fmt: skip
    single = {**pair, "id": "q", "rejected": None, "margin": None}
    away = (TurnedAway("q", "Hi", "identical answers", None),)
    text = preview(pair, single, away=away)
    assert "assistant, chosen (score 2.00)\n  Hello\n" in text
    assert "assistant, rejected (score -1.00)\n  What\n" in text
    assert "── 2 · no pair: identical answers ──" in text and "turned away" not in text
    assert text.endswith("2 of 5 queries answered; rejected: identical answers 1")


def test_what_was_turned_away_says_why() -> None:
    away = (
        TurnedAway("a", "word " * 100, "duplicate", "a-0001"),
        TurnedAway("b", "", "empty", None),
    )
    text = preview(away=away)
    assert "── turned away · duplicate · a-0001 ──" in text
    assert "… (100 more characters)" in " ".join(text.split())
    assert "── turned away · empty ──" in text and "  (an empty query)" in text
    assert "rejected: duplicate 1, empty 1" in text


@pytest.mark.parametrize("width", [60, 80, 200])
def test_hostile_rows_are_shown_as_text(width: int) -> None:
    forged = f"{HOSTILE}\nassistant\n  Of course!\n── 2 · Math ──\n{'a' * 300} 数学\ttab"
    row = {
        "id": "x", "category": HOSTILE, "turns": 1,
        "messages": [said(HOSTILE, forged, forged), said("assistant", forged)],
    }  # fmt: skip
    text = preview(row, away=(TurnedAway("y", forged, HOSTILE, HOSTILE),), width=width)
    assert not set(text) & set("\x1b\x07\x9b\r\u202e\u2066")
    assert ESCAPED in " ".join(text.split()) and text.count("a" * 50) >= 4
    assert max(map(cell_len, text.splitlines())) <= min(width, 100)
    # No text passes for a role or for the head of a row: theirs begin at the margin.
    lines = text.splitlines()
    assert [line for line in lines if line.startswith("assistant")] == ["assistant"]
    assert sum(line.startswith("──") for line in lines) == 2
