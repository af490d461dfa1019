"""A release on the Hub, read back: its files by their checksums, its rows as ``datasets`` gives
them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from magpie_hub.errors import HubError, InvalidData, UsageError
from magpie_hub.hub_client import HIDDEN, Report
from magpie_hub.release import MANIFEST, FileEntry, Release, file_entry

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

OURS = ("data/", "assets/")  # where files of a release before are deleted
READING = 1800.0  # seconds for one row of each config


class Comparison(NamedTuple):
    """``add``: new or different; ``stale``: in our folders on the Hub, but not in the release."""

    add: dict[str, int]
    same: dict[str, int]
    stale: list[str]

    @property
    def equal(self) -> bool:
        """A reader gets the release; a foreign file under assets/ does not change that."""
        return not self.add and not any(name.startswith("data/") for name in self.stale)


def published_files(release: Release, repo_id: str) -> dict[str, FileEntry]:
    """All that is pushed. A name that leaves the folder, or that a reader's client would take for
    a loading script, is refused."""
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", repo_id, re.ASCII):
        raise UsageError(f"'{repo_id}' is not the name of a dataset on the Hub; write ORG/NAME.")
    if not re.fullmatch(r"\d+\.\d+\.\d+", release.version):
        raise InvalidData(f"The release's version is '{release.version}'; it must be X.Y.Z.")
    root = release.path.resolve()
    files = {**release.manifest.files, MANIFEST: file_entry(release.path / MANIFEST)}
    for name in files:
        parts = PurePosixPath(name).parts
        inside = (root / name).resolve().is_relative_to(root)
        if not inside or "/".join(parts) != name or {"..", ".git"} & set(parts):
            raise InvalidData(f"The manifest names {name!r}, which is not a file of the release.")
        if name in (f"{repo_id.split('/')[1]}.py", ".gitattributes"):
            raise InvalidData(f"The release holds {name}, which the Hub reads as its own; drop it.")
    return files


def compare(
    api: HfApi,
    repo_id: str,
    *,
    revision: str | None,
    release: Release,
    files: Mapping[str, FileEntry],
) -> Comparison:
    """What of ``files`` is at ``revision``; ``None`` is a repository that is not there yet."""
    from huggingface_hub.hf_api import RepoFile

    tree: dict[str, RepoFile] = {}
    if revision is not None:
        entries = api.list_repo_tree(
            repo_id, repo_type="dataset", revision=revision, recursive=True
        )
        tree = {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}
    add: dict[str, int] = {}
    same: dict[str, int] = {}
    for name, entry in files.items():
        equal = name in tree and _equal(tree[name], entry, release.path / name)
        (same if equal else add)[name] = entry.size
    stale = [name for name in tree if name.startswith(OURS) and name not in files]
    return Comparison(add, same, stale)


def _equal(there: RepoFile, entry: FileEntry, file: Path) -> bool:
    """Large files are known by their sha256, small ones by git's own hash."""
    if there.size != entry.size:
        return False
    if there.lfs is not None:
        return there.lfs.sha256 == entry.sha256
    data = file.read_bytes()
    return there.blob_id == hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def load_back(release: Release, repo_id: str, *, tag: str, secret: str, report: Report) -> None:
    """Read a row of each config at the tag as a reader does: in a fresh process with an empty
    cache, since a warm one can serve another version."""
    wanted = sorted(name for name, entry in release.manifest.configs.items() if entry.rows)
    with tempfile.TemporaryDirectory() as home:
        environment = {n: v for n, v in os.environ.items() if not n.endswith("_CACHE")} | {
            "HF_HOME": f"{home}/hf",
            "HF_TOKEN": secret,
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "USE_TORCH": "0",  # streaming would import it for nothing: two seconds
            "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),
        }
        try:
            process = subprocess.run(
                [sys.executable, "-c", "from magpie_hub import reading; reading.read_rows()"],
                input=json.dumps([repo_id, tag, wanted]),
                env=environment,
                cwd=home,
                capture_output=True,
                text=True,
                timeout=READING,
            )
            said = process.stderr.strip().splitlines() or [f"exit code {process.returncode}"]
            failed = process.returncode != 0
        except subprocess.TimeoutExpired:
            said, failed = [f"no row within {READING:.0f} s"], True
    if failed:
        raise HubError(
            f"{repo_id} is released as {tag} with the right checksums, but `datasets` cannot load "
            f"it there: {said[-1].replace(secret, HIDDEN)}. Push again to try once more."
        )
    report(f"Loaded a row of each config at {tag}: {', '.join(wanted)}.")


def read_rows() -> None:
    """What the process of :func:`load_back` does, to its end."""
    import datasets

    repo_id, tag, configs = json.load(sys.stdin)
    for config in configs:
        splits = datasets.load_dataset(
            f"hf://datasets/{repo_id}", config, revision=tag, streaming=True
        )
        for name, rows in splits.items():
            if next(iter(rows), None) is None:
                sys.exit(f"split {name} of {config} is empty")
    # A reader that stops early can abort or hang the exit of the interpreter: apache/arrow#45214.
    os._exit(0)
