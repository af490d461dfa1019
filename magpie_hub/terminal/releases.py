"""Releases: what is in one, what changed, what came to the Hub, and what a reader gets of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.filesize import decimal
from rich.text import Text

from magpie_hub.changes import Changes, plain
from magpie_hub.hub import PushResult
from magpie_hub.hub.verification import Verification
from magpie_hub.hub.versions import Released
from magpie_hub.release import Release
from magpie_hub.terminal import counts, reporter, show_facts, show_table, tell
from magpie_hub.visible import one_line


def show_release(console: Console, release: Release) -> None:
    """Where a release is, what is in it, and how to load it."""
    manifest = release.manifest
    rejected = sum(manifest.rejected.values())
    size = sum(entry.size for entry in manifest.files.values())
    console.print()
    tell(
        console,
        f"{manifest.name} {manifest.version}: {manifest.slots:,} queries sampled, "
        f"{rejected:,} turned away, {len(manifest.files) + 1} files, {decimal(size)}",
    )
    rows = [
        (
            f"{name} (default)" if config.default else name,
            f"{config.rows:,}",
            config.where or config.description or "no filter",
        )
        for name, config in manifest.configs.items()
    ]
    show_table(console, ("config", "rows", "filter"), rows, words=("filter",))
    _next(
        console,
        {
            "the release": str(release.path),
            "its card": str(release.path / "README.md"),
            "look inside": f"magpie-hub report {release.path}",
            "load it": f'load_dataset("{release.path}", "{next(iter(manifest.configs))}")',
            "publish it": f"magpie-hub push {release.path} ORG/NAME",
        },
    )


def show_changes(console: Console, changes: Changes) -> None:
    """Line by line, each topic named once; then the files and the version."""
    files = changes.files
    lines = [(each.topic, each.text) for each in changes.statements]
    if not lines and changes.level is None:
        lines = [("files", "the two releases are the same, file by file")]
    else:
        lines = lines or [("rows", "the data is the same; only words about it differ")]
        uploaded = f"{files.new:,} new, {decimal(files.new_bytes)} to upload at most"
        kept = f"{files.same:,} the same, {decimal(files.same_bytes)}"
        lines += [
            ("files", f"{uploaded}; {kept}; {files.gone:,} gone"),
            ("version", f"{changes.suggested} or higher: a {changes.level} step"),
        ]
    console.print(Text(f"{plain(changes.old)} to {plain(changes.new)}", style="bold"))
    show_facts(console, lines)


def show_push(console: Console, result: PushResult) -> None:
    """What is on the Hub now, or would be, and what to do next."""
    sent = f"{result.uploaded_files:,} files, {decimal(result.uploaded_bytes)}"
    name = f"{result.repo_id} v{result.version}"
    if result.dry_run:
        held = "there already, as it is here" if result.already else f"to upload: {sent}"
        facts = {"dry run": f"{name}: {held}; nothing was changed", "its place": result.url}
    elif result.tag is None:
        facts = {
            "pull request": f"{name}: {sent} uploaded; merge it, and push again for the tag",
            "its place": result.url,
        }
    else:
        what = "was there already, as it is here" if result.already else f"{sent} uploaded"
        facts = {
            "released": f"{name}: {what}",
            "commit": f"{(result.commit or '')[:8]}, tag {result.tag}",
            "its place": result.url,
            "check it": f"magpie-hub verify {result.repo_id} --version {result.version}",
        }
    _next(console, facts)


def show_releases(console: Console, repo_id: str, releases: Sequence[Released]) -> None:
    """The newest first."""
    rows = [
        (
            each.version,
            (each.date or "")[:10],
            each.commit[:8],
            "its manifest cannot be read by this version of magpie-hub"
            if each.rows is None
            else counts(each.rows),
        )
        for each in reversed(releases)
    ]
    console.print(Text(one_line(repo_id), style="bold"))
    show_table(console, ("version", "date", "commit", "rows"), rows, words=("rows",))


def show_verification(console: Console, found: Verification) -> None:
    """What each step came to. The first fault is the command's error, so it is not told here."""
    wrong = {each.key for each in found.faults}
    rows = {name: sum(each.values()) for name, each in found.rows.items()}
    files = f"{found.files} that the manifest names, {decimal(found.bytes)}"
    card = f"README.md and the manifest {'differ' if 'card' in wrong else 'agree'}"
    steps = {
        "files": f"{files}: {'not all are what was released' if 'files' in wrong else 'all agree'}",
        "card": card
        + ("; the card carries edits by people outside our part" if found.card_edited else ""),
        "load": f"{counts(rows) or 'no config'} loaded afresh, {found.ids} ids compared"
        + (": not what was released" if "load" in wrong else ""),
    }
    show_facts(console, list(steps.items()))
    for fault in found.faults[1:]:
        tell(console, f"also ({fault.key}): {fault.sentence}")
    for remark in found.remarks:
        tell(console, f"note: {remark}")
    if others := [name for name in found.unnamed if name != ".gitattributes"]:
        tell(console, f"note: files that are not of the release: {', '.join(others)}")
    if not found.faults:
        tell(console, f"{found.repo_id} v{found.version} is what was released.")


def _next(console: Console, facts: Mapping[str, str]) -> None:
    """Paths and commands, each on one line however long, so that it can be copied."""
    report, name = reporter(console), max(map(len, facts))
    for key, text in facts.items():
        report(f"{key:{name}}  {text}")
