"""What each command does: one function a command, from its options to its result as JSON.

Nothing heavy is imported until a function needs it, so that ``--help`` is immediate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magpie_hub.errors import EngineError, UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from rich.console import Console

    from magpie_hub.claims import Claims
    from magpie_hub.engines import EngineSpec
    from magpie_hub.recipe import Recipe
    from magpie_hub.release import Release
    from magpie_hub.run import Run


def demo(options: Namespace) -> object:
    from importlib import resources

    from magpie_hub.recipe import Recipe
    from magpie_hub.terminal.releases import show_release

    text = (resources.files("magpie_hub.recipes") / "demo.yaml").read_text(encoding="utf-8")
    overrides = [*options.set, *([f"rows={options.rows}"] if options.rows else [])]
    recipe = Recipe.parse(text, name="demo.yaml", overrides=overrides)
    run = _advance(recipe, Path(options.out), options)
    release = _demo_release(run)
    show_release(_console(), release)
    return {"run": str(run.path), **_made(release)}


def _demo_release(run: Run) -> Release:
    """The release of the run as it stands: the one that is there, or the next version."""
    from magpie_hub.models import MEASURED
    from magpie_hub.published import recipe_text
    from magpie_hub.release import MANIFEST, Release

    for minor in count():
        version = f"1.{minor}.0"
        folder = _release_folder(run, version)
        if not (folder / MANIFEST).is_file():
            measured = [MEASURED] if MEASURED.is_dir() else []
            return _build_release([run], version, any_version=True, evidence=measured)
        if (folder / "recipe.yaml").read_text(encoding="utf-8") == recipe_text(run):
            return Release.open(folder)
    raise AssertionError("versions do not end")


def probe(options: Namespace) -> object:
    from magpie_hub.probe import probe
    from magpie_hub.terminal import reporter

    found = probe(
        options.model,
        options.n,
        _engine(options),
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
        error = EngineError(f"{options.model} is not usable as a source as it was probed.")
        error.result = found.model_dump()
        raise error
    return found.model_dump()


def preview(options: Namespace) -> object:
    import tempfile

    from magpie_hub.accounts import estimate
    from magpie_hub.pool import RunPool
    from magpie_hub.recipe import Recipe
    from magpie_hub.rejections import rejections, turned_away
    from magpie_hub.terminal.preview import show_preview
    from magpie_hub.terminal.runs import show_estimate

    if options.n < 1:
        raise UsageError(f"-n {options.n}: a preview needs at least one row.")
    whole = Recipe.load(options.recipe, overrides=options.set)
    overrides = [*options.set, f"rows={options.n}", f"shard_rows={options.n}"]
    recipe = Recipe.load(options.recipe, overrides=overrides)
    with tempfile.TemporaryDirectory(prefix="magpie-hub-preview-") as folder:
        run = _advance(recipe, Path(folder) / "run", options)
        rows = [row for table in RunPool(run).shards() for row in table.to_pylist()]
        away, rejected = turned_away(run, 0), rejections(run)
        cost = estimate(run, whole.rows, kept=len(rows), usd_per_hour=options.usd_per_hour)
    show_preview(_console(), rows, away, rejected, asked=options.n)
    show_estimate(_console(), cost)
    return {
        "rows": rows,
        "turned_away": [asdict(each) for each in away],
        "rejected": rejected,
        "estimate": cost.model_dump(),
    }


def run(options: Namespace) -> object:
    from magpie_hub.recipe import Recipe
    from magpie_hub.status import status
    from magpie_hub.terminal.runs import show_status

    recipe = Recipe.load(options.recipe, overrides=options.set)
    run = _advance(recipe, options.out or recipe.name, options)
    now = status(run)
    show_status(_console(), now)
    if options.shards and not now.finished:
        _console().print("the rest is other parts' work, or needs it: run this part again then.")
    return now.model_dump()


def status(options: Namespace) -> object:
    from magpie_hub.run import Run
    from magpie_hub.status import status
    from magpie_hub.terminal.runs import show_status

    now = status(Run.open(options.run), usd_per_hour=options.usd_per_hour)
    show_status(_console(), now)
    return now.model_dump()


def init(options: Namespace) -> object:
    from magpie_hub.starters import start
    from magpie_hub.terminal import reporter

    files = start(options.name, Path(), builder=options.builder)
    report = reporter(_console())
    for file in files:
        report(f"wrote {file}")
    report(f"next: magpie-hub preview {files[0]}")
    return {"files": [str(file) for file in files]}


def build(options: Namespace) -> object:
    from magpie_hub.recipe import Recipe
    from magpie_hub.run import Run
    from magpie_hub.terminal.releases import show_release

    recipe = Recipe.load(options.recipe) if options.recipe else None
    runs = [Run.open(each) for each in options.run]
    release = _build_release(
        runs,
        options.release_version,
        recipe,
        any_version=options.any_version,
        evidence=options.evidence,
    )
    show_release(_console(), release)
    return _made(release)


def export(options: Namespace) -> object:
    from magpie_hub.export import export
    from magpie_hub.release import Release
    from magpie_hub.terminal import reporter

    done = export(
        Release.open(options.release),
        options.config,
        form=options.form,
        split=options.split,
        out=Path(options.out) if options.out else None,
        magpie_columns=options.magpie_columns,
        thinking=options.thinking,
    )
    reporter(_console())(f"{done.rows:,} rows as {options.form}: {done.file}")
    return {"file": str(done.file), "rows": done.rows}


def diff(options: Namespace) -> object:
    from magpie_hub.changes import diff
    from magpie_hub.terminal import reporter
    from magpie_hub.terminal.releases import show_changes
    from magpie_hub.versions import open_release

    report = reporter(_console())
    old, new = (open_release(place, report=report) for place in (options.old, options.new))
    found = diff(old, new)
    show_changes(_console(), found)
    return found.model_dump(mode="json")


def push(options: Namespace) -> object:
    from magpie_hub import hub
    from magpie_hub.release import Release
    from magpie_hub.terminal import reporter
    from magpie_hub.terminal.releases import show_push

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


def verify(options: Namespace) -> object:
    from magpie_hub.terminal import reporter
    from magpie_hub.terminal.releases import show_verification
    from magpie_hub.verification import require, verify

    found = verify(options.repo, options.release_version, report=reporter(_console()))
    show_verification(_console(), found)
    require(found)
    return found.to_dict()


def report(options: Namespace) -> object:
    from rich.filesize import decimal

    from magpie_hub.report import report
    from magpie_hub.terminal import reporter

    say = reporter(_console())
    done = report(options.place, Path(options.out), over=options.over, say=say)
    say(f"{done.rows:,} rows, {decimal(done.size)}, opens from disk: {done.file}")
    return done.to_dict()


def releases(options: Namespace) -> object:
    from magpie_hub.terminal import reporter
    from magpie_hub.terminal.releases import show_releases
    from magpie_hub.versions import releases

    found = releases(options.repo, report=reporter(_console()))
    show_releases(_console(), options.repo, found)
    return [each.to_dict() for each in found]


def compare(options: Namespace) -> object:
    from magpie_hub.evidence.compare import Settings, compare
    from magpie_hub.evidence.compare.page import page
    from magpie_hub.storage import write_atomically
    from magpie_hub.terminal.comparison import show_comparison
    from magpie_hub.terminal.live import Watch

    if options.out and Path(options.out).is_dir():
        raise UsageError(f"-o {options.out} is a folder; name a file.")
    settings = Settings(
        where=options.where,
        rows=options.rows,
        scan=options.scan,
        seed=options.seed,
        tokenizer=options.tokenizer,
        embedder=options.embedder,
        benchmarks=tuple(options.benchmark),
        judge=options.judge,
        passes=options.passes,
        reward=options.reward,
        engine=_engine(options),
    )
    with Watch(_console(), "compare") as progress:
        found = compare(
            options.source,
            settings,
            progress=progress,
            report=progress.note,
            evidence=Path(options.evidence) if options.evidence else None,
        )
    show_comparison(_console(), found)
    if options.out:
        write_atomically(Path(options.out), page(found).encode(), durable=False)
    return found.to_dict()


def train(options: Namespace) -> object:
    from magpie_hub.evidence.train import train
    from magpie_hub.evidence.train.presets import settings
    from magpie_hub.terminal import reporter

    done = train(
        options.source,
        options.base,
        method=options.method,
        settings=settings(options.method, options.preset, options.set, lora=options.lora),
        config=options.config,
        out=options.out,
        chat_template=options.chat_template,
        report=reporter(_console()),
    )
    # Of several processes one tells what they did.
    options.json = options.json and done.first
    return done.to_dict()


def evaluate(options: Namespace) -> object:
    from magpie_hub.evidence.evaluate import Settings, evaluate, truth
    from magpie_hub.terminal.evaluation import show_evaluation
    from magpie_hub.terminal.live import Watch

    settings = Settings(
        against=options.against,
        judge=options.judge,
        second_judge=options.second_judge,
        max_tokens=options.max_tokens,
        repetition_penalty=options.repetition_penalty,
        chat_template=options.chat_template,
        seed=options.seed,
        gamed=options.gamed,
        truth=truth.load(options.truth) if options.truth else None,
        engine=_engine(options),
    )
    with Watch(_console(), "evaluate") as progress:
        found = evaluate(
            options.model, options.prompts, Path(options.out), settings, progress=progress
        )
    show_evaluation(_console(), found)
    return found.to_dict()


def withdraw(options: Namespace) -> object:
    from magpie_hub.locks import locked
    from magpie_hub.run import Run
    from magpie_hub.terminal import reporter
    from magpie_hub.withdrawal import read_ids, withdraw

    report = reporter(_console())
    ids = read_ids(Path(options.ids), options.reason)
    run = Run.open(options.run) if options.run else None
    folder = Path(options.out or f"{options.repo.rpartition('/')[2]}-withdrawn")
    with ExitStack() as locks:
        if run is not None:
            locks.enter_context(locked(run.path))
        found = withdraw(
            options.repo,
            ids,
            folder if run is None else run.path / "releases",
            version=options.release_version,
            sampled=None if run is None else run.stage("sample").fingerprint,
            dry_run=options.dry_run,
            report=report,
        )
    for line in found.lines():
        report(line)
    return found.to_dict()


def _console() -> Console:
    from magpie_hub.terminal import console

    return console()


def _advance(recipe: Recipe, out: str | Path, options: Namespace) -> Run:
    from magpie_hub import pipeline
    from magpie_hub.terminal.live import Watch

    asked = vars(options)
    engine, until = _engine(options), asked.get("until", "annotate")
    with Watch(_console(), recipe.name) as progress:
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
    from magpie_hub.claims import Joined, Part

    if asked.get("join"):
        with Joined(out) as joined:
            yield joined
    else:
        yield Part.parse(asked["shards"]) if asked.get("shards") else None


def _engine(options: Namespace) -> EngineSpec:
    from magpie_hub.runfile import engine_spec

    return engine_spec(options.engine, options.engine_arg, options.run_file)


def _release_folder(run: Run, version: str) -> Path:
    return run.path / "releases" / version


def _build_release(
    runs: Sequence[Run],
    version: str,
    recipe: Recipe | None = None,
    *,
    any_version: bool = False,
    evidence: Sequence[str | Path] = (),
) -> Release:
    """The rows of all ``runs``, in a release of the first of them."""
    from magpie_hub.builder import build, builder_class
    from magpie_hub.locks import locked
    from magpie_hub.pools import open_pool
    from magpie_hub.terminal import reporter

    folder = _release_folder(runs[0], version)
    report = reporter(_console())
    says = recipe or runs[0].recipe
    kind = builder_class(says.builder, says.folder)
    with ExitStack() as locks:
        for path in dict.fromkeys(run.path for run in runs):
            locks.enter_context(locked(path))
        pool = open_pool(runs, recipe=recipe)
        return build(
            pool,
            version,
            folder,
            kind=kind,
            report=report,
            any_version=any_version,
            evidence=evidence,
        )


def _made(release: Release) -> dict[str, Any]:
    """What :func:`show_release` tells, as JSON; ``files`` counts the manifest too."""
    from magpie_hub.evidence.record import of_release

    manifest = release.manifest
    return {
        "release": str(release.path),
        "version": manifest.version,
        "configs": {name: config.rows for name, config in manifest.configs.items()},
        "slots": manifest.slots,
        "rejected": manifest.rejected,
        "evidence": len(of_release(release.path)),
        "files": len(manifest.files) + 1,
        "bytes": sum(entry.size for entry in manifest.files.values()),
    }
