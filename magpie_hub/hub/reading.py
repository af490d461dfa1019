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
import time
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from magpie_hub.errors import HubError, InvalidData
from magpie_hub.hub.client import HIDDEN, Report, bounded
from magpie_hub.hub.versions import check_name
from magpie_hub.release import MANIFEST, FileEntry, Release, file_entry

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

OURS = ("data/", "assets/")  # where files of a release before are deleted
READING = 1800.0  # seconds for one row of each config
AGAIN = (4.0,)  # seconds before another try to load them


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
    check_name(repo_id)
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


def tree(api: HfApi, repo_id: str, revision: str) -> dict[str, RepoFile]:
    """All files at ``revision``."""
    from huggingface_hub.hf_api import RepoFile

    entries = api.list_repo_tree(repo_id, repo_type="dataset", revision=revision, recursive=True)
    return {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}


def compare(
    there: Mapping[str, RepoFile], folder: Path, files: Mapping[str, FileEntry]
) -> Comparison:
    """What of ``files`` is ``there``, on the Hub; of the small ones ``folder`` holds a copy."""
    add: dict[str, int] = {}
    same: dict[str, int] = {}
    for name, entry in files.items():
        equal = name in there and _equal(there[name], entry, folder / name)
        (same if equal else add)[name] = entry.size
    stale = [name for name in there if name.startswith(OURS) and name not in files]
    return Comparison(add, same, stale)


def _equal(there: RepoFile, entry: FileEntry, file: Path) -> bool:
    """Large files are known by their sha256, small ones by git's own hash."""
    if there.size != entry.size:
        return False
    if there.lfs is not None:
        return there.lfs.sha256 == entry.sha256
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        return False
    return there.blob_id == hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Child(NamedTuple):
    """What a process said; ``reason`` is None where it came to its end."""

    out: str
    reason: str | None


def fresh_process(code: str, given: object, *, home: Path, secret: str, seconds: float) -> Child:
    """Run ``code`` as a reader's process with an empty cache in ``home``, since a warm one can
    serve another version; ``given`` is its stdin, as JSON."""
    kept = {n: v for n, v in os.environ.items() if not n.endswith("_CACHE") and n != "HF_TOKEN"}
    environment = kept | {
        "HF_HOME": str(home / "hf"),
        "HF_UPDATE_DOWNLOAD_COUNTS": "0",
        "USE_TORCH": "0",  # streaming would import it for nothing: two seconds
        "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),
    }
    try:
        process = subprocess.run(
            [sys.executable, "-c", code],
            input=json.dumps(given),
            env=environment | ({"HF_TOKEN": secret} if secret else {}),
            cwd=home,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return Child("", f"it took more than {seconds:.0f} s")
    if process.returncode == 0:
        return Child(process.stdout, None)
    said = process.stderr.strip().splitlines() or [f"exit code {process.returncode}"]
    reason = said[-1].replace(secret, HIDDEN) if secret else said[-1]
    return Child(process.stdout, reason.rstrip("."))


def load_back(release: Release, repo_id: str, *, tag: str, secret: str, report: Report) -> None:
    """Read a row of each config at the tag as a reader does; once more where that fails."""
    wanted = sorted(name for name, entry in release.manifest.configs.items() if entry.rows)
    report(f"Loading a row of each config at {tag}, in an empty cache: {', '.join(wanted)}.")
    for wait in (*AGAIN, None):
        with tempfile.TemporaryDirectory() as home:
            child = fresh_process(
                "from magpie_hub.hub import reading; reading.read_rows()",
                [repo_id, tag, wanted],
                home=Path(home),
                secret=secret,
                seconds=READING,
            )
        if child.reason is None:
            report(f"Loaded a row of each config at {tag}.")
            return
        if wait is not None:
            report(f"`datasets` could not load it ({child.reason}); once more in {wait:.0f} s.")
            time.sleep(wait)
    raise HubError(
        f"{repo_id} is released as {tag} with the right checksums, but `datasets` cannot load "
        f"it there: {child.reason}. Push again to try once more."
    )


def read_rows() -> None:
    """What the process of :func:`load_back` does, to its end."""
    import datasets

    repo_id, tag, configs = json.load(sys.stdin)
    try:
        with bounded(bars=False):
            for config in configs:
                splits = datasets.load_dataset(
                    f"hf://datasets/{repo_id}", config, revision=tag, streaming=True
                )
                for name, rows in splits.items():
                    if next(iter(rows), None) is None:
                        sys.exit(f"split {name} of {config} is empty")
    except HubError as error:
        sys.exit(str(error))
    # A reader that stops early can abort or hang the exit of the interpreter: apache/arrow#45214.
    os._exit(0)
