"""Rows that were taken down, and stay down: ``withdrawn.jsonl`` of a release.

It holds a line for each id, of this version and of all before it. A build leaves those of the
releases beside it out, and a push refuses rows that the repository has withdrawn.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from magpie_hub.errors import InvalidData
from magpie_hub.release import Release

FILE = "withdrawn.jsonl"
REASON = "withdrawn"
"""Under which the manifest counts such rows among those that were turned away."""
SHOWN = 5


@dataclass(frozen=True)
class Withdrawal:
    """``version``: the first one without the row."""

    id: str
    reason: str
    version: str


Withdrawals = Mapping[str, Withdrawal]


def parse(data: str | bytes, where: object) -> dict[str, Withdrawal]:
    """The lines of a file, by id. ``InvalidData`` where one is not as it must be."""
    found = {}
    try:
        text = data if isinstance(data, str) else data.decode()
        for line in text.splitlines():
            each = Withdrawal(**json.loads(line))
            found[each.id] = each
    except (ValueError, TypeError) as error:
        raise InvalidData(
            f"{where}: line {len(found) + 1} of {FILE} is damaged; it must hold id, reason and "
            "version as JSON."
        ) from error
    return found


def text(withdrawals: Withdrawals) -> str:
    lines = (json.dumps(asdict(each), ensure_ascii=False) for each in withdrawals.values())
    return "".join(f"{line}\n" for line in lines)


def read(release: Release) -> dict[str, Withdrawal]:
    """Those of one release; none where it has no such file."""
    file = release.path / FILE
    return parse(file.read_bytes(), release.path) if file.is_file() else {}


def beside(releases: Path) -> dict[str, Withdrawal]:
    """Those of all releases in the folder ``releases``, whatever their kind: rows of one run have
    the same ids in each."""
    found: dict[str, Withdrawal] = {}
    for release in Release.beside(releases):
        found = read(release) | found
    return dict(sorted(found.items()))


def files(release: Release) -> Iterator[tuple[str, str, str]]:
    """Each data file with its config and split."""
    for config, entry in release.manifest.configs.items():
        for split, part in entry.splits.items():
            yield from ((config, split, file) for file in part.files)


def ids(release: Release) -> set[str]:
    """Those of all rows, whatever the config."""
    return {
        each for _, _, file in files(release) for each in read_ids(release.path / file).to_pylist()
    }


def read_ids(file: Path) -> pa.ChunkedArray:
    """Those of one data file. ``InvalidData`` where it cannot be read."""
    try:
        return pq.ParquetFile(file).read(columns=["id"])["id"]
    except (OSError, pa.ArrowException, KeyError) as error:
        raise InvalidData(f"{file} cannot be read for its ids; build again.") from error


def named(some: Collection[str]) -> str:
    """A few of them, and how many more there are."""
    shown = ", ".join(sorted(some)[:SHOWN])
    return f"{shown} and {len(some) - SHOWN:,} more" if len(some) > SHOWN else shown


def refuse(release: Release, data: bytes, repo_id: str) -> None:
    """``InvalidData`` where ``release`` holds rows, or forgets withdrawals, that ``data``, the file
    at the head of the repository, names."""
    there = parse(data, repo_id)
    own = read(release)
    if back := ids(release) & there.keys():
        raise InvalidData(
            f"{release.path} is not pushed: it holds {len(back):,} rows that {repo_id} has "
            f"withdrawn ({named(back)}); build it in a run whose releases/ holds the one that "
            f"withdrew them, v{max(there[each].version for each in back)} on the Hub: a build "
            "leaves them out."
        )
    if own and (lost := there.keys() - own.keys()):
        raise InvalidData(
            f"{release.path} is not pushed: its {FILE} lacks {len(lost):,} ids that {repo_id} has "
            f"withdrawn ({named(lost)}); build it beside the release that withdrew them."
        )
