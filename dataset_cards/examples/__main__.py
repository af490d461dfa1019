"""Make the examples again: `python -m dataset_cards.examples RUNS`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from dataset_cards.examples import HERE, RECIPES, write
from magpie_hub import pipeline, plots
from magpie_hub.builder import build
from magpie_hub.models import MEASURED
from magpie_hub.recipe import Recipe
from magpie_hub.release import Release
from magpie_hub.rows.pool import RunPool
from magpie_hub.stages import Silent

_VERSION = "1.0.0"


class _Lines(Silent):
    """A Progress that prints a line a stage."""

    def begin(self, stage: str, *, total: int, done: int) -> None:
        _say(f"{stage}: {total}")

    def note(self, line: str) -> None:
        _say(line)


def _release(kind: str, runs: Path, report: Callable[[str], None]) -> Release:
    recipe = HERE.parents[1] / "recipes" / f"{RECIPES[kind]}.yaml"
    run = pipeline.run(Recipe.load(recipe), runs / kind, progress=_Lines())
    out = run.path / "releases" / _VERSION
    shutil.rmtree(out, ignore_errors=True)
    # What was measured with the bundled model is of the demo's kind alone.
    evidence = [MEASURED] if kind == "sft" and MEASURED.is_dir() else []
    return build(RunPool(run), _VERSION, out, kind=kind, report=report, evidence=evidence)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("name the folder for the runs: python -m dataset_cards.examples RUNS")
    shutil.rmtree(HERE / plots.ASSETS, ignore_errors=True)
    for each in RECIPES:
        write(each, _release(each, Path(sys.argv[1]), _say))
