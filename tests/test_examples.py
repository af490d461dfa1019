"""The committed cards are what the templates give today, with their pictures beside them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from builders import multi_turn, preference, reasoning, sft
from dataset_cards import examples
from magpie_hub import plots

AGAIN = "run `python -m dataset_cards.examples RUNS` and look at what it changed"


def test_every_kind_has_one() -> None:
    kinds = {each.__name__.rpartition(".")[2] for each in (multi_turn, preference, reasoning, sft)}
    assert kinds == set(examples.RECIPES)


@pytest.mark.parametrize("kind", examples.RECIPES)
def test_cards_are_up_to_date(kind: str) -> None:
    manifest, known, evidence = examples.read(kind)
    text = (examples.HERE / f"{kind}.md").read_text(encoding="utf-8")
    assert text == examples.render(kind, manifest, known, evidence), AGAIN
    drawn = {plots.name(picture) for picture in plots.pictures(manifest, known)}
    shown = re.findall(r'<img src="assets/([^"]+)\.png"', text)
    # The points of a map are not in what the card is rendered from.
    assert {name for name in shown if not name.startswith("map-")} == drawn, AGAIN
    assert len(shown) == len(set(shown)) >= 5


def test_pictures_are_there_and_no_others() -> None:
    named = {
        f"{name}{kind}"
        for card in examples.HERE.glob("*.md")
        for name in re.findall(r'<img src="assets/([^"]+)\.png"', card.read_text(encoding="utf-8"))
        for kind in (".png", ".svg")
    }
    there = {file.name: file.stat().st_size for file in (examples.HERE / plots.ASSETS).iterdir()}
    assert set(there) == named, AGAIN
    assert sum(there.values()) < 4 * 2_000_000


def test_no_path_of_a_machine_stands_in_them() -> None:
    for file in Path(examples.HERE).glob("*.[mj]*"):
        assert not re.search(r"/(?:home|tmp|root|work)/", file.read_text(encoding="utf-8"))
