"""What differs from the release before."""

from __future__ import annotations

from typing import Any

import polars as pl

from magpie_hub import schema
from magpie_hub.changes import earlier
from magpie_hub.release import ConfigEntry, Release
from magpie_hub.report.shown import clean, short

_COMPARED = ("category", "difficulty", "quality", "language")
_TITLES = {name: name.capitalize() for name in _COMPARED}
_SHOWN = 30


def changes(release: Release) -> dict[str, Any] | None:
    """By its manifest, and by the release before it where that stands beside it; None: neither says
    anything."""
    manifest = release.manifest
    before = earlier(release.path.parent, manifest)
    if before is None and manifest.since is None:
        return None
    if before is not None and manifest.since and before.version != manifest.since.version:
        before = None
    old = before.manifest.configs if before else {}
    names = dict.fromkeys([*manifest.configs, *old])
    return {
        "old": manifest.since.version if manifest.since else before.version if before else None,
        "new": manifest.version,
        "lines": [clean(line) for line in manifest.since.changes] if manifest.since else [],
        "configs": [
            {"name": name, "old": _rows(old.get(name)), "new": _rows(manifest.configs.get(name))}
            for name in (names if before else manifest.configs)
        ],
        "shares": _shares(before, release) if before else [],
    }


def _rows(config: ConfigEntry | None) -> int | None:
    return config.rows if config else None


def _shares(old: Release, new: Release) -> list[dict[str, Any]]:
    """Of the rows that have a label, in the config `all` or the default one."""
    counts = [_counts(release) for release in (old, new)]
    found = []
    for name in _COMPARED:
        if not all(name in each for each in counts):
            continue
        both = {**counts[1][name], **counts[0][name]}
        values = sorted(both, key=lambda v: (-both[v], v))[:_SHOWN]
        column = schema.column(name)
        if column.ordered:
            values = [label for label in column.labels if label in both]
        sides = [
            [short(each[name].get(v, 0) / max(sum(each[name].values()), 1)) for v in values]
            for each in counts
        ]
        found.append(
            {
                "name": name,
                "title": _TITLES[name],
                "values": values,
                "old": sides[0],
                "new": sides[1],
            }
        )
    return found


def _counts(release: Release) -> dict[str, dict[str, int]]:
    configs = release.manifest.configs
    config = configs.get("all") or next(each for each in configs.values() if each.default)
    files = [release.path / name for split in config.splits.values() for name in split.files]
    rows = pl.scan_parquet(files, glob=False)
    there = rows.collect_schema().names()
    wanted = [name for name in _COMPARED if name in there]
    if not wanted:
        return {}
    frame = rows.select(wanted).collect()
    return {name: dict(frame[name].drop_nulls().value_counts().iter_rows()) for name in wanted}
