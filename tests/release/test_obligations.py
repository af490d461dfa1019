"""What a model's licence asks of the data that it wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import DatasetCard

from magpie_hub.builder import build
from magpie_hub.errors import RecipeError
from magpie_hub.licences import ModelLicense
from magpie_hub.recipe import Recipe
from magpie_hub.release import Release, obligations
from tests.builders.pool import HandPool
from tests.card.test_card import Seen, page

LLAMA = ModelLicense(model="meta-llama/Meta-Llama-3-8B-Instruct", license="llama3")
LATER = ModelLicense(model="meta-llama/Llama-3.1-8B-Instruct", license="llama3.1")
GEMMA = ModelLicense(model="google/gemma-2-9b-it", license="gemma")
QWEN = ModelLicense(model="Qwen/Qwen2.5-72B", license="other", license_name="qwen")
FREE = ModelLicense(model="org/free", license="mit")
BARE = ModelLicense(model="my-model")
UNREAD = ModelLicense(model="org/unread", license="gpl-3.0")


def recipe(license: str, more: str = "") -> Recipe:
    text = f"name: x\nmodel: m\nlicense: {license}\nrows: 1\n{more}"
    return Recipe.parse(text, name="x.yaml")


def release(folder: Path, *models: ModelLicense, **more: Any) -> tuple[Release, list[str]]:
    """A release of handwritten rows by these models, and what the build said."""
    said: list[str] = []
    license = more.pop("license", "apache-2.0")
    pool = HandPool(license=license, terms={"model_licenses": models, **more})
    return build(pool, "1.0.0", folder / "1.0.0", kind="sft", report=said.append), said


@pytest.mark.parametrize(
    ("license", "model", "says"),
    [
        ("apache-2.0", LLAMA, "models of its own family only); write llama3,"),
        ("cc-by-4.0", LATER, "trained on its outputs have conditions); write llama3.1,"),
        ("llama3.1", LLAMA, "write llama3,"),
        ("mit", GEMMA, "Gemma Terms of Use"),
        ("apache-2.0", QWEN, "write other with license_name: qwen,"),
    ],
)
def test_a_contradiction_is_one_sentence_with_its_place(
    license: str, model: ModelLicense, says: str
) -> None:
    with pytest.raises(RecipeError) as raised:
        obligations.check(recipe(license), [FREE, model])
    said = str(raised.value)
    assert said.startswith(f"x.yaml, line 3, license: {license} does not carry the terms of ")
    assert says in said and model.model in said and "license_decision" in said
    assert "\n" not in said
    obligations.check(recipe(license, "license_decision: our lawyer read it"), [model])


OTHER_KEYS = "license_name: both\nlicense_link: https://example.org/terms\n"


@pytest.mark.parametrize(
    ("chosen", "model"),
    [
        (recipe("llama3"), LLAMA),
        (recipe("gemma"), GEMMA),
        (recipe("other", OTHER_KEYS), LATER),
        (recipe("cc0-1.0"), FREE),
        (recipe("apache-2.0"), BARE),
        (recipe("apache-2.0"), UNREAD),
        (Recipe.parse("name: x\nmodel: m\nrows: 1", name="x.yaml"), LLAMA),
    ],
)
def test_what_does_not_contradict(chosen: Recipe, model: ModelLicense) -> None:
    obligations.check(chosen, [model])


@pytest.mark.parametrize(
    ("license", "models", "more", "says"),
    [
        (None, [FREE], {}, "the release has no licence; set `license` in the recipe"),
        ("unknown", [FREE], {}, "the release has no licence"),
        ("apache-2.0", [BARE], {}, "the licence of my-model is not known"),
        ("apache-2.0", [UNREAD], {}, "the licence of org/unread is gpl-3.0, which"),
        ("apache-2.0", [FREE, LLAMA], {}, "the licence apache-2.0 does not carry the terms of"),
    ],
)
def test_what_a_person_must_decide_is_said_at_the_build(
    tmp_path: Path, license: str, models: list[ModelLicense], more: dict[str, str], says: str
) -> None:
    made, said = release(tmp_path, *models, license=license, **more)
    (line,) = obligations.unsettled(made.manifest)
    assert says in line and "build again under a new version." in line and "\n" not in line
    assert f"push will refuse: {line}" in said


@pytest.mark.parametrize(
    ("license", "models", "more"),
    [
        ("apache-2.0", [FREE], {}),
        ("gpl-3.0", [UNREAD], {}),
        ("apache-2.0", [BARE, UNREAD, LLAMA], {"license_decision": "we asked"}),
        ("apache-2.0", [], {}),
    ],
)
def test_what_is_decided(
    tmp_path: Path, license: str, models: list[ModelLicense], more: dict[str, str]
) -> None:
    made, said = release(tmp_path, *models, license=license, **more)
    assert list(obligations.unsettled(made.manifest)) == []
    assert not [line for line in said if "push" in line]


def test_the_files_and_the_card(tmp_path: Path) -> None:
    made, _ = release(tmp_path, LATER, GEMMA, license="llama3.1", license_decision="<b>why</b>")
    notice = (made.path / "NOTICE").read_text(encoding="utf-8")
    for words in (
        f"written by {LATER.model}, {GEMMA.model}.",
        "Llama 3.1 is licensed under the Llama 3.1 Community License, Copyright © Meta",
        "\nBuilt with Llama\n",
        "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev",
    ):
        assert words in notice
    text = (made.path / "LICENSE").read_text(encoding="utf-8")
    assert "Llama 3.1 Community License Agreement\nIts text: https://" in text
    assert {"LICENSE", "NOTICE"} <= set(made.manifest.files)
    card = (made.path / "README.md").read_text(encoding="utf-8")
    section = card.partition("## Licence and obligations")[2].partition("\n## ")[0]
    for words in (
        "The rows: Llama 3.1 Community License Agreement.",
        "Decided by who released them: &lt;b>why&lt;/b>",
        f"- {LATER.model}: Llama 3.1 Community",
        "**Built with Llama.**",
        f"- {GEMMA.model}: Gemma Terms of Use",
        "\n\nThese are notes and no legal advice",
    ):
        assert words in section
    assert DatasetCard(card).data.license == "llama3.1"


def test_a_licence_whose_text_is_carried(tmp_path: Path) -> None:
    made, _ = release(tmp_path, FREE, license="mit")
    text = (made.path / "LICENSE").read_text(encoding="utf-8")
    assert f"Copyright (c) {made.manifest.created[:4]} the publishers of handmade" in text
    assert "[" not in text and not (made.path / "NOTICE").exists()


def test_terms_of_ones_own(tmp_path: Path) -> None:
    more = {"license_name": "two-terms", "license_link": "https://example.org/terms"}
    made, _ = release(tmp_path, LATER, license="other", **more)
    data = DatasetCard.load(made.path / "README.md").data.to_dict()
    assert [data[key] for key in ("license", *more)] == ["other", *more.values()]
    text = (made.path / "LICENSE").read_text(encoding="utf-8")
    assert "two-terms\nIts text: https://example.org/terms" in text


def test_no_licence_no_file(tmp_path: Path) -> None:
    made, _ = release(tmp_path, FREE, license=None)
    assert not (made.path / "LICENSE").exists()


def test_what_a_model_s_card_says_is_shown_as_text(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script> [a](https://evil.example)\n## Licence"
    model = ModelLicense(model="x", license="other", license_name=hostile, license_link=hostile)
    made, _ = release(tmp_path, model)
    card = (made.path / "README.md").read_text(encoding="utf-8")
    seen = Seen(page(card))
    assert "script" not in seen.tags and seen.links == {"https://arxiv.org/abs/2406.08464"}
    assert "script" in card and card.count("\n## Licence") == 1
