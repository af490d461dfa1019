"""A release on the test server without a push: for tests of those who read it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from magpie_hub.card import edits
from tests.hub.server import Hub
from tests.hub.store import LFS_SUFFIXES, Entry


def publish(hub: Hub, release: Path, repo_id: str, version: str = "1.0.0") -> str:
    """One commit and one tag, as a push makes them; the commit's id."""
    with hub.store.lock:
        if not hub.store.exists(repo_id):
            hub.store.create(repo_id, private=False, user="ann")
        repo = hub.store.repo(repo_id)
        head = repo.resolve("main")
        files = {f.relative_to(release).as_posix(): f for f in release.rglob("*") if f.is_file()}
        tree = {".gitattributes": head.tree[".gitattributes"]}
        tree |= {name: _entry(hub, name, file.read_bytes()) for name, file in files.items()}
        title = f"Release v{version}"
        made = repo.add("refs/heads/main", tree, title, "", "ann", head.id)
        repo.refs[f"refs/tags/v{version}"] = made.id
        hub.store.save(repo)
        return made.id


def change(hub: Hub, repo_id: str, files: Mapping[str, bytes], title: str) -> None:
    """A commit of somebody else's on main."""
    with hub.store.lock:
        repo = hub.store.repo(repo_id)
        head = repo.resolve("main")
        tree = head.tree | {name: _entry(hub, name, content) for name, content in files.items()}
        repo.add("refs/heads/main", tree, title, "", "ann", head.id)
        hub.store.save(repo)


def whole(hub: Hub, repo_id: str, revision: str, release: Path) -> bool:
    """Whether a reader gets all of ``release`` there, byte for byte, and nothing else from data/;
    the card may hold more."""
    tree = hub.store.repo(repo_id).resolve(revision).tree
    files = {f.relative_to(release).as_posix(): f for f in release.rglob("*") if f.is_file()}
    if {
        name for name in tree if name.startswith("data/")
    } - files.keys() or files.keys() - tree.keys():
        return False
    there = {name: hub.store.file(tree[name]).read_bytes() for name in files}
    card = there.pop("README.md").decode()
    return edits.holds(card, files["README.md"].read_bytes().decode()) and all(
        content == files[name].read_bytes() for name, content in there.items()
    )


def replace(hub: Hub, repo_id: str, revision: str, name: str, content: bytes | None) -> None:
    """Another content of a file at ``revision``, or none, as no push would leave it."""
    with hub.store.lock:
        repo = hub.store.repo(repo_id)
        tree = repo.resolve(revision).tree
        if content is None:
            del tree[name]
        else:
            tree[name] = _entry(hub, name, content)
        hub.store.save(repo)


def _entry(hub: Hub, name: str, content: bytes) -> Entry:
    if not name.endswith(LFS_SUFFIXES):
        return hub.store.add_blob(content)
    sha256 = hashlib.sha256(content).hexdigest()
    hub.store.add_lfs(sha256, content)
    return hub.store.lfs_entry(sha256, len(content))
