"""The verbs from a model to a run, and the demo, which goes on to a release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magpie_hub.errors import EngineError, UsageError
from magpie_hub.verbs.releasing import build_release, made, release_folder
from magpie_hub.verbs.shared import console, engine_of

if TYPE_CHECKING:
    from argparse import Namespace

    from magpie_hub.recipe import Recipe
    from magpie_hub.release import Release
    from magpie_hub.run import Run
    from magpie_hub.storage.claims import Claims


def demo(options: Namespace) -> object:
    from importlib import resources

    from magpie_hub.recipe import Recipe
    from magpie_hub.terminal.releases import show_release

    text = (resources.files("magpie_hub.recipes") / "demo.yaml").read_text(encoding="utf-8")
    overrides = [*options.set, *([f"rows={options.rows}"] if options.rows else [])]
    recipe = Recipe.parse(text, name="demo.yaml", overrides=overrides)
    run = advance(recipe, Path(options.out), options)
    release = demo_release(run)
    show_release(console(), release)
    return {"run": str(run.path), **made(release)}


def demo_release(run: Run) -> Release:
    """The release of the run as it stands: the one that is there, or the next version."""
    from magpie_hub.release import MANIFEST, Release
    from magpie_hub.run.published import recipe_text

    for minor in count():
        version = f"1.{minor}.0"
        folder = release_folder(run, version)
        if not (folder / MANIFEST).is_file():
            evidence = measured(run.recipe)
            return build_release([run], version, any_version=True, evidence=evidence)
        if (folder / "recipe.yaml").read_text(encoding="utf-8") == recipe_text(run):
            return Release.open(folder)
    raise AssertionError("versions do not end")


def measured(recipe: Recipe) -> list[Path]:
    """What was found out about the bundled model, which says nothing about another one."""
    from magpie_hub.models import MEASURED

    return [MEASURED] if recipe.model == "bundled:chat" and MEASURED.is_dir() else []


def init(options: Namespace) -> object:
    from magpie_hub.starters import start
    from magpie_hub.terminal import reporter

    files = start(options.name, Path(), builder=options.builder)
    report = reporter(console())
    for file in files:
        report(f"wrote {file}")
    report(f"next: magpie-hub preview {files[0]}")
    return {"files": [str(file) for file in files]}


def probe(options: Namespace) -> object:
    from magpie_hub.probe import probe
    from magpie_hub.terminal import reporter

    found = probe(
        options.model,
        options.n,
        engine_of(options),
        revision=options.revision,
        temperature=options.temperature,
        top_p=options.top_p,
        system=options.system,
        judge=options.judge,
    )
    say = reporter(console())
    for line in found.lines():
        say(line)
    if not found.usable:
        error = EngineError(f"{options.model} is not usable as a source as it was probed.")
        error.result = found.model_dump()
        raise error
    return found.model_dump()


def preview(options: Namespace) -> object:
    import tempfile

    from magpie_hub.recipe import Recipe
    from magpie_hub.rows.pool import RunPool
    from magpie_hub.run.accounts import estimate
    from magpie_hub.run.rejections import rejections, turned_away
    from magpie_hub.terminal.preview import show_preview
    from magpie_hub.terminal.runs import show_estimate

    if options.n < 1:
        raise UsageError(f"-n {options.n}: a preview needs at least one row.")
    whole = Recipe.load(options.recipe, overrides=options.set)
    overrides = [*options.set, f"rows={options.n}", f"shard_rows={options.n}"]
    recipe = Recipe.load(options.recipe, overrides=overrides)
    with tempfile.TemporaryDirectory(prefix="magpie-hub-preview-") as folder:
        run = advance(recipe, Path(folder) / "run", options)
        rows = [row for table in RunPool(run).shards() for row in table.to_pylist()]
        away, rejected = turned_away(run, 0), rejections(run)
        cost = estimate(run, whole.rows, kept=len(rows), usd_per_hour=options.usd_per_hour)
    show_preview(console(), rows, away, rejected, asked=options.n)
    show_estimate(console(), cost)
    return {
        "rows": rows,
        "turned_away": [asdict(each) for each in away],
        "rejected": rejected,
        "estimate": cost.model_dump(),
    }


def run(options: Namespace) -> object:
    from magpie_hub.recipe import Recipe
    from magpie_hub.run.status import status
    from magpie_hub.terminal.runs import show_status

    recipe = Recipe.load(options.recipe, overrides=options.set)
    run = advance(recipe, options.out or recipe.name, options)
    now = status(run)
    show_status(console(), now)
    if options.shards and not now.finished:
        console().print("the rest is other parts' work, or needs it: run this part again then.")
    return now.model_dump()


def status(options: Namespace) -> object:
    from magpie_hub.run import Run
    from magpie_hub.run.status import status
    from magpie_hub.terminal.runs import show_status

    now = status(Run.open(options.run), usd_per_hour=options.usd_per_hour)
    show_status(console(), now)
    return now.model_dump()


def advance(recipe: Recipe, out: str | Path, options: Namespace) -> Run:
    from magpie_hub import pipeline
    from magpie_hub.terminal.live import Watch

    asked = vars(options)
    engine, until = engine_of(options), asked.get("until", "annotate")
    with Watch(console(), recipe.name) as progress:
        if asked.get("ray"):
            if options.retry_failed:
                raise UsageError("--retry-failed goes without --ray: mend them on one machine.")
            from magpie_hub.cluster import run_on_ray

            return run_on_ray(
                recipe,
                out,
                address=options.ray,
                workers=options.workers,
                gpus_per_worker=options.gpus_per_worker,
                engine=engine,
                progress=progress,
                until=until,
            )
        with _claims(out, asked) as claims:
            return pipeline.run(
                recipe,
                out,
                engine=engine,
                until=until,
                claims=claims,
                retry_failed=asked.get("retry_failed", False),
                progress=progress,
            )


@contextmanager
def _claims(out: str | Path, asked: Mapping[str, Any]) -> Iterator[Claims | None]:
    """Who does which shard; None for a run that is ours alone."""
    from magpie_hub.storage.claims import Joined, Part

    if asked.get("join"):
        with Joined(out) as joined:
            yield joined
    else:
        yield Part.parse(asked["shards"]) if asked.get("shards") else None
