"""What a release has in common with those beside it: a question that opens a conversation here may
be a single-turn row there, and whoever trains on both meets it twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from magpie_hub.release import Manifest, Release


def remarks(folder: Path, manifest: Manifest, releases: Path) -> Iterator[str]:
    """A sentence for each release in ``releases`` that is of another kind and shares questions with
    the one in ``folder``, where the conversations of one of them go on. Rows of the same run have
    the same ids, so those tell."""
    own: set[str] | None = None
    for other in Release.beside(releases):
        if not _twice(manifest, other.manifest):
            continue
        own = own or _ids(folder, manifest)
        if shared := len(own & _ids(other.path, other.manifest)):
            yield (
                f"{shared:,} of the first questions are also in version {other.version}, of the "
                f"kind {other.manifest.builder}, under the same ids: train on one of the two, or "
                "leave out by id what is in the other."
            )


def _twice(one: Manifest, other: Manifest) -> bool:
    """Two kinds of the same run, one of which has conversations."""
    same = one.fingerprints.get("sample") == other.fingerprints.get("sample")
    goes_on = any(column.name == "ended" for each in (one, other) for column in each.columns)
    return same and goes_on and one.builder != other.builder


def _ids(folder: Path, manifest: Manifest) -> set[str]:
    """Those of all configs."""
    splits = [split for config in manifest.configs.values() for split in config.splits.values()]
    files = [folder / file for split in splits for file in split.files]
    return set(pl.scan_parquet(files, glob=False).select("id").unique().collect()["id"])
