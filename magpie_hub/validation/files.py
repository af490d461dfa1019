"""Whether the Parquet files of a release hold what its manifest counts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from magpie_hub.errors import InvalidData
from magpie_hub.release import ConfigEntry, Release

_AGAIN = "build again"


def check_counts(release: Release) -> None:
    """Compare the metadata of each Parquet file with the manifest; nothing else of it is read.

    ``InvalidData`` where a config or a split is empty, where a file is missing, cannot be read, has
    other columns or is named by no config, and where a split's files do not have its rows."""
    named: set[str] = set()
    for name, config in release.manifest.configs.items():
        if not config.rows:
            raise InvalidData(f"{release.path}: the config {name!r} is empty; {_AGAIN}.")
        named |= _check_config(release, name, config)
    there = {path.relative_to(release.path).as_posix() for path in release.path.rglob("*.parquet")}
    if stray := sorted(there - named):
        raise InvalidData(f"{release.path / stray[0]} belongs to no config; {_AGAIN}.")


def _check_config(release: Release, name: str, config: ConfigEntry) -> set[str]:
    named: set[str] = set()
    for split, entry in config.splits.items():
        if not entry.rows:
            raise InvalidData(
                f"{release.path}: the split {split!r} of {name!r} is empty; {_AGAIN}."
            )
        columns = config.columns or [column.name for column in release.manifest.columns]
        rows = sum(_rows(release.path / file, columns) for file in entry.files)
        if rows != entry.rows:
            raise InvalidData(
                f"{release.path}: the files of {name!r}, {split!r}, hold {rows:,} rows and the "
                f"manifest counts {entry.rows:,}; {_AGAIN}."
            )
        named.update(entry.files)
    return named


def _rows(path: Path, columns: Sequence[str]) -> int:
    try:
        parquet = pq.read_metadata(path)
    except FileNotFoundError as error:
        raise InvalidData(f"{path} is missing, but the manifest names it; {_AGAIN}.") from error
    except (pa.ArrowException, OSError) as error:
        raise InvalidData(f"{path} is damaged; {_AGAIN}.") from error
    found = parquet.schema.to_arrow_schema().names
    if found != list(columns):
        differ = sorted(set(found) ^ set(columns)) or ["their order"]
        raise InvalidData(f"{path} has other columns than the manifest: {differ[0]}; {_AGAIN}.")
    rows: int = parquet.num_rows
    return rows
