"""The command: parse, call one function, print.

People's text and progress go to stderr, JSON to stdout with ``--json``. Nothing heavy is imported
until a verb needs it, so that ``--help`` is immediate.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from magpie_hub import __version__
from magpie_hub.errors import EngineError, Interrupted, MagpieHubError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from magpie_hub.recipe import Recipe
    from magpie_hub.release import Release
    from magpie_hub.run import Run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is the error's (see ``errors.py``), 0 when done."""
    options = _parser().parse_args(arguments)
    try:
        result = options.verb(options)
    except MagpieHubError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("stopped.", Interrupted.exit_code)
    if options.json:
        _print_json(result)
    return 0


def _print_json(result: object) -> None:
    print(json.dumps(result, ensure_ascii=False))


def _fail(message: str, code: int) -> int:
    print(f"magpie-hub: {message}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="magpie-hub",
        description="From any open-weight chat model to a versioned dataset on the Hugging Face "
        "Hub, by the Magpie method.",
    )
    parser.add_argument("--version", action="version", version=f"magpie-hub {__version__}")
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def verb(name: str, summary: str) -> argparse.ArgumentParser:
        command = verbs.add_parser(name, help=summary, description=f"{summary}.")
        command.add_argument("--json", action="store_true", help="the result as JSON on stdout")
        command.set_defaults(verb=globals()[f"_{name}"])
        return command

    def making(command: argparse.ArgumentParser) -> None:
        command.add_argument(
            "--engine", default="transformers", metavar="E", help="what runs the model"
        )
        command.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="a key of the recipe, such as sample.max_tokens=200; may be repeated",
        )

    demo = verb("demo", "the whole line on the bundled model, offline")
    demo.add_argument("--out", default="magpie-demo", metavar="DIR", help="default: %(default)s")
    demo.add_argument("--rows", type=int, metavar="N", help="queries to sample; default: 500")
    making(demo)

    probe = verb("probe", "is this model a source: its derived template, sample queries, health")
    probe.add_argument("model", metavar="MODEL", help="a Hub id or a folder")
    probe.add_argument("-n", type=int, default=64, metavar="N", help="queries; default: 64")
    probe.add_argument("--engine", default="transformers", metavar="E", help="what runs the model")
    probe.add_argument("--revision", metavar="REV", help="of a model on the Hub")
    probe.add_argument("--temperature", type=float, default=1.0, metavar="T")
    probe.add_argument("--top-p", type=float, default=1.0, metavar="P")
    probe.add_argument("--system", metavar="TEXT", help="a system prompt to steer the queries")
    probe.add_argument(
        "--no-judge", action="store_false", dest="judge", help="do not have it label its queries"
    )

    preview = verb("preview", "a few rows of a recipe, nothing written")
    preview.add_argument("recipe", metavar="RECIPE")
    preview.add_argument("-n", type=int, default=8, metavar="N", help="queries; default: 8")
    making(preview)

    run = verb("run", "sample, label, screen, answer and score, resuming what is there")
    run.add_argument("recipe", metavar="RECIPE")
    run.add_argument("--out", metavar="RUN", help="the run's folder; default: the recipe's name")
    run.add_argument("--until", default="annotate", metavar="STAGE", help="stop after this stage")
    making(run)

    status = verb("status", "how far a run is")
    status.add_argument("run", metavar="RUN")

    build = verb("build", "validate a run and write a release with its configs and card")
    build.add_argument("run", metavar="RUN")
    build.add_argument(
        "--version", required=True, dest="release_version", metavar="X.Y.Z", help="of the release"
    )

    push = verb("push", "put a release on the Hub as one commit and one tag")
    push.add_argument("release", metavar="RELEASE", help="a release folder")
    push.add_argument("repo", metavar="ORG/NAME")
    push.add_argument("--dry-run", action="store_true", help="ask the Hub, change nothing")
    push.add_argument(
        "--private", action="store_true", help="if the dataset is created, make it so"
    )
    push.add_argument("--create-pr", action="store_true", help="as a pull request, without a tag")
    return parser


def _demo(options: argparse.Namespace) -> object:
    from importlib import resources

    from magpie_hub.recipe import Recipe
    from magpie_hub.terminal import show_release

    text = (resources.files("magpie_hub.recipes") / "demo.yaml").read_text(encoding="utf-8")
    overrides = [*options.set, *([f"rows={options.rows}"] if options.rows else [])]
    recipe = Recipe.parse(text, name="demo.yaml", overrides=overrides)
    run = _advance(recipe, Path(options.out), options)
    release = _demo_release(run)
    show_release(_console(), release)
    return {"run": str(run.path), "release": str(release.path), "configs": _rows(release)}


def _demo_release(run: Run) -> Release:
    """The release of the run as it stands: the one that is there, or the next version."""
    from magpie_hub.release import MANIFEST, Release

    for minor in count():
        version = f"1.{minor}.0"
        folder = _release_folder(run, version)
        if not (folder / MANIFEST).is_file():
            return _build_release(run, version)
        if (folder / "recipe.yaml").read_text(encoding="utf-8") == run.recipe.to_yaml():
            return Release.open(folder)
    raise AssertionError("versions do not end")


def _probe(options: argparse.Namespace) -> object:
    from magpie_hub.probe import probe
    from magpie_hub.terminal import reporter

    found = probe(
        options.model,
        options.n,
        options.engine,
        revision=options.revision,
        temperature=options.temperature,
        top_p=options.top_p,
        system=options.system,
        judge=options.judge,
    )
    say = reporter(_console())
    for line in found.lines():
        say(line)
    if not found.usable:
        if options.json:
            _print_json(found.model_dump())
        raise EngineError(f"{options.model} is not usable as a source as it was probed.")
    return found.model_dump()


def _preview(options: argparse.Namespace) -> object:
    import tempfile

    from magpie_hub.pool import RunPool, rejections
    from magpie_hub.recipe import Recipe
    from magpie_hub.terminal import show_preview

    if options.n < 1:
        raise UsageError(f"-n {options.n}: a preview needs at least one row.")
    overrides = [*options.set, f"rows={options.n}", f"shard_rows={options.n}"]
    recipe = Recipe.load(options.recipe, overrides=overrides)
    with tempfile.TemporaryDirectory(prefix="magpie-hub-preview-") as folder:
        run = _advance(recipe, Path(folder) / "run", options)
        tables = list(RunPool(run).shards())
        rejected = rejections(run)
    show_preview(_console(), tables, rejected, asked=options.n)
    return {"rows": [row for table in tables for row in table.to_pylist()], "rejected": rejected}


def _run(options: argparse.Namespace) -> object:
    from magpie_hub.recipe import Recipe
    from magpie_hub.status import status
    from magpie_hub.terminal import show_status

    recipe = Recipe.load(options.recipe, overrides=options.set)
    run = _advance(recipe, Path(options.out or recipe.name), options)
    now = status(run)
    show_status(_console(), now)
    return now.model_dump()


def _status(options: argparse.Namespace) -> object:
    from magpie_hub.run import Run
    from magpie_hub.status import status
    from magpie_hub.terminal import show_status

    now = status(Run.open(options.run))
    show_status(_console(), now)
    return now.model_dump()


def _build(options: argparse.Namespace) -> object:
    from magpie_hub.run import Run
    from magpie_hub.terminal import show_release

    release = _build_release(Run.open(options.run), options.release_version)
    show_release(_console(), release)
    return {"release": str(release.path), "configs": _rows(release)}


def _push(options: argparse.Namespace) -> object:
    from magpie_hub import hub
    from magpie_hub.release import Release
    from magpie_hub.terminal import reporter, show_push

    result = hub.push(
        Release.open(options.release),
        options.repo,
        private=options.private,
        create_pr=options.create_pr,
        dry_run=options.dry_run,
        report=reporter(_console()),
    )
    show_push(_console(), result)
    return result.to_dict()


def _console() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def _advance(recipe: Recipe, out: Path, options: argparse.Namespace) -> Run:
    from magpie_hub import pipeline
    from magpie_hub.terminal import Watch

    with Watch(_console(), recipe.name) as progress:
        return pipeline.run(
            recipe,
            out,
            engine=options.engine,
            until=getattr(options, "until", "annotate"),
            progress=progress,
        )


def _release_folder(run: Run, version: str) -> Path:
    return run.path / "releases" / version


def _build_release(run: Run, version: str) -> Release:
    from magpie_hub.builder import build
    from magpie_hub.pool import RunPool
    from magpie_hub.run import locked
    from magpie_hub.terminal import reporter

    folder = _release_folder(run, version)
    report = reporter(_console())
    with locked(run.path):
        return build(RunPool(run), version, folder, kind=run.recipe.builder, report=report)


def _rows(release: Release) -> dict[str, int]:
    return {name: config.rows for name, config in release.manifest.configs.items()}
