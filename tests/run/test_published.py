"""A run of models from folders, released: no path of this machine goes with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from magpie_hub import models, pipeline
from magpie_hub.builder import build
from magpie_hub.building.pools import open_pool
from magpie_hub.errors import RecipeError
from magpie_hub.pipeline.plan import Plan
from magpie_hub.recipe import Recipe
from magpie_hub.rows.pool import RunPool
from magpie_hub.run import Run
from magpie_hub.run.published import recipe_text
from tests.conftest import Silent

TEXT = """
name: small
model: {model}
license: apache-2.0
rows: 16
sample: {{max_tokens: 60}}
respond: {{max_tokens: 60}}
annotate:
  reward: {{model: {reward}}}
  contamination: {{against: [{{name: mine, file: {items}}}]}}
"""


def test_a_release_names_folders_and_never_their_paths(tmp_path: Path) -> None:
    chat, reward = tmp_path / "of-mine-alone" / "My-Chat", tmp_path / "of-mine-alone" / "My-Reward"
    for name, folder in (("chat", chat), ("reward", reward)):
        shutil.copytree(models.resolve(f"bundled:{name}").path, folder)
    card = "---\nlicense: llama3.1\nbase_model: meta-llama/Llama-3.1-8B\n---\n"
    (chat / "README.md").write_text(card)
    items = tmp_path / "of-mine-alone" / "items.txt"
    items.write_text("Who wrote this benchmark?\n")
    text = TEXT.format(model=chat, reward=reward, items=items)
    with pytest.raises(RecipeError, match="x.yaml, line 4, license: apache-2.0 does not carry the"):
        Plan(Recipe.parse(text, name="x.yaml"))
    recipe = Recipe.parse(text.replace("apache-2.0", "llama3.1"), name="x.yaml")
    run = pipeline.run(recipe, tmp_path / "run", progress=Silent())
    assert str(chat) in run.recipe.to_yaml()
    release = build(
        RunPool(run), "1.0.0", tmp_path / "release", kind="sft", report=lambda line: None
    )
    for file in release.path.rglob("*"):
        assert file.is_dir() or b"of-mine-alone" not in file.read_bytes(), file
    written = (release.path / "recipe.yaml").read_text()
    assert "# My-Chat is a folder; its card names meta-llama/Llama-3.1-8B as its base.\n" in written
    document = yaml.safe_load(written)
    identity = models.resolve(str(chat)).identity
    assert (document["model"], document["revision"]) == ("My-Chat", identity)
    assert document["annotate"]["reward"]["model"] == "My-Reward"
    assert document["annotate"]["reward"]["revision"] == models.resolve(str(reward)).identity
    assert document["annotate"]["contamination"]["against"][0]["file"] == "items.txt"
    (writer,) = release.manifest.model_licenses
    assert (writer.model, writer.revision, writer.license) == ("My-Chat", identity, "llama3.1")
    assert "Built with Llama" in (release.path / "NOTICE").read_text()
    assert Recipe.parse(written, name="again").model == "My-Chat"

    # Another recipe may choose another licence, with a reason.
    wrong = Recipe.parse(text, name="y.yaml")
    with pytest.raises(RecipeError, match="y.yaml, line 4, license: "):
        open_pool([run], recipe=wrong)
    decided = Recipe.parse(f"{text}license_decision: we asked\n", name="y.yaml")
    known = open_pool([run], recipe=decided).provenance()
    assert (known.license, known.license_decision) == ("apache-2.0", "we asked")

    # A run from before the licences were noted still names its models.
    info = json.loads((run.path / "run.json").read_text())
    for stage in info["stages"]:
        del stage["writers"]
    (run.path / "run.json").write_text(json.dumps(info))
    older = Run.open(run.path)
    assert yaml.safe_load(recipe_text(older))["model"] == "My-Chat"
    (writer,) = RunPool(older).provenance().model_licenses
    assert (writer.model, writer.license) == ("My-Chat", None)


def test_ids_of_the_hub_and_bundled_models_stay(small_run: Run) -> None:
    assert recipe_text(small_run) == small_run.recipe.to_yaml()
