"""Does a reader get what was released? Asked of the Hub alone, never of a cache.

Every file at the tag is compared with the manifest, the card with both, and each config is loaded
in a fresh process with an empty home: counts, types and a sample of ids.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magpie_hub.errors import HubError
from magpie_hub.front_matter import card_faults
from magpie_hub.hub_client import DEFAULT_ENDPOINT, Report, connect, patiently
from magpie_hub.reading import Child, compare, fresh_process, tree
from magpie_hub.release import MANIFEST, ConfigEntry, Manifest, Release, file_entry
from magpie_hub.versions import (
    check_name,
    check_version,
    commit_of,
    manifest_file,
    no_manifest,
    tags,
)

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

SAMPLED = 8  # ids of each split beside the first and the last
LOADING = 4 * 3600.0  # seconds for all configs of a release


@dataclass(frozen=True)
class Fault:
    """``key`` is where it shows: ``files``, ``card`` or ``load``."""

    key: str
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Verification:
    """``files`` and ``bytes`` are those that the manifest names; ``unnamed`` are other files at the
    tag; ``rows`` those loaded, by config and split; ``remarks`` are no faults of the release."""

    repo_id: str
    endpoint: str
    version: str
    commit: str
    files: int
    bytes: int
    unnamed: tuple[str, ...]
    rows: Mapping[str, Mapping[str, int]]
    ids: int
    faults: tuple[Fault, ...]
    remarks: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def verify(repo_id: str, version: str, *, token: str | None = None, report: Report) -> Verification:
    """Compare what the Hub serves for ``version`` with its manifest. What differs is in ``faults``;
    ``HubError`` where the Hub cannot be asked or has no such release."""
    check_name(repo_id)
    check_version(version)
    with (
        connect(repo_id, token, reading=True) as (api, secret),
        tempfile.TemporaryDirectory(prefix="magpie-hub-verify-") as home,
    ):
        if api.endpoint != DEFAULT_ENDPOINT:
            report(f"The Hub is {api.endpoint} (HF_ENDPOINT).")
        known = patiently(lambda: tags(api, repo_id), report)
        commit = commit_of(known, repo_id, version)
        folder = Path(home, "files")
        if manifest_file(api, repo_id, commit, folder) is None:
            raise no_manifest(repo_id, version)
        release = Release.open(folder)
        files = {**release.manifest.files, MANIFEST: file_entry(folder / MANIFEST)}
        there = tree(api, repo_id, commit)
        _fetch_small(api, repo_id, commit, folder, there)
        report(f"v{version} is at {commit[:8]}: comparing {len(files)} files with the manifest.")
        found = compare(there, folder, files)
        wrong = [name for name in found.stale if name.startswith("data/")]
        faults = [
            *(Fault("files", _file_fault(version, each, there)) for each in found.add),
            *(Fault("files", _extra(version, each)) for each in wrong),
        ]
        if "README.md" not in found.add and "README.md" in files:
            text = (folder / "README.md").read_text(encoding="utf-8")
            faults += [
                Fault("card", f"The card at v{version} {each}; push a new version.")
                for each in card_faults(text, release.manifest, list(there))
            ]
        report("Loading each config in an empty cache.")
        loaded = _load(repo_id, version, release.manifest, Path(home, "load"), secret)
        faults += _load_faults(repo_id, version, commit, release.manifest, loaded)
    return Verification(
        repo_id=repo_id,
        endpoint=api.endpoint,
        version=version,
        commit=commit,
        files=len(files),
        bytes=sum(entry.size for entry in files.values()),
        unnamed=tuple(sorted(there.keys() - files.keys())),
        rows={
            config: {name: split["rows"] for name, split in splits.items()}
            for config, splits in loaded.configs.items()
        },
        ids=sum(
            len(split["ids"]) for splits in loaded.configs.values() for split in splits.values()
        ),
        faults=tuple(faults),
        remarks=tuple(_cached(repo_id, version, known, release.manifest)),
    )


def _fetch_small(
    api: HfApi, repo_id: str, commit: str, folder: Path, there: Mapping[str, RepoFile]
) -> None:
    """Small files are known to the Hub by git's hash alone, so their bytes are compared."""
    if small := [name for name, entry in there.items() if entry.lfs is None]:
        api.snapshot_download(
            repo_id, repo_type="dataset", revision=commit, local_dir=folder, allow_patterns=small
        )


def _file_fault(version: str, name: str, there: Mapping[str, RepoFile]) -> str:
    state = "is not what the manifest describes" if name in there else "is missing"
    return f"{name} {state} at v{version}; do not use that version, and push a new one."


def _extra(version: str, name: str) -> str:
    return (
        f"{name} is at v{version} though the manifest does not name it, and a reader gets it as "
        "well; do not use that version, and push a new one."
    )


# The fresh load


@dataclass(frozen=True)
class _Loaded:
    """``configs``: what the process found in each, up to the one where it failed."""

    configs: Mapping[str, Mapping[str, Any]]
    child: Child
    cache: Path


def _load(repo_id: str, version: str, manifest: Manifest, home: Path, secret: str) -> _Loaded:
    home.mkdir()
    wanted = {
        name: {split: _sample(f"{name}/{split}", entry.rows) for split, entry in c.splits.items()}
        for name, c in manifest.configs.items()
    }
    child = fresh_process(
        "from magpie_hub import verification; verification.load_all()",
        [repo_id, f"v{version}", wanted],
        home=home,
        secret=secret,
        seconds=LOADING,
    )
    lines = [json.loads(line) for line in child.out.splitlines() if line.startswith("{")]
    return _Loaded({line["config"]: line["splits"] for line in lines}, child, home / "hf" / "hub")


def load_all() -> None:
    """What the process does: a line of JSON for each config."""
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


def _load_faults(
    repo_id: str, version: str, commit: str, manifest: Manifest, loaded: _Loaded
) -> Iterator[Fault]:
    from huggingface_hub import try_to_load_from_cache

    every = {column.name: column.type for column in manifest.columns}
    failed = next((name for name in manifest.configs if name not in loaded.configs), None)
    for name, splits in loaded.configs.items():
        entry = manifest.configs[name]
        types = {each: every[each] for each in entry.columns or every}
        for sentence in _split_faults(entry, splits, types):
            yield Fault("load", f"{name} at v{version} {sentence}; push a new version.")
        for split, each in entry.splits.items():
            at: dict[str, Path] = {}
            for file in each.files:
                found = try_to_load_from_cache(
                    repo_id, file, loaded.cache, revision=commit, repo_type="dataset"
                )
                if isinstance(found, str) and file_entry(Path(found)) == manifest.files[file]:
                    at[file] = Path(found)
                else:
                    yield Fault(
                        "load",
                        f"{file} came from the Hub with other bytes than v{version} released; "
                        "verify again, and push a new version if it stays so.",
                    )
            ids = splits.get(split, {}).get("ids", {})
            if ids and len(at) == len(each.files) and ids != _ids([at[f] for f in each.files], ids):
                yield Fault(
                    "load",
                    f"{name} at v{version} gives other rows in {split} than its files hold; verify "
                    "again, and push a new version if it stays so.",
                )
    if failed is not None:
        yield Fault(
            "load",
            f"`datasets` cannot load {failed} at v{version} ({loaded.child.reason}); verify again, "
            "and push a new version if it stays so.",
        )


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


def _cached(
    repo_id: str, version: str, known: Mapping[str, str], manifest: Manifest
) -> Iterator[str]:
    """What `datasets` would take from the reader's own cache where it cannot ask the Hub."""
    from datasets import config
    from datasets.naming import camelcase_to_snakecase

    owner, name = repo_id.split("/")
    root = Path(config.HF_DATASETS_CACHE).expanduser() / f"{owner}___{camelcase_to_snakecase(name)}"
    for each in manifest.configs:
        there = [path for path in (root / each).glob("*/*") if path.is_dir()]
        newest = max(there, key=lambda path: path.stat().st_mtime, default=None)
        if newest is not None and newest.name != known[version]:
            named = {commit: f"v{other}" for other, commit in known.items()}
            held = named.get(newest.name, f"commit {newest.name[:8]}")
            yield (
                f"Your cache of `datasets` holds {each} of {held}: load_dataset(..., "
                f'revision="v{version}") would give that where the Hub cannot be asked; '
                "magpie_hub.load does not."
            )


def require(found: Verification) -> None:
    """``HubError`` with the first fault, and how many more there are."""
    if found.faults:
        first, *more = found.faults
        also = f" (And {len(more)} more.)" if more else ""
        error = HubError(f"{found.repo_id}: {first.sentence}{also}")
        error.result = found.to_dict()
        raise error
