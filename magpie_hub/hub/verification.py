"""Does a reader get what was released? Asked of the Hub alone, never of a cache.

Every file at the tag is compared with the manifest, the card with both, and each config is loaded
in a fresh process with an empty home: counts, types and a sample of ids.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magpie_hub.card import edits
from magpie_hub.errors import HubError
from magpie_hub.hub import fresh_load
from magpie_hub.hub.client import DEFAULT_ENDPOINT, Report, connect, patiently
from magpie_hub.hub.front_matter import card_faults
from magpie_hub.hub.reading import compare, tree
from magpie_hub.hub.versions import (
    check_name,
    check_version,
    commit_of,
    manifest_file,
    no_manifest,
    tags,
)
from magpie_hub.release import MANIFEST, Manifest, Release, file_entry

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

CARD = "README.md"


@dataclass(frozen=True)
class Fault:
    """``key`` is where it shows: ``files``, ``card`` or ``load``."""

    key: str
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Verification:
    """``files`` and ``bytes`` are those that the manifest names; ``unnamed`` are other files at the
    tag; ``rows`` those loaded, by config and split; ``card_edited``: people wrote into the card
    outside our part; ``remarks`` are no faults of the release."""

    repo_id: str
    endpoint: str
    version: str
    commit: str
    files: int
    bytes: int
    unnamed: tuple[str, ...]
    card_edited: bool
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
        equal = CARD not in found.add
        card, edited = _card(folder / CARD, version, release.manifest, there, equal=equal)
        differ = [name for name in found.add if name != CARD or CARD not in there]
        faults = [
            *(Fault("files", _file_fault(version, each, there)) for each in differ),
            *(Fault("files", _extra(version, each)) for each in wrong),
            *(Fault("card", sentence) for sentence in card),
        ]
        configs = ", ".join(release.manifest.configs)
        report(f"Loading each config in an empty cache: {configs}.")
        loaded = fresh_load.load(
            repo_id, f"v{version}", release.manifest, Path(home, "load"), secret
        )
        sentences = fresh_load.load_faults(repo_id, version, commit, release.manifest, loaded)
        faults += [Fault("load", sentence) for sentence in sentences]
    return Verification(
        repo_id=repo_id,
        endpoint=api.endpoint,
        version=version,
        commit=commit,
        files=len(files),
        bytes=sum(entry.size for entry in files.values()),
        unnamed=tuple(sorted(there.keys() - files.keys())),
        card_edited=edited,
        rows=loaded.rows,
        ids=loaded.ids,
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


def _card(
    file: Path, version: str, manifest: Manifest, files: Mapping[str, RepoFile], *, equal: bool
) -> tuple[list[str], bool]:
    """What is wrong with the card, and whether people edited it; ``equal``: it is the release's,
    byte for byte."""
    if not file.is_file():
        return [] if equal or CARD not in files else [_file_fault(version, CARD, files)], False
    try:
        text = file.read_text(encoding="utf-8")
        marks = manifest.card if equal else edits.marks(text)
    except (HubError, UnicodeDecodeError) as error:
        said = str(error).rstrip(".")
        return [f"The card at v{version} cannot be read ({said}); push a new version."], False
    if not equal and not manifest.card:
        return [_file_fault(version, CARD, files)], False
    if changed := [name for name, mark in manifest.card.items() if marks.get(name) != mark]:
        return [
            f"The card at v{version} is not the release's in what is ours ({', '.join(changed)}); "
            "do not rely on it, and push a new version."
        ], False
    wrong = card_faults(text, manifest, list(files))
    return [f"The card at v{version} {each}; push a new version." for each in wrong], not equal


def _file_fault(version: str, name: str, there: Mapping[str, RepoFile]) -> str:
    state = "is not what the manifest describes" if name in there else "is missing"
    return f"{name} {state} at v{version}; do not use that version, and push a new one."


def _extra(version: str, name: str) -> str:
    return (
        f"{name} is at v{version} though the manifest does not name it, and a reader gets it as "
        "well; do not use that version, and push a new one."
    )


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
