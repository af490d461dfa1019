"""A release again, without some of its rows: a folder with all that a build would write, made from
the release alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import magpie_hub
from magpie_hub import changes, plots
from magpie_hub.building import croissant
from magpie_hub.building.folder import appearing, describe, files
from magpie_hub.building.parquet import ConfigWriter
from magpie_hub.building.plugins import builder_class
from magpie_hub.errors import InvalidData, RecipeError
from magpie_hub.release import (
    ClauseCount,
    ConfigEntry,
    Release,
    Since,
    SplitEntry,
    withdrawn,
)
from magpie_hub.release.withdrawn import Withdrawal, Withdrawals
from magpie_hub.rows.cuts import Cut, Decided
from magpie_hub.rows.splits import TRAIN
from magpie_hub.validation.files import check_counts

_ANEW = ("README.md", "CHANGELOG.md", croissant.FILE)


@dataclass(frozen=True)
class Loss:
    """What a release loses: which ``ids``, how many ``rows`` of each config, and in which
    ``files`` they stand."""

    ids: frozenset[str]
    rows: Mapping[str, int]
    files: frozenset[str]


def anew(name: str) -> bool:
    """Whether this file of a release is written anew without a look at the old one."""
    return name in _ANEW or name.startswith(f"{plots.ASSETS}/")


def loss(release: Release, ids: Collection[str]) -> Loss:
    """What ``release`` has of ``ids``; only the ids of its files are read. ``InvalidData`` where a
    split would have no row left."""
    out = pa.array(sorted(ids), pa.string())
    found: set[str] = set()
    rows: dict[str, int] = {}
    touched: set[str] = set()
    left: dict[tuple[str, str], int] = {}
    for config, split, file in withdrawn.files(release):
        there = withdrawn.read_ids(release.path / file)
        gone = there.filter(pc.is_in(there, out))
        left[config, split] = left.get((config, split), 0) + len(there) - len(gone)
        if len(gone):
            found.update(gone.to_pylist())
            touched.add(file)
            rows[config] = rows.get(config, 0) + len(gone)
    if empty := [place for place, count in left.items() if not count]:
        config, split = empty[0]
        raise InvalidData(
            f"without these rows the split {split} of {config} is empty; build a release whose "
            "recipe has no such config, and push that."
        )
    return Loss(frozenset(found), rows, frozenset(touched))


def reduce(
    release: Release,
    lost: Loss,
    withdrawals: Withdrawals,
    version: str,
    out: Path,
    *,
    releases: Path,
    report: Callable[[str], None],
) -> Release:
    """Write the release ``out`` of this ``version``: ``release`` without what is ``lost``, with all
    ``withdrawals`` so far. A file that loses nothing is copied byte for byte; ``releases`` has the
    manifests of earlier versions, for the changelog.

    ``StorageError`` where the disk refuses."""
    before = release.manifest
    with appearing(out) as folder:
        for name in before.files:
            if not (anew(name) or name.startswith("data/") or name == withdrawn.FILE):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(release.path / name, folder / name)
        manifest = before.model_copy(
            update={
                "version": version,
                "generator": f"magpie-hub {magpie_hub.__version__}",
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "configs": {
                    name: _config(release, name, entry, lost, version, folder)
                    for name, entry in before.configs.items()
                },
                "rejected": before.rejected
                | {withdrawn.REASON: before.rejected.get(withdrawn.REASON, 0) + len(lost.ids)},
                "files": files(folder),
            }
        )
        found = changes.diff(release, Release(folder, manifest))
        reasons = [each for each in withdrawals.values() if each.id in lost.ids]
        said = (*told(reasons), *(each.text for each in found.statements))
        since = Since(version=before.version, changes=said)
        describe(
            folder,
            manifest.model_copy(update={"since": since}),
            texts={withdrawn.FILE: withdrawn.text(withdrawals)},
            template=_template(before.builder),
            releases=releases,
            report=report,
        )
        check_counts(Release.open(folder))
    return Release.open(out)


def told(withdrawals: Collection[Withdrawal]) -> tuple[str, ...]:
    """How many rows went for each reason."""
    counts: dict[str, int] = {}
    for each in withdrawals:
        counts[each.reason] = counts.get(each.reason, 0) + 1
    return tuple(
        f"withdrawn, {count:,} {'row' if count == 1 else 'rows'}: {changes.plain(reason)}"
        for reason, count in counts.items()
    )


def _config(
    release: Release, name: str, entry: ConfigEntry, lost: Loss, version: str, folder: Path
) -> ConfigEntry:
    splits = {
        split: _split(release, (name, split), part, lost, folder)
        for split, part in entry.splits.items()
    }
    funnel = entry.funnel
    if name in lost.rows:
        rows = sum(part.rows for part in splits.values())
        clause = ClauseCount(clause=f"withdrawn in {version}", before=entry.rows, kept=rows)
        funnel = (*funnel, clause)
    return entry.model_copy(update={"splits": splits, "funnel": funnel})


def _split(
    release: Release, place: tuple[str, str], entry: SplitEntry, lost: Loss, folder: Path
) -> SplitEntry:
    """Its files under ``folder``. The bytes in memory are counted by what goes, so that a file
    which stays need not be read."""
    home = folder / "data" / place[0]
    home.mkdir(parents=True, exist_ok=True)
    rows, size = entry.rows, entry.num_bytes
    parts: list[Path] = []
    for file in entry.files:
        if file not in lost.files:
            parts.append(home / f"{place[1]}-{len(parts):05d}.part")
            shutil.copyfile(release.path / file, parts[-1])
            continue
        table = pq.ParquetFile(release.path / file).read()
        out = pc.is_in(table["id"], pa.array(sorted(lost.ids), pa.string()))
        gone = table.filter(out)
        rows, size = rows - gone.num_rows, size - gone.nbytes
        for made in _written(table.filter(pc.invert(out)), folder / ".rest"):
            parts.append(home / f"{place[1]}-{len(parts):05d}.part")
            made.rename(parts[-1])
        shutil.rmtree(folder / ".rest", ignore_errors=True)
    names = []
    for number, part in enumerate(parts):
        final = part.with_name(f"{place[1]}-{number:05d}-of-{len(parts):05d}.parquet")
        part.rename(final)
        names.append(final.relative_to(folder).as_posix())
    return SplitEntry(rows=rows, num_bytes=max(size, 0), files=tuple(names))


def _written(table: pa.Table, folder: Path) -> list[Path]:
    """The file of ``table`` as a build writes it; none where it is empty."""
    if not table.num_rows:
        return []
    decided = Decided(Cut("rest", tuple(table.column_names)))
    # An end that is never reached: one file stays one.
    writer = ConfigWriter(folder, table.schema, decided, {("rest", TRAIN): (table.num_rows + 1,)})
    writer.add(table)
    writer.close()
    return [folder / name for name in writer.splits()[TRAIN].files]


def _template(kind: str) -> str:
    """A kind that is not installed here has the plain card: code from the Hub is not run."""
    try:
        return builder_class(kind).template
    except RecipeError:
        return builder_class("sft").template
