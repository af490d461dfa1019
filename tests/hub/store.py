"""What the server keeps on disk: contents by their hash, and one JSON file for each repository.

ROOT/blobs/<git sha1>       small files
ROOT/lfs/<sha256>           large files; all repositories share them, as on the Hub
ROOT/xet                    those that came by xet, from where they are put together when needed
ROOT/repos/<org>--<name>.json
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import uuid
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.hub.xet import Xet

LFS_SUFFIXES = (".parquet", ".arrow", ".png", ".jpg", ".zip", ".gz", ".zst")
LFS_SIZE = 10 * 1024 * 1024
GITATTRIBUTES = "".join(f"*{s} filter=lfs diff=lfs merge=lfs -text\n" for s in LFS_SUFFIXES)


class Refusal(Exception):
    """A request that the server answers with an error; ``code`` becomes ``X-Error-Code``."""

    def __init__(self, status: int, message: str, code: str | None = None, **body: Any) -> None:
        super().__init__(message)
        self.status = status
        self.headers = {"X-Error-Code": code} if code else {}
        self.body = {"error": message, **body}


def git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def pointer(sha256: str, size: int) -> bytes:
    spec = "version https://git-lfs.github.com/spec/v1"
    return f"{spec}\noid sha256:{sha256}\nsize {size}\n".encode()


@dataclass(frozen=True)
class Entry:
    """A file at a commit; ``lfs`` is its sha256 where it is a large one, and then ``oid`` is the
    git hash of the pointer."""

    oid: str
    size: int
    lfs: str | None = None

    @property
    def content_id(self) -> str:
        return self.lfs or self.oid


@dataclass(frozen=True)
class Commit:
    id: str
    parent: str | None
    title: str
    message: str
    user: str
    date: str
    tree: dict[str, Entry]


@dataclass
class Repo:
    id: str
    private: bool = False
    gated: bool = False
    refs: dict[str, str] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)

    def resolve(self, revision: str) -> Commit:
        for ref in (f"refs/heads/{revision}", f"refs/tags/{revision}", revision):
            if ref in self.refs:
                return self.commits[self.refs[ref]]
        for commit in self.commits.values():
            if len(revision) >= 7 and commit.id.startswith(revision):
                return commit
        raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def history(self, revision: str = "main") -> list[Commit]:
        """The newest first."""
        commits = [self.resolve(revision)]
        while commits[-1].parent is not None:
            commits.append(self.commits[commits[-1].parent])
        return commits

    def tags(self) -> dict[str, str]:
        prefix = "refs/tags/"
        return {r.removeprefix(prefix): c for r, c in self.refs.items() if r.startswith(prefix)}

    def add(
        self,
        ref: str,
        tree: dict[str, Entry],
        title: str,
        message: str,
        user: str,
        parent: str | None,
    ) -> Commit:
        date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        oid = hashlib.sha1(uuid.uuid4().bytes).hexdigest()
        commit = Commit(oid, parent, title, message, user, date, tree)
        self.commits[oid] = commit
        self.refs[ref] = oid
        return commit

    def last_change(self, commit: Commit, path: str) -> Commit:
        last = commit
        for older in self.history(commit.id):
            if older.tree.get(path) != commit.tree[path]:
                break
            last = older
        return last


class Store:
    """``lock`` is held for as long as a repository is read or changed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = threading.RLock()
        for name in ("blobs", "lfs", "repos"):
            (root / name).mkdir(parents=True, exist_ok=True)
        self.xet = Xet(root / "xet")

    # contents

    def lfs_file(self, sha256: str) -> Path:
        return self.root / "lfs" / sha256

    def file(self, entry: Entry) -> Path:
        return self.lfs_file(entry.lfs) if entry.lfs else self.root / "blobs" / entry.oid

    def add_blob(self, data: bytes) -> Entry:
        oid = git_oid(data)
        self._write(self.root / "blobs" / oid, data)
        return Entry(oid, len(data))

    def add_lfs(self, sha256: str, data: bytes) -> None:
        if hashlib.sha256(data).hexdigest() != sha256:
            raise Refusal(400, "The content does not have the announced sha256.")
        self._write(self.lfs_file(sha256), data)

    def lfs_entry(self, sha256: str, size: int) -> Entry:
        file = self.lfs_file(sha256)
        if not file.is_file() and (data := self.xet.content(sha256)) is not None:
            self.add_lfs(sha256, data)
        if not file.is_file() or file.stat().st_size != size:
            raise Refusal(400, f"LFS object {sha256} was not uploaded.")
        return Entry(git_oid(pointer(sha256, size)), size, sha256)

    def _write(self, file: Path, data: bytes) -> None:
        part = file.with_name(f"{file.name}.{uuid.uuid4().hex}")
        part.write_bytes(data)
        os.replace(part, file)

    # repositories

    def _repo_file(self, repo_id: str) -> Path:
        return self.root / "repos" / f"{repo_id.replace('/', '--')}.json"

    def create(self, repo_id: str, *, private: bool, user: str) -> Repo:
        """A new repository has one commit, the Hub's own, that holds ``.gitattributes``."""
        repo = Repo(repo_id, private=private)
        tree = {".gitattributes": self.add_blob(GITATTRIBUTES.encode())}
        repo.add("refs/heads/main", tree, "initial commit", "", user, None)
        self.save(repo)
        return repo

    def exists(self, repo_id: str) -> bool:
        return self._repo_file(repo_id).is_file()

    def repo(self, repo_id: str) -> Repo:
        if not self.exists(repo_id):
            raise Refusal(404, "Repository not found", "RepoNotFound")
        raw = json.loads(self._repo_file(repo_id).read_bytes())
        raw["commits"] = {
            oid: replace(Commit(**c), tree={p: Entry(**e) for p, e in c["tree"].items()})
            for oid, c in raw["commits"].items()
        }
        return Repo(**raw)

    def save(self, repo: Repo) -> None:
        self._write(self._repo_file(repo.id), json.dumps(asdict(repo)).encode())

    def delete(self, repo_id: str) -> None:
        self._repo_file(repo_id).unlink()
