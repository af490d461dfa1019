"""The front matter of a card against its manifest."""

from __future__ import annotations

from pathlib import Path

import pytest

from magpie_hub.hub.front_matter import card_faults
from magpie_hub.release import Release
from tests.hub.test_hub import build


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return Release.open(build(tmp_path / "1.0.0", shards=(30, 10)))


def faults(release: Release, *changes: tuple[str, str]) -> list[str]:
    text = (release.path / "README.md").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return list(card_faults(text, release.manifest, list(release.manifest.files)))


def test_a_card_as_it_was_built_has_no_fault(release: Release) -> None:
    assert faults(release) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("---\n", "--\n"), "no front matter"),
        (("license: apache-2.0", "license: [apache-2.0"), "no front matter"),
        (("config_name: filtered", "config_name: others"), "the configs all, others, but the"),
        (("  default: true\n", ""), "lacks `default: true` for all"),
        (
            ("split: train\n    path: data/all", "split: test\n    path: data/all"),
            "splits test for",
        ),
        (("data/all/train-*", "data/all/train-00000*"), "other files for train of all"),
        (("num_examples: 40", "num_examples: 41"), "says 41 for num_examples of train of all"),
        (("num_examples: 20", "num_rows: 20"), "says nothing for num_examples of train of filt"),
        (("- name: reward", "- name: rewards"), "features id, messages, rewards for all"),
    ],
)
def test_what_does_not_agree_is_named(release: Release, change: tuple[str, str], said: str) -> None:
    assert any(said in each for each in faults(release, change))
