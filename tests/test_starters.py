"""``init``: what it writes works as it is written."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import pytest

from magpie_hub import pipeline
from magpie_hub.cli import main
from magpie_hub.errors import UsageError
from magpie_hub.recipe import Recipe
from magpie_hub.release import Release
from magpie_hub.run import Run
from magpie_hub.starters import start
from tests.conftest import Silent


def test_a_recipe_and_a_builder_that_run_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "my-set", "--builder", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"files": ["my-set.yaml", "my_set_builder.py"]}
    lines = (tmp_path / "my_set_builder.py").read_text().splitlines()
    assert 60 <= len(lines) <= 100
    recipe = Recipe.load("my-set.yaml", overrides=["rows=60", "shard_rows=30"])
    run = pipeline.run(recipe, tmp_path / "run", progress=Silent())
    # The run keeps a copy of the builder, so it stands on its own.
    (tmp_path / "my_set_builder.py").unlink()
    assert main(["build", "run", "--version", "1.0.0", "--json"]) == 0
    release = Release.open(json.loads(capsys.readouterr().out)["release"])
    assert list(release.manifest.configs) == ["filtered", "best", "all", "split"]
    assert release.manifest.builder == "my_set_builder"
    assert Run.open(run.path).recipe.builder == "./builders/my_set_builder.py"
    data = datasets.load_dataset(str(release.path), "all", cache_dir=str(tmp_path / "cache"))
    answers = [row["messages"][-1]["content"] for row in data["train"]]
    assert answers and max(map(len, answers)) <= 400
    assert set(data["train"]["finish_reason"]) == {"stop"}
    # What a release holds can be run again, its builder included.
    again = Recipe.load(release.path / "recipe.yaml")
    assert again.builder_file and again.builder_file.is_file()


def test_only_a_filter_changes_only_the_build(
    small_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    run = tmp_path / "run"
    shutil.copytree(small_run.path, run)
    shards = {file: file.stat().st_mtime_ns for file in run.rglob("*.arrow")}
    text = "name: small\nmodel: bundled:chat\nrows: 48\nlicense: mit\nconfigs:\n  odd: {where: %s}"
    recipe = tmp_path / "new.yaml"
    recipe.write_text(text % "query_tokens > 4")
    build = ["build", str(run), "--version", "1.0.0", "--recipe", str(recipe), "--json"]
    assert main(build) == 0
    release = Release.open(json.loads(capsys.readouterr().out)["release"])
    assert list(release.manifest.configs) == ["odd", "all"]
    assert release.manifest.license == "mit"
    assert {file: file.stat().st_mtime_ns for file in run.rglob("*.arrow")} == shards
    recipe.write_text(text % "quary_tokens > 4")
    build[3] = "1.1.0"
    assert main(build) == 2
    assert "did you mean 'query_tokens'" in capsys.readouterr().err


def test_a_plain_recipe_of_that_name(tmp_path: Path) -> None:
    (file,) = start("air-2", tmp_path)
    recipe = Recipe.load(file)
    assert recipe.name == "air-2" and recipe.builder == "sft"
    with pytest.raises(UsageError, match=r"air-2.yaml exists already; choose another name"):
        start("air-2", tmp_path, builder=True)
    assert [path.name for path in tmp_path.iterdir()] == ["air-2.yaml"]
    for name in ("../x", "Big", "", "a b"):
        with pytest.raises(UsageError, match="is no name"):
            start(name, tmp_path)
    with pytest.raises(UsageError, match="cannot be written"):
        start("x", tmp_path / "nowhere")
