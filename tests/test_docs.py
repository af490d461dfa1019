import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from magpie_hub import schema, steering
from magpie_hub.building.kind import MagpieBuilder
from magpie_hub.changes import Changes
from magpie_hub.hub import PushResult
from magpie_hub.hub.verification import Verification
from magpie_hub.hub.versions import Released
from magpie_hub.recipe import Recipe, presets
from magpie_hub.recipe.filter_presets import FILTERS
from magpie_hub.rows import cuts
from magpie_hub.run.status import Status

DOCS = Path(__file__).parents[1] / "docs"


def test_the_map_of_columns_has_each_column_in_order() -> None:
    rows = re.findall(r"^\| (`.*?) \|", (DOCS / "columns.md").read_text(encoding="utf-8"), re.M)
    assert [name for row in rows for name in re.findall(r"`(\w+)`", row)] == list(schema.names())


def leaves(model: type[BaseModel], before: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every key of the recipe, dotted, in the models' order."""
    for name, field in model.model_fields.items():
        key, kind = f"{before}{name}", field.annotation
        if get_origin(kind) in (Union, UnionType):
            kind = next(each for each in get_args(kind) if each is not type(None))
        if get_origin(kind) is tuple:
            key, kind = f"{key}[]", get_args(kind)[0]
        elif get_origin(kind) is dict:
            key, kind = f"{key}.NAME", get_args(kind)[1]
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from leaves(kind, f"{key}.")
        else:
            yield key.removesuffix("[]"), field


def default(key: str, field: FieldInfo) -> str:
    if key.startswith("respond.responders[].") and not key.endswith("weight"):
        return "as beside the list"
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, str):
        return f"`{value}`" if value else "`''`"
    return f"`{json.dumps(value)}`"


def cells(page: str, columns: int) -> list[list[str]]:
    """The rows of all tables of the page with that many columns, without their heads."""
    lines = (line for line in page.splitlines() if line.startswith("| `"))
    rows = ([cell.strip() for cell in line.strip("|").split(" | ")] for line in lines)
    return [row for row in rows if len(row) == columns]


def test_the_page_on_recipes_has_every_key_with_its_default() -> None:
    page = (DOCS / "recipe.md").read_text(encoding="utf-8").partition("## Decoding grids")[0]
    found = [(key.strip("`"), given.split(",")[0]) for key, given, *_ in cells(page, 3)]
    assert found == [(key, default(key, field)) for key, field in leaves(Recipe)]


def test_the_page_on_recipes_has_every_preset_and_ready_set() -> None:
    page = (DOCS / "recipe.md").read_text(encoding="utf-8").partition("## Decoding grids")[2]
    named = [(name.strip("`"), int(entries)) for name, entries, _ in cells(page, 3)]
    assert named == [
        *((name, len(grid)) for name, grid in presets.GRIDS.items()),
        *((name, len(steering.load(name))) for name in steering.names()),
    ]


def test_the_page_on_recipes_has_every_filter_preset() -> None:
    page = (DOCS / "recipe.md").read_text(encoding="utf-8").partition("| preset | filter |")[2]
    named = {name.strip("`"): where.split("`; ")[0].strip("`") for name, where in cells(page, 2)}
    assert named == {name: preset.where for name, preset in FILTERS.items()}


def test_the_examples_on_the_page_on_recipes_are_recipes(tmp_path: Path) -> None:
    (tmp_path / "subjects.txt").write_text("bees")
    blocks = re.findall(
        r"^```yaml\n(.*?)^```", (DOCS / "recipe.md").read_text("utf-8"), re.S | re.M
    )
    head = "name: x\nmodel: bundled:chat\nrows: 1\n"
    steered, answered, several = blocks
    recipe = Recipe.parse(head + steered + answered, name="docs/recipe.md", folder=tmp_path)
    assert Recipe.parse(head + several, name="docs/recipe.md").respond.answers == 5
    assert len(recipe.sample.steer) == 13 and recipe.sample.steer[-1].topics == ("bees",)
    assert [each.max_tokens for each in recipe.respond.each] == [4096, 4096]


def test_the_configs_on_the_page_on_recipes_are_configs() -> None:
    page = (DOCS / "recipe.md").read_text("utf-8").partition("## Configs")[2]
    block = page[page.index("    configs:") : page.index("**Filters**")]
    whole = f"name: x\nmodel: bundled:chat\nrows: 1\n{textwrap.dedent(block)}"
    recipe = Recipe.parse(whole, name="docs/recipe.md")
    assert list(recipe.configs) == ["filtered-300k", "math-100k"]
    for config in recipe.configs.values():
        cuts.check(config, schema.names(), str)


def test_the_page_on_builders_has_all_that_a_builder_declares() -> None:
    page = (DOCS / "builders.md").read_text("utf-8")
    names = [row[0].strip("`").partition("(")[0] for row in cells(page, 3)]
    own = [name for name in vars(MagpieBuilder) if not name.startswith("_")]
    declared = [name for name in MagpieBuilder.__annotations__ if not name.startswith("_")]
    assert names[:5] == declared
    used = {"plan", "tables", "decide", "BUILDER_CONFIG_CLASS"}
    assert set(names[5:]) == set(own) - used - set(declared)


def test_the_page_on_output_has_the_keys_of_each_document() -> None:
    page = (DOCS / "output.md").read_text(encoding="utf-8")
    told = {
        name: re.findall(r"`(\w+)`", keys)
        for names, keys in cells(page, 2)
        for name in re.findall(r"`(\w+)`", names)
    }
    models = {"status": Status, "run": Status, "diff": Changes}
    records = {"push": PushResult, "verify": Verification, "releases": Released}
    for verb, model in models.items():
        assert told[verb] == list(model.model_fields)
    for verb, record in records.items():
        assert told[verb] == [each.name for each in fields(record)]


def test_the_table_of_the_house_names_every_part_of_it() -> None:
    root = DOCS.parent
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set()
    for row in re.findall(r"^\| (`.*?) \|", text, re.M):
        for part in re.findall(r"`([\w/.]+)`", row):
            # After the first of a row, parts of the package stand without its name.
            named.add(part if (root / part).exists() else f"magpie_hub/{part}")
    there = (root / "magpie_hub").glob("[a-z]*")
    parts = {f"magpie_hub/{each.name}{'/' * each.is_dir()}" for each in there}
    assert {part for part in named if not (root / part).exists()} == set()
    assert parts - named == {"magpie_hub/py.typed"}
