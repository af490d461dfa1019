"""The rows of a config in two releases, matched by id.

Files that are the same in both hold the same rows and are not read. Of the others the ids come
first and then one column after the other, each value as 64 bits, so a row takes some eighty bytes
of memory however long its text is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from magpie_hub.errors import InvalidData
from magpie_hub.release import Release


class Moved(BaseModel):
    """Rows that stood in the split ``before`` and stand in ``after``."""

    model_config = ConfigDict(frozen=True)

    before: str
    after: str
    rows: int


class RowChanges(BaseModel):
    """``before`` and ``after`` count all rows; ``changed`` those in both with another value
    somewhere, and ``columns`` those with one in each column, the most frequent first."""

    model_config = ConfigDict(frozen=True)

    before: int
    after: int
    added: int
    removed: int
    changed: int = 0
    columns: dict[str, int] = {}
    moved: tuple[Moved, ...] = ()

    @property
    def same(self) -> bool:
        return not (self.added or self.removed or self.changed or self.moved)


@dataclass(frozen=True)
class Part:
    """One file of a config."""

    split: str
    path: Path
    sha256: str


def parts(release: Release, config: str) -> list[Part]:
    """The files of ``config``. ``InvalidData`` where the manifest does not list one of them."""
    listed = release.manifest.files
    found = []
    for split, entry in release.manifest.configs[config].splits.items():
        for name in entry.files:
            if name not in listed:
                raise InvalidData(
                    f"{release.path}: its manifest does not list {name!r}; build again."
                )
            found.append(Part(split, release.path / name, listed[name].sha256))
    return found


def compare(old: Sequence[Part], new: Sequence[Part], columns: Sequence[str]) -> RowChanges:
    """By the values of ``columns``, which both have in the same types.

    ``InvalidData`` where a file cannot be read, or an id stands twice."""
    here, there = ({part.sha256: part for part in side} for side in (old, new))
    moved: Counter[tuple[str, str]] = Counter()
    for key in here.keys() & there.keys():
        moved[here[key].split, there[key].split] += _count(here[key])
    same = sum(moved.values())
    old = [part for part in old if part.sha256 not in there]
    new = [part for part in new if part.sha256 not in here]
    old_ids, new_ids = _ids(old), _ids(new)
    common, *at = np.intersect1d(old_ids, new_ids, assume_unique=True, return_indices=True)
    changed = np.zeros(len(common), dtype=bool)
    counts: Counter[str] = Counter()
    if len(common):
        moved += _moves(old, new, at)
        for name in columns:
            differs = _hashes(old, name)[at[0]] != _hashes(new, name)[at[1]]
            counts[name] = int(differs.sum())
            changed |= differs
    return RowChanges(
        before=same + len(old_ids),
        after=same + len(new_ids),
        added=len(new_ids) - len(common),
        removed=len(old_ids) - len(common),
        changed=int(changed.sum()),
        columns={name: rows for name, rows in counts.most_common() if rows},
        moved=tuple(
            Moved(before=a, after=b, rows=rows) for (a, b), rows in moved.most_common() if a != b
        ),
    )


def labels(side: Sequence[Part], columns: Sequence[str]) -> dict[str, Counter[str]]:
    """For each of ``columns`` how many rows have each label; those without one are left out."""
    found: dict[str, Counter[str]] = {name: Counter() for name in columns}
    for part in side:
        for table in _groups(part, columns):
            for name in columns:
                counts = pl.Series(name, table[name]).drop_nulls().cast(pl.String).value_counts()
                found[name].update(dict(counts.iter_rows()))
    return found


def _ids(side: Sequence[Part]) -> np.ndarray:
    ids = _hashes(side, "id")
    if len(np.unique(ids)) < len(ids):
        raise InvalidData(f"{side[0].path.parent} has an id twice; without it rows have no match.")
    return ids


def _moves(
    old: Sequence[Part], new: Sequence[Part], at: Sequence[np.ndarray]
) -> Counter[tuple[str, str]]:
    """The splits of the rows at these places before and after."""
    names = sorted({part.split for part in (*old, *new)})
    before, after = (
        np.repeat([names.index(part.split) for part in side], [_count(part) for part in side])[rows]
        for side, rows in zip((old, new), at, strict=True)
    )
    counts = np.bincount(before * len(names) + after).tolist()
    return Counter(
        {(names[pair // len(names)], names[pair % len(names)]): n for pair, n in enumerate(counts)}
    )


def _hashes(side: Sequence[Part], column: str) -> np.ndarray:
    """64 bits of each row's value."""
    found = [
        pl.Series(table[column]).hash().to_numpy()
        for part in side
        for table in _groups(part, [column])
    ]
    return np.concatenate(found) if found else np.empty(0, np.uint64)


def _count(part: Part) -> int:
    with _open(part) as file:
        return int(file.metadata.num_rows)


def _groups(part: Part, columns: Sequence[str]) -> Iterator[pa.Table]:
    """These columns, a row group each."""
    with _open(part) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=list(columns)).select(list(columns))


@contextmanager
def _open(part: Part) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(part.path) as file:
            yield file
    except (OSError, pa.ArrowException, KeyError) as error:
        raise InvalidData(f"{part.path} cannot be read; fetch or build it again.") from error
