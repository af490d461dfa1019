"""The configs of a release as a reader without a cache loads them: counts, types and a sample of
ids, against the manifest and the files that came."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from magpie_hub.hub.reading import fresh_process
from magpie_hub.release import ConfigEntry, Manifest, file_entry

SAMPLED = 8  # ids of each split beside the first and the last
LOADING = 4 * 3600.0  # seconds for all configs of a release


@dataclass(frozen=True)
class Loaded:
    """``configs``: what was found in each, by split; ``failed``: why the others did not load;
    ``cache``: where the files that came are."""

    cache: Path
    configs: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> dict[str, dict[str, int]]:
        return {
            config: {name: split["rows"] for name, split in splits.items()}
            for config, splits in self.configs.items()
        }

    @property
    def ids(self) -> int:
        """How many were compared."""
        splits = (split for config in self.configs.values() for split in config.values())
        return sum(len(split["ids"]) for split in splits)


def load(repo_id: str, tag: str, manifest: Manifest, home: Path, secret: str) -> Loaded:
    """Every config, in ``home``, a folder to be made. One that fails ends its process, and the
    next goes on behind it."""
    home.mkdir()
    found = Loaded(home / "hf" / "hub")
    wanted = {
        name: {split: _sample(f"{name}/{split}", entry.rows) for split, entry in c.splits.items()}
        for name, c in manifest.configs.items()
    }
    end = time.monotonic() + LOADING
    while wanted:
        child = fresh_process(
            "from magpie_hub.hub import fresh_load; fresh_load.load_all()",
            [repo_id, tag, wanted],
            home=home,
            secret=secret,
            seconds=max(end - time.monotonic(), 1.0),
        )
        for line in child.out.splitlines():
            if line.startswith("{"):
                done = json.loads(line)
                found.configs[done["config"]] = done["splits"]
                del wanted[done["config"]]
        if wanted:
            failed = next(iter(wanted))
            del wanted[failed]
            found.failed[failed] = child.reason or "it ended before it was through"
    return found


def load_all() -> None:
    """What the process does: a line of JSON for each config, to the first that fails."""
    from datasets import load_dataset
    from datasets.exceptions import DatasetGenerationError

    repo_id, tag, wanted = json.load(sys.stdin)
    for config, samples in wanted.items():
        try:
            loaded = load_dataset(repo_id, config, revision=tag)
        except DatasetGenerationError as error:  # it only says that there is a cause
            cause = error.__cause__ or error
            sys.exit(f"{type(cause).__name__}: {' '.join(str(cause).split())}")
        splits = {}
        for name, rows in loaded.items():
            places = [each for each in samples.get(name, ()) if each < len(rows)]
            with_ids = "id" in rows.column_names
            splits[name] = {
                "rows": len(rows),
                "types": {each.name: str(each.type) for each in rows.features.arrow_schema},
                "ids": {each: rows[each]["id"] for each in places} if with_ids else {},
            }
        sys.stdout.write(json.dumps({"config": config, "splits": splits}) + "\n")
        sys.stdout.flush()


def _sample(key: str, rows: int) -> list[int]:
    """The first row, the last, and some between; the same each time."""
    digests = (hashlib.sha256(f"{key} {n}".encode()).digest() for n in range(SAMPLED))
    between = (int.from_bytes(digest[:8], "big") % rows for digest in digests) if rows else ()
    return sorted({0, rows - 1, *between}) if rows else []


def load_faults(
    repo_id: str, version: str, commit: str, manifest: Manifest, loaded: Loaded
) -> Iterator[str]:
    """A sentence for all that is not as it was released."""
    every = {column.name: column.type for column in manifest.columns}
    for name, entry in manifest.configs.items():
        if name in loaded.failed:
            yield (
                f"`datasets` cannot load {name} at v{version} ({loaded.failed[name]}); verify "
                "again, and push a new version if it stays so."
            )
            continue
        splits = loaded.configs[name]
        types = {each: every[each] for each in entry.columns or every}
        for sentence in _split_faults(entry, splits, types):
            yield f"{name} at v{version} {sentence}; push a new version."
        for split, each in entry.splits.items():
            at = _came(repo_id, commit, each.files, manifest, loaded.cache)
            for file in each.files:
                if file not in at:
                    yield (
                        f"{file} came from the Hub with other bytes than v{version} released; "
                        "verify again, and push a new version if it stays so."
                    )
            ids = splits.get(split, {}).get("ids", {})
            if ids and len(at) == len(each.files) and ids != _ids([at[f] for f in each.files], ids):
                yield (
                    f"{name} at v{version} gives other rows in {split} than its files hold; verify "
                    "again, and push a new version if it stays so."
                )


def _came(
    repo_id: str, commit: str, files: tuple[str, ...], manifest: Manifest, cache: Path
) -> dict[str, Path]:
    """Where those of ``files`` are that came as they were released."""
    from huggingface_hub import try_to_load_from_cache

    at: dict[str, Path] = {}
    for file in files:
        found = try_to_load_from_cache(repo_id, file, cache, revision=commit, repo_type="dataset")
        if isinstance(found, str) and file_entry(Path(found)) == manifest.files[file]:
            at[file] = Path(found)
    return at


def _split_faults(
    entry: ConfigEntry, splits: Mapping[str, Any], types: Mapping[str, str]
) -> Iterator[str]:
    if set(splits) != set(entry.splits):
        yield f"has the splits {', '.join(splits)}, but the manifest {', '.join(entry.splits)}"
    for split, each in splits.items():
        if split in entry.splits and each["rows"] != entry.splits[split].rows:
            rows = entry.splits[split].rows
            yield f"has {each['rows']:,} rows in {split}, but the manifest says {rows:,}"
        if each["types"] != types:
            wrong = {**types, **each["types"]}
            name = next(n for n in wrong if each["types"].get(n) != types.get(n))
            here, said = each["types"].get(name, "missing"), types.get(name, "nothing")
            yield f"has the column {name} as {here}, but the manifest says {said}"


def _ids(files: list[Path], wanted: Mapping[str, str]) -> dict[str, str]:
    """The ids of the Parquet files at the places that are asked for."""
    import pyarrow.parquet as pq

    found: dict[str, str] = {}
    start = 0
    for file in files:
        ids = pq.read_table(file, columns=["id"])["id"]
        for place in wanted:
            if start <= int(place) < start + len(ids):
                found[place] = ids[int(place) - start].as_py()
        start += len(ids)
    return {place: found.get(place, "") for place in wanted}
