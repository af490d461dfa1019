"""The demo's recipes by their kind, and the release of a run of one."""

from __future__ import annotations

from pathlib import Path

from magpie_hub.builder import build
from magpie_hub.recipe import Recipe
from magpie_hub.release import Release
from magpie_hub.rows.pool import RunPool
from magpie_hub.run import Run

RECIPES = Path(__file__).parents[2] / "recipes"


def demo(kind: str, *overrides: str) -> Recipe:
    return Recipe.load(RECIPES / f"demo-{kind}.yaml", overrides=overrides)


def released(run: Run) -> Release:
    folder = run.path / "releases" / "1.0.0"
    kind = run.recipe.builder
    return build(RunPool(run), "1.0.0", folder, kind=kind, report=lambda line: None)
