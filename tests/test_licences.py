"""The tables of licences: what they name is there, and what they quote is consistent."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from magpie_hub import licences
from magpie_hub.licences import ModelLicense, table
from magpie_hub.recipe import Recipe

PAGE = Path(__file__).parents[1] / "docs" / "licences.md"


@pytest.mark.parametrize(
    ("written", "nearest"),
    [
        ("llama-3", "llama3"),
        ("apache2", "apache-2.0"),
        ("Apache-2.0", "apache-2.0"),
        ("Gemma Terms of Use", "gemma"),
        ("cc-by-4", "cc-by-4.0"),
    ],
)
def test_a_misspelling_gets_the_nearest(written: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=f"no licence '{written}'; did you mean '{nearest}'"):
        licences.check(written)
    licences.check(nearest)


def test_what_is_near_nothing_may_be_other() -> None:
    with pytest.raises(ValueError, match="write `license: other` with license_name and"):
        licences.check("the boss said yes")


def test_the_terms_are_of_licences_that_the_hub_knows_or_that_have_a_name() -> None:
    for key, terms in table().items():
        if key in licences.identifiers():
            assert not terms.names and terms.name is None
        else:
            assert terms.name and terms.link and terms.names
        assert licences.name(key) != key
        binds = terms.training in ("conditions", "family", "research")
        assert not binds or (terms.clause and licences.link(key) or "openrail" in key)


def test_the_llama_and_gemma_families_have_their_duties() -> None:
    for version in ("3.1", "3.2", "3.3", "4"):
        terms = table()[f"llama{version}"]
        assert (terms.shows, terms.model_name) == ("Built with Llama", "Llama")
        assert terms.notice == (
            f"Llama {version} is licensed under the Llama {version} Community License, "
            "Copyright © Meta Platforms, Inc. All Rights Reserved."
        )
        assert terms.training == "conditions" and f"llama{version.replace('.', '_')}/" in (
            terms.source.replace("llama-models", "")
        )
    three = table()["llama3"]
    assert (three.training, three.shows, three.model_name) == (
        *("family", "Built with Meta Llama 3", "Llama 3"),
    )
    assert table()["llama2"].training == "family" and table()["gemma"].notice


@pytest.mark.parametrize(
    ("stated", "key", "training"),
    [
        ({"license": "llama3"}, "llama3", "family"),
        ({"license": "other", "license_name": "qwen"}, "qwen", "conditions"),
        ({"license": "other", "license_name": "Qwen-Research"}, "qwen-research", "research"),
        ({"license": "other", "license_name": "llama4"}, "llama4", "conditions"),
        (
            {"license": "other", "license_name": "tongyi-qianwen-license-agreement"},
            *("tongyi-qianwen", "family"),
        ),
        ({"license": "other", "license_name": "mine-1.0"}, "mine-1.0", None),
        ({"license": "other"}, None, None),
        ({"license": "gpl-3.0"}, "gpl-3.0", None),
        ({}, None, None),
    ],
)
def test_a_licence_is_told_by_identifier_or_by_name(
    stated: dict[str, str], key: str | None, training: str | None
) -> None:
    found = ModelLicense(model="m", **stated)
    assert found.key == key
    assert (found.terms and found.terms.training) == training


@pytest.mark.parametrize(
    ("identifier", "words"),
    [
        ("apache-2.0", "Version 2.0, January 2004"),
        ("mit", "[year] [fullname]"),
        ("cc-by-4.0", "Section 8 -- Interpretation."),
        ("cc0-1.0", "CC0 1.0 Universal"),
    ],
)
def test_the_texts_that_are_carried(identifier: str, words: str) -> None:
    text = licences.text(identifier)
    assert text and words in text and not text.startswith("---")


def test_other_texts_are_not() -> None:
    assert licences.text("llama3") is None and licences.text("../terms") is None


def test_the_examples_on_the_page_are_recipes() -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text("utf-8"), re.S | re.M)
    assert len(blocks) == 3
    for block in blocks:
        assert Recipe.parse(f"name: x\nmodel: m\nrows: 1\n{block}", name="page").license


def test_the_page_has_every_licence_of_the_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(.+?)` \| (\w+) \| (.*?) \| (.*?) \|$", page, re.M)
    assert rows == [
        (key, t.training, t.shows or "", f'begins with "{t.model_name}"' if t.model_name else "")
        for key, t in table().items()
    ]
