"""What the README says works: its commands parse, its recipe is a recipe, its code compiles."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from magpie_hub.arguments import parser
from magpie_hub.recipe import Recipe

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.S | re.M)


def test_every_command_parses() -> None:
    lines = [line for block in blocks("bash") for line in block.splitlines() if line.strip()]
    assert len(lines) >= 5
    for line in lines:
        words = shlex.split(line, comments=True)
        assert words[0] == "magpie-hub"
        parser().parse_args(words[1:])


def test_the_papers_table_is_five_commands_that_follow_each_other() -> None:
    (part,) = re.findall(r"<!-- table-1 -->\n```bash\n(.*?)```\n<!-- /table-1 -->", README, re.S)
    commands = [parser().parse_args(shlex.split(line)[1:]) for line in part.splitlines()]
    assert [each.verb.__name__ for each in commands] == ["train"] * 2 + ["evaluate"] * 3
    made = [f"{each.out}/model" for each in commands[:2]]
    assert commands[1].base == made[0]
    assert {each.model for each in commands[2:]} == {made[1]}
    assert all(each.judge for each in commands[2:])


def test_every_verb_is_shown() -> None:
    for verb in parser()._subparsers._group_actions[0].choices:
        assert f"magpie-hub {verb}" in README


def test_the_recipe_is_a_recipe() -> None:
    (text,) = blocks("yaml")
    recipe = Recipe.parse(text, name="README.md")
    assert recipe.rows == 10_000
    assert list(recipe.configs) == ["filtered", "math"]


def test_the_python_compiles() -> None:
    for code in blocks("python"):
        compile(code, "README.md", "exec")


def test_the_make_targets_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^    make ([\w-]+)", README, re.M):
        assert re.search(rf"^{target}:", makefile, re.M)


@pytest.mark.parametrize("part", ["demo", "truth"])
def test_what_was_measured_is_filled_in(part: str) -> None:
    found = re.search(rf"<!-- {part} -->\n(.*?)<!-- /{part} -->", README, re.S)
    assert found and len(found[1].split()) > 20


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
