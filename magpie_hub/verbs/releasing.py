"""The verbs from a run to a release, and from there to the Hub."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magpie_hub.verbs.shared import console

if TYPE_CHECKING:
    from argparse import Namespace

    from magpie_hub.recipe import Recipe
    from magpie_hub.release import Release
    from magpie_hub.run import Run


def build(options: Namespace) -> object:
    from magpie_hub.recipe import Recipe
    from magpie_hub.run import Run
    from magpie_hub.terminal.releases import show_release

    recipe = Recipe.load(options.recipe) if options.recipe else None
    runs = [Run.open(each) for each in options.run]
    release = build_release(
        runs,
        options.release_version,
        recipe,
        any_version=options.any_version,
        evidence=options.evidence,
    )
    show_release(console(), release)
    return made(release)


def report(options: Namespace) -> object:
    from rich.filesize import decimal

    from magpie_hub.report import report
    from magpie_hub.terminal import reporter

    say = reporter(console())
    done = report(options.place, Path(options.out), over=options.over, say=say)
    say(f"{done.rows:,} rows, {decimal(done.size)}, opens from disk: {done.file}")
    return done.to_dict()


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
    reporter(console())(f"{done.rows:,} rows as {options.form}: {done.file}")
    return {"file": str(done.file), "rows": done.rows}


def diff(options: Namespace) -> object:
    from magpie_hub.changes import diff
    from magpie_hub.hub.versions import open_release
    from magpie_hub.terminal import reporter
    from magpie_hub.terminal.releases import show_changes

    report = reporter(console())
    old, new = (open_release(place, report=report) for place in (options.old, options.new))
    found = diff(old, new)
    show_changes(console(), found)
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
        report=reporter(console()),
    )
    show_push(console(), result)
    return result.to_dict()


def verify(options: Namespace) -> object:
    from magpie_hub.hub.verification import require, verify
    from magpie_hub.terminal import reporter
    from magpie_hub.terminal.releases import show_verification

    found = verify(options.repo, options.release_version, report=reporter(console()))
    show_verification(console(), found)
    require(found)
    return found.to_dict()


def releases(options: Namespace) -> object:
    from magpie_hub.hub.versions import releases
    from magpie_hub.terminal import reporter
    from magpie_hub.terminal.releases import show_releases

    found = releases(options.repo, report=reporter(console()))
    show_releases(console(), options.repo, found)
    return [each.to_dict() for each in found]


def withdraw(options: Namespace) -> object:
    from magpie_hub.hub.withdrawal import read_ids, withdraw
    from magpie_hub.run import Run
    from magpie_hub.storage.locks import locked
    from magpie_hub.terminal import reporter

    report = reporter(console())
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


def build_release(
    runs: Sequence[Run],
    version: str,
    recipe: Recipe | None = None,
    *,
    any_version: bool = False,
    evidence: Sequence[str | Path] = (),
) -> Release:
    """The rows of all ``runs``, in a release of the first of them."""
    from magpie_hub.builder import build, builder_class
    from magpie_hub.building.pools import open_pool
    from magpie_hub.storage.locks import locked
    from magpie_hub.terminal import reporter

    folder = release_folder(runs[0], version)
    report = reporter(console())
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


def release_folder(run: Run, version: str) -> Path:
    return run.path / "releases" / version


def made(release: Release) -> dict[str, Any]:
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
