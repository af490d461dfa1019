"""Rows taken down: the next version without them, pushed, and what still has them said plainly.

A commit cannot take anything out of the commits before it, so the rows stay where they were
released; see `docs/releases.md` for what removing them there takes.
"""

from __future__ import annotations

import json
import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.filesize import decimal

from magpie_hub import hub
from magpie_hub.building import reduced
from magpie_hub.building.reduced import Loss
from magpie_hub.errors import HubError, InvalidData, UsageError
from magpie_hub.hub.client import Report, connect, patiently
from magpie_hub.hub.reading import published_files
from magpie_hub.hub.versions import check_name, check_version, commit_of, manifest_file, no_manifest
from magpie_hub.hub.versions import tags as versions_there
from magpie_hub.release import MANIFEST, Release, numbers, withdrawn
from magpie_hub.release.withdrawn import Withdrawal, named
from magpie_hub.visible import one_line

if TYPE_CHECKING:
    from huggingface_hub import HfApi

WIDTH = 80


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A version that has the rows still; not ``sure``: the file that they stood in is another one
    there, so that it may have some of them."""

    version: str
    commit: str
    sure: bool


@dataclass(frozen=True, kw_only=True)
class WithdrawalResult:
    """``ids`` are those taken down now, ``before`` those that were so already, and ``unknown``
    stand in no row of ``since``, the newest release; ``rows`` are those that each config loses.
    ``release`` is the folder, and ``commit`` that of the version, where it is pushed."""

    repo_id: str
    version: str
    since: str
    ids: tuple[str, ...]
    before: tuple[str, ...]
    unknown: tuple[str, ...]
    rows: Mapping[str, int]
    files: int
    held_by: tuple[Holder, ...]
    release: str | None
    commit: str | None
    already: bool
    dry_run: bool

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """For people, at most 80 columns wide where no name is longer."""
        for line in self._sentences():
            indent = " " * (2 + len(line) - len(line.lstrip()))
            yield from textwrap.wrap(
                line,
                WIDTH,
                subsequent_indent=indent,
                break_long_words=False,
                break_on_hyphens=False,
            )

    def _sentences(self) -> Iterator[str]:
        tag = f"v{self.version} of {self.repo_id}"
        if self.already:
            yield f"{len(self.before):,} of these ids are withdrawn already; {tag} is without them."
        else:
            verb = "would be" if self.dry_run else "are"
            yield f"Rows that {verb} gone from {tag}: {len(self.ids):,} ({named(self.ids)})."
            lost = ", ".join(f"{name} {count:,}" for name, count in self.rows.items())
            yield f"Rows by config: {lost}; data files written anew: {self.files:,}."
            if self.before:
                yield f"Withdrawn before: {len(self.before):,}."
        if self.unknown:
            yield f"In no row of v{self.since}, so left alone: {named(self.unknown)}."
        if self.release:
            yield f"The release is {self.release}."
        yield "What still has these rows, as a new version changes nothing in the old ones:"
        for each in self.held_by:
            has = "has them" if each.sure else "may have some of them"
            yield f"  v{each.version} (commit {each.commit[:8]}) {has}"
        yield f"  every commit of main before v{self.version}, other branches and pull requests"
        yield "  the Hub's own Parquet copy (refs/convert/parquet), until it is made anew"
        yield "  caches and copies of all who loaded them, yours too"
        yield (
            "To remove them there as well: delete those tags and branches, squash main, tag it "
            "anew, and ask the Hub to delete what it stores. This command does none of that; "
            "docs/releases.md has the steps."
        )
        if self.dry_run:
            yield "This was a dry run: nothing was written, and nothing was pushed."


def read_ids(file: Path, reason: str) -> dict[str, str]:
    """The ids of ``file``, each with why it goes: one id a line, or JSON with `id` and, where it is
    not the common one, `reason`. ``UsageError`` names a bad line."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read as text: {error}.") from error
    found: dict[str, str] = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line:
            continue
        given: Any = {"id": line}
        if line.startswith("{"):
            given = None
            with suppress(ValueError):
                given = json.loads(line)
        if not isinstance(given, dict) or not isinstance(given.get("id"), str):
            raise UsageError(f"{file}, line {number}: write an id alone, or JSON with an `id`.")
        found[given["id"]] = one_line(str(given.get("reason") or reason))
    if not found:
        raise UsageError(f"{file} holds no id; write one a line.")
    if any(not each for each in found.values()):
        raise UsageError("say why the rows go with --reason; it is published with their ids.")
    return found


def withdraw(
    repo_id: str,
    ids: Mapping[str, str],
    releases: Path,
    *,
    version: str | None = None,
    sampled: str | None = None,
    dry_run: bool = False,
    token: str | None = None,
    report: Report,
) -> WithdrawalResult:
    """Take the rows of ``ids``, each with its reason, out of the newest release: the next version,
    in the folder ``releases``, is pushed as one commit and one tag. Run again after anything, it
    goes on. ``sampled``: the fingerprint of the sampling that the release must come from.

    ``UsageError`` where no id is known, the folder is another release's or the version is too low,
    ``InvalidData`` where a split would be empty, ``HubError`` where the Hub refuses or what it
    serves is damaged."""
    check_name(repo_id)
    if version is not None:
        check_version(version)
    with tempfile.TemporaryDirectory(prefix="magpie-hub-withdraw-") as folder:
        history = Path(folder, "history")
        with connect(repo_id, token, reading=True) as (api, _):
            known = patiently(lambda: versions_there(api, repo_id), report)
            newest = _fetch(api, repo_id, known, Path(folder, "newest"), report)
            for each, commit in known.items():
                manifest_file(api, repo_id, commit, history / each)
        if sampled is not None and sampled not in newest.manifest.fingerprints.values():
            raise UsageError(
                f"{releases} belongs to a run that did not sample the rows of {repo_id}; name the "
                "run that it was built from, or --out DIR."
            )
        down = withdrawn.read(newest)
        before = tuple(sorted(ids.keys() & down.keys()))
        lost = reduced.loss(newest, ids.keys() - down.keys())
        unknown = tuple(sorted(ids.keys() - down.keys() - lost.ids))
        if not lost.ids and not before:
            raise UsageError(
                f"none of the {len(ids):,} ids stands in v{newest.version} of {repo_id}: "
                f"{named(unknown)}; they are those of the column `id`."
            )
        said = WithdrawalResult(
            repo_id=repo_id,
            version=_next(newest.version, version) if lost.ids else newest.version,
            since=newest.version,
            ids=tuple(sorted(lost.ids)),
            before=before,
            unknown=unknown,
            rows=lost.rows,
            files=len(lost.files),
            held_by=tuple(_holders(history, known, newest, lost, down, before)),
            release=None,
            commit=None if lost.ids else known[newest.version],
            already=not lost.ids,
            dry_run=dry_run,
        )
        out = releases / said.version
        if dry_run:
            return said
        if lost.ids:
            release = _made(out, newest, lost, down, ids, history, report)
        elif (out / MANIFEST).is_file():
            release = Release.open(out)  # of a push that did not come to its end
        else:
            return said
    pushed = hub.push(release, repo_id, token=token, report=report)
    found = asdict(said) | {"held_by": said.held_by}
    return WithdrawalResult(**found | {"release": str(release.path), "commit": pushed.commit})


def _fetch(
    api: HfApi, repo_id: str, known: Mapping[str, str], folder: Path, report: Report
) -> Release:
    """A copy of the newest release, past every cache, without what is made anew; its checksums are
    those of its manifest."""
    commit = commit_of(known, repo_id, None)
    version = [*known][-1]
    if manifest_file(api, repo_id, commit, folder) is None:
        raise no_manifest(repo_id, version)
    release = Release.open(folder)
    published_files(release, repo_id)
    files = {n: entry for n, entry in release.manifest.files.items() if not reduced.anew(n)}
    size = sum(entry.size for entry in files.values())
    report(f"Fetching v{version} of {repo_id}: {len(files)} files, {decimal(size)}.")
    api.snapshot_download(
        repo_id,
        repo_type="dataset",
        revision=commit,
        allow_patterns=list(files),
        local_dir=folder,
    )
    release = Release(folder, release.manifest.model_copy(update={"files": files}))
    try:
        release.check()
    except InvalidData as error:
        raise HubError(
            f"v{version} of {repo_id} is not what was released, so nothing is built from it; "
            f"`magpie-hub verify {repo_id} --version {version}` says what differs."
        ) from error
    return release


def _next(newest: str, version: str | None) -> str:
    """Other rows ask for another Y, as in ``changes``."""
    major, minor, _ = numbers(newest)
    lowest = f"{major}.{minor + 1}.0"
    if version is not None and numbers(version) < numbers(lowest):
        raise UsageError(
            f"the version {version} is too low: rows go since {newest}, so it must be {lowest} or "
            "higher."
        )
    return version or lowest


def _made(
    out: Path,
    newest: Release,
    lost: Loss,
    down: Mapping[str, Withdrawal],
    ids: Mapping[str, str],
    history: Path,
    report: Report,
) -> Release:
    """The release ``out``; one that an earlier try made is taken as it is."""
    withdrawals = dict(down)
    for each in sorted(lost.ids):
        withdrawals[each] = Withdrawal(id=each, reason=ids[each], version=out.name)
    if (out / MANIFEST).is_file():
        release = Release.open(out)
        since = release.manifest.since
        same = since is not None and since.version == newest.version
        if not same or withdrawn.read(release) != withdrawals:
            raise UsageError(
                f"{out} is another release already; name another --version, or another folder "
                "with --out."
            )
        report(f"{out} was made by an earlier try.")
        return release
    report(f"Writing {out}: data files made anew: {len(lost.files)}; the others stay as they are.")
    return reduced.reduce(newest, lost, withdrawals, out.name, out, releases=history, report=report)


def _holders(
    history: Path,
    known: Mapping[str, str],
    newest: Release,
    lost: Loss,
    down: Mapping[str, Withdrawal],
    before: tuple[str, ...],
) -> Iterator[Holder]:
    """The versions with a file that rows are taken from now, and those released before rows were
    withdrawn."""
    first = min((numbers(down[each].version) for each in before), default=None)
    theirs = {newest.manifest.files[name].sha256 for name in lost.files}
    for version, commit in known.items():
        older = first is not None and numbers(version) < first
        if not lost.ids and not older:
            continue
        there: set[str] = set()
        with suppress(UsageError, InvalidData):
            files = Release.open(history / version).manifest.files
            there = {each.sha256 for each in files.values()}
        sure = version == newest.version if lost.ids else False
        yield Holder(version=version, commit=commit, sure=sure or bool(there & theirs))
