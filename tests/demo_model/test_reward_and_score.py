"""Pairs for the reward head are worse in the way they say; scores land between the markers."""

from pathlib import Path
from random import Random

import pytest

from demo_model import score
from demo_model.corruption import KINDS, REFUSALS, corrupted
from demo_model.measure import Score, share
from demo_model.package import CHAT, REWARD


@pytest.mark.parametrize("kind", KINDS)
def test_a_corrupted_answer_is_another_one(kind: str) -> None:
    rng = Random(kind)
    for _ in range(40):
        turn, worse, made = corrupted(rng, kind=kind)
        assert made == kind
        assert worse != turn.answer
        if kind == "truncated":
            assert turn.answer.startswith(worse)
        if kind == "shuffled":
            assert sorted(worse.split(" ")) == sorted(turn.answer.split(" "))
        if kind == "refused":
            assert worse in REFUSALS


def test_a_table_replaces_the_one_before(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text(f"before\n{score.BEGIN}\nold\n{score.END}\nafter\n", encoding="utf-8")
    score.put(score.table([Score("well-formed", 0.9, 10, 0.8)]), card)
    text = card.read_text(encoding="utf-8")
    assert "| well-formed | 90.0% | 10 | 80% |" in text
    assert "old" not in text
    assert text.startswith("before\n") and text.endswith("\nafter\n")


def test_a_card_without_markers_is_an_error(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text("nothing here\n", encoding="utf-8")
    with pytest.raises(ValueError, match="lacks the markers"):
        score.put("table", card)


@pytest.mark.parametrize(
    "folder", [score.README.parent, CHAT, REWARD], ids=lambda folder: folder.name
)
def test_every_card_has_its_scores(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "| measure |" in text.partition(score.BEGIN)[2].partition(score.END)[0]


def test_the_share_of_nothing_is_not_a_number() -> None:
    assert share([True, False]) == 0.5
    assert share([]) != share([])
