"""What changed from one release to another, and which version that calls for.

A version X.Y.Z says what a reader has to expect: another X, that code which reads the release may
break; another Y, other rows; another Z, other words about the same rows. Below 1.0.0 another Y
stands for both (semver.org, 4).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from magpie_hub import schema
from magpie_hub.changes import manifests, rows
from magpie_hub.changes.manifests import Types
from magpie_hub.changes.result import LEVELS, Changes, LabelShift, Level
from magpie_hub.changes.rows import RowChanges
from magpie_hub.changes.statements import plain, statements
from magpie_hub.errors import UsageError
from magpie_hub.release import MANIFEST, FileEntry, Manifest, Release, file_entry, numbers

__all__ = ["Changes", "diff", "earlier", "enforce", "plain"]

LABELS = (
    *(column.name for column in schema.COLUMNS if column.labels),
    *("language", "safety", "finish_reason", "ended", "response_language", "refusal", "loop"),
)
"""The columns whose shares are compared."""


def diff(old: Release, new: Release) -> Changes:
    """Compare two releases; of their data files, those that the manifests tell apart are read.

    ``InvalidData`` where a file cannot be read, an id stands twice in a config, or a version is
    not X.Y.Z."""
    before, after = old.manifest, new.manifest
    start, _ = numbers(before.version), numbers(after.version)
    both = {
        name: (manifests.types(before, name), manifests.types(after, name))
        for name in after.configs
        if name in before.configs
    }
    files = _files(old), _files(new)
    found = Changes(
        old=before.version,
        new=after.version,
        configs_added=tuple(name for name in after.configs if name not in both),
        configs_removed=tuple(name for name in before.configs if name not in both),
        default=manifests.default(before, after),
        splits=tuple(manifests.splits(before, after)),
        columns=tuple(manifests.columns(both)),
        rows=_rows(old, new, both),
        labels=tuple(sorted(_shifts(old, new, both), key=lambda each: -abs(each.points))),
        filters=tuple(manifests.filters(before, after)),
        producers=tuple(manifests.producers(before, after)),
        made=tuple(manifests.made(before, after)),
        license=manifests.change("release", "license", before.license, after.license),
        evidence=manifests.evidence(before, after),
        files=manifests.files(*files),
    )
    said = tuple(statements(found))
    if not said and files[0] == files[1]:
        return found
    level = LEVELS[max((LEVELS.index(each.level) for each in said), default=0)]
    suggested = _next(start, level)
    return found.model_copy(update={"statements": said, "level": level, "suggested": suggested})


def earlier(releases: Path, manifest: Manifest) -> Release | None:
    """Of the releases of the same kind in ``releases``, the highest below ``manifest``'s."""
    found = {
        numbers(release.version): release
        for release in Release.beside(releases)
        if release.manifest.builder == manifest.builder
    }
    below = [version for version in found if version < numbers(manifest.version)]
    return found[max(below)] if below else None


def enforce(found: Changes) -> None:
    """``UsageError`` where the new version is lower than the changes call for."""
    if found.suggested is None or numbers(found.new) >= numbers(found.suggested):
        return
    first, *others = found.reasons
    more = f" (and {len(others)} more)" if others else ""
    raise UsageError(
        f"the version {found.new} is too low: since {found.old}, {first}{more}; build with "
        f"--version {found.suggested} or higher, or keep yours with --any-version."
    )


def _next(version: tuple[int, int, int], level: Level) -> str:
    major, minor, patch = version
    if level == "patch":
        return f"{major}.{minor}.{patch + 1}"
    return f"{major}.{minor + 1}.0" if level == "minor" or not major else f"{major + 1}.0.0"


def _files(release: Release) -> dict[str, FileEntry]:
    """With the manifest itself, which is not there while a release is built."""
    file = release.path / MANIFEST
    return release.manifest.files | ({MANIFEST: file_entry(file)} if file.is_file() else {})


def _rows(
    old: Release, new: Release, both: Mapping[str, tuple[Types, Types]]
) -> dict[str, RowChanges]:
    found = {}
    for name, config in new.manifest.configs.items():
        if name in both:
            before, after = both[name]
            common = [key for key in after if key != "id" and before.get(key) == after[key]]
            found[name] = rows.compare(rows.parts(old, name), rows.parts(new, name), common)
        else:
            found[name] = RowChanges(before=0, after=config.rows, added=config.rows, removed=0)
    for name, config in old.manifest.configs.items():
        if name not in both:
            found[name] = RowChanges(before=config.rows, after=0, added=0, removed=config.rows)
    return found


def _shifts(
    old: Release, new: Release, both: Mapping[str, tuple[Types, Types]]
) -> Iterator[LabelShift]:
    for name, (before, after) in both.items():
        sides = rows.parts(old, name), rows.parts(new, name)
        if {part.sha256 for part in sides[0]} == {part.sha256 for part in sides[1]}:
            continue
        columns = [key for key in LABELS if key in before and before[key] == after.get(key)]
        counts = [rows.labels(side, columns) for side in sides]
        for column in columns:
            was, now = (side[column] for side in counts)
            for label in sorted({**was, **now}):
                shares = [each[label] / max(each.total(), 1) for each in (was, now)]
                if shares[0] != shares[1]:
                    yield LabelShift(
                        config=name,
                        column=column,
                        label=label,
                        before=shares[0],
                        after=shares[1],
                        points=round(100 * (shares[1] - shares[0]), 4),
                    )
