from pathlib import Path

import pytest
import yaml

from magpie_hub import schema, steering
from magpie_hub.errors import RecipeError
from magpie_hub.filters import Filter
from magpie_hub.recipe import Cell, Recipe
from tests.conftest import SMALL

SHIPPED = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_recipes_load(file: Path) -> None:
    recipe = Recipe.load(file)
    assert recipe.rows > 0 and recipe.name.endswith(file.stem.removeprefix("magpie-"))
    wheres = [config.where for config in recipe.configs.values()]
    for where in [recipe.screen.where, *wheres]:
        assert where is None or Filter.parse(where, schema.names()).clauses


def test_the_resolved_recipe_reads_back_as_itself() -> None:
    recipe = Recipe.parse(SMALL, name="small.yaml")
    again = Recipe.parse(recipe.to_yaml(), name="again")
    assert again.model_dump() == recipe.model_dump()


def test_an_annotator_that_is_not_run_stays_away() -> None:
    recipe = Recipe.parse("name: x\nmodel: m\nrows: 1\nannotate: {judge: }", name="x.yaml")
    again = Recipe.parse(recipe.to_yaml(), name="again").annotate
    assert again == recipe.annotate
    assert again.judge is not None and again.language is None and again.reward is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("rows: 48", "rowz: 48"), "small.yaml, line 5, rowz: there is no such key; did you mean"),
        (("rows: 48", "rows: many"), "small.yaml, line 5, rows: Input should be a valid integer"),
        (("rows: 48", ""), "small.yaml, rows: this key is needed"),
        (
            ("max_tokens: 80", "max_token: 80"),
            "line 9, sample.max_token: there is no such key; did",
        ),
        (("top_p: 0.95", "top_p: 1.5"), "line 8, sample.grid[0].top_p: Input should be less"),
        (
            ("judge:", "jugde:"),
            "line 14, annotate.jugde: there is no such key; did you mean 'judge'",
        ),
        (("model: bundled:chat", "model: [a"), "not valid YAML"),
        (("rows: 48", "name: other"), "line 5: name stands here a second time (first on line 2)"),
        (("name: small", "name: Small one"), "line 2, name: String should match pattern"),
        (("filtered:", "filt/ered:"), "'filt/ered' is no config name"),
        (("weight: 3", "weight: 0.0001"), "line 8, sample.grid"),
        (
            ("license: apache-2.0", "license: apache2"),
            "line 4, license: the Hub knows no licence 'apache2'; did you mean 'apache-2.0'?",
        ),
        (
            ("license: apache-2.0", "license: other"),
            "line 4, license: with `other` the terms need license_name and license_link.",
        ),
        (
            ("license: apache-2.0", "license: mit\nlicense_name: x"),
            "line 5, license_name: it goes with `license: other`",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_place(change: tuple[str, str], sentence: str) -> None:
    with pytest.raises(RecipeError) as raised:
        Recipe.parse(SMALL.replace(*change), name="small.yaml")
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


def test_overrides_are_yaml_values_under_dotted_keys() -> None:
    overrides = ["rows=9", "sample.max_tokens=5", "configs.math.where=category = 'Math'"]
    recipe = Recipe.parse(SMALL, name="small.yaml", overrides=overrides)
    assert (recipe.rows, recipe.sample.max_tokens) == (9, 5)
    assert recipe.configs["math"].where == "category = 'Math'"


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("rows", "write it as key=value"),
        ("rows.x=1", "--set rows.x=1: rows holds"),
        ("smaple.max_tokens=1", "--set smaple.max_tokens: there is no such key"),
        ("rows=[", "not valid YAML"),
    ],
)
def test_a_wrong_override_names_itself(override: str, sentence: str) -> None:
    with pytest.raises(RecipeError, match="--set") as raised:
        Recipe.parse(SMALL, name="small.yaml", overrides=[override])
    assert sentence in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"nothing\.yaml: cannot be read"):
        Recipe.load(tmp_path / "nothing.yaml")


@pytest.mark.parametrize("text", ["", "- a", "just words", "\t"])
def test_what_is_no_mapping_is_no_recipe(text: str) -> None:
    with pytest.raises(RecipeError):
        Recipe.parse(text, name="x.yaml")


def test_a_bare_annotator_means_its_defaults() -> None:
    bare = SMALL.replace("judge: {passes: three}", "judge:")
    assert yaml.safe_load(bare)["annotate"]["judge"] is None
    assert Recipe.parse(bare, name="x").annotate.judge is not None


def sampling(text: str, folder: Path = Path()) -> Recipe:
    """A recipe with these lines under ``sample``, which begin on line 5."""
    lines = "".join(f"  {line}\n" for line in text.splitlines())
    whole = f"name: x\nmodel: bundled:chat\nrows: 9\nsample:\n{lines}"
    return Recipe.parse(whole, name="x.yaml", folder=folder)


def test_the_papers_grids() -> None:
    air, pro = sampling("grid: paper-air").sample.grid, sampling("grid: paper-pro").sample.grid
    assert [cell.weight for cell in air] == [3] * 9 + [1] * 3
    assert {(c.temperature, c.top_p) for c in air} == {
        (t, p) for t in (1.0, 1.1, 1.2, 1.25) for p in (1.0, 0.995, 0.99)
    }
    assert {c.temperature for c in air if c.weight == 1} == {1.25}
    assert pro == tuple(
        Cell(temperature=t, top_p=p, weight=w)
        for t, p, w in [(1.0, 1.0, 3), (1.1, 0.995, 3), (1.2, 0.995, 3), (1.25, 0.99, 1)]
    )


def test_names_and_files_are_written_out_in_the_resolved_recipe(tmp_path: Path) -> None:
    (tmp_path / "topics.txt").write_text("\ufeff# mine\nbees\n\n  Moore's law \n", "utf-8")
    recipe = sampling(
        "grid: paper-pro\nsteer: [math, {key: s, prefill: 'On {topic}', topics: topics.txt}]",
        tmp_path,
    )
    steer = recipe.sample.steer
    assert [each.key for each in steer] == [*steering.load("math"), "s"]
    assert steer[0].system == steering.load("math")[steer[0].key]
    assert steer[-1].topics == ("bees", "Moore's law")
    (tmp_path / "topics.txt").unlink()
    assert Recipe.parse(recipe.to_yaml(), name="again").model_dump() == recipe.model_dump()
    assert sampling("steer: math").sample.steer == steer[:-1]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("grid: paper-aire", "x.yaml, line 5, sample.grid: there is no grid 'paper-aire'; did you "
         "mean 'paper-air', or another of: paper-air, paper-pro."),
        ("steer: none", "line 5, sample.steer: there is no ready set 'none'; "),
        ("steer: [categories, maths]", "line 5, sample.steer[1]: there is no ready set 'maths'; "
         "did you mean 'math', or another of: categories, code, "),
        ("steer:\n- math\n- {key: a, sytem: A}", "line 7, sample.steer[1].sytem: there is no such "
         "key; did you mean 'system'"),
        ("steer:\n- math\n- {key: math/proofs}", "line 7, sample.steer[1]: the key 'math/proofs' "
         "is that of x.yaml, line 6, sample.steer[0] too"),
        ("steer:\n- {key: a}\n- {key: a, system: A}", "line 7, sample.steer[1]: the key 'a'"),
        ("steer:\n- {key: 'a: b'}\n- {key: a, system: '{topic}', topics: [b]}", "the key 'a: b'"),
        ("steer: [{key: a, system: 'On {topic}'}]", "line 5, sample.steer[0]: {topic} stands here "
         "and there are no topics; give `topics`."),
        ("steer: [{key: a, system: A, topics: [b]}]", "the topics are never used; write {topic}"),
        ("steer: [{key: a, prefill: '{topic}', topics: gone.txt}]", "line 5, "
         "sample.steer[0].topics: gone.txt cannot be read as a list of topics"),
        ("steer: [{key: a, prefill: '{topic}', topics: ['']}]", "sample.steer[0].topics[0]: String "
         "should have at least 1 character"),
        ("steer: 3", "sample.steer: Input should be a valid tuple"),
        ("steer: [3]", "line 5, sample.steer[0]: Input should be a valid dictionary"),
        ("grid: 3", "sample.grid: Input should be a valid tuple"),
        ("steer: [{key: a, weight: 10000}, {key: b}]", "sample.steer: these weights repeat only"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_steering_is_named_with_its_place(text: str, sentence: str) -> None:
    with pytest.raises(RecipeError) as raised:
        sampling(text)
    assert sentence in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"\n# only this\n", b"\xff\xfe\x00"])
def test_a_file_of_topics_without_any(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.txt").write_bytes(content)
    with pytest.raises(RecipeError, match=r"steer\[0\]\.topics: .*t\.txt (has no|cannot be read)"):
        sampling("steer: [{key: a, system: '{topic}', topics: t.txt}]", tmp_path)


def test_topics_are_read_beside_the_recipe_file(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("bees")
    file = tmp_path / "x.yaml"
    file.write_text(SMALL)
    steer = "sample.steer=[{key: a, system: '{topic}', topics: t.txt}]"
    assert Recipe.load(file, overrides=[steer]).sample.steer[0].topics == ("bees",)
    with pytest.raises(RecipeError, match=r"^--set sample\.steer\S*: .*gone\.txt cannot"):
        Recipe.load(file, overrides=[steer.replace("t.txt", "gone.txt")])


def test_what_a_fingerprint_knows_of_sampling() -> None:
    """The words of recipes without prefill and topics stay: their rows' ids rest on them."""
    plain = sampling("steer: [{key: a, system: A, weight: 2}, {key: b}]").sample.describe()
    assert plain == {
        "grid": "temperature 1, top-p 1, weight 1",
        "max_tokens": "512",
        "steer a": "weight 2: A",
        "steer b": "weight 1: (none)",
        "steer order": "a, b",
    }
    more = "steer: [{key: a, system: A, weight: 2, prefill: 'On {topic}', topics: [%s]}, {key: b}]"
    one, two = (sampling(more % topics).sample.describe() for topics in ("x, y", "x, z"))
    assert {key: one[key] for key in plain} == plain
    assert set(one) - set(plain) == {"prefill a", "topics a"}
    assert [key for key in one if one[key] != two[key]] == ["topics a"]


def answering(text: str) -> Recipe:
    whole = f"name: x\nmodel: bundled:chat\nrows: 9\nrespond: {text}"
    return Recipe.parse(whole, name="x.yaml")


def test_without_a_list_there_is_one_responder() -> None:
    (one,) = answering("{model: m, revision: r, temperature: 0.5}").respond.each
    assert (one.model, one.revision, one.temperature, one.weight) == ("m", "r", 0.5, 1)


def test_responders_have_what_stands_beside_the_list() -> None:
    recipe = answering(
        "{model: m, revision: r, temperature: 0.5, thinking: true, responders: "
        "[{weight: 3}, {model: n, temperature: 0}, {model: m, revision: s, thinking: null}]}"
    )
    found = [
        (each.model, each.revision, each.temperature, each.thinking, each.max_tokens, each.weight)
        for each in recipe.respond.each
    ]
    assert found == [
        ("m", "r", 0.5, True, 2048, 3),
        ("n", None, 0.0, True, 2048, 1),
        ("m", "s", 0.5, None, 2048, 1),
    ]
    assert Recipe.parse(recipe.to_yaml(), name="again").model_dump() == recipe.model_dump()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{responders: [{modle: m}]}", "x.yaml, line 4, respond.responders[0].modle: there is no "
         "such key; did you mean 'model'"),
        ("{responders: [{}, {top_p: 2}]}", "respond.responders[1].top_p: Input should be less"),
        ("{responders: [m]}", "respond.responders[0]: Input should be a valid dictionary"),
        ("{responders: [{weight: 0.00001}, {}]}", "respond.responders: these weights repeat only"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_responders_is_named(text: str, sentence: str) -> None:
    with pytest.raises(RecipeError) as raised:
        answering(text)
    assert sentence in str(raised.value)
