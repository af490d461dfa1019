"""The server put together: who may do what, and the two hosts.

>>> with Hub(folder) as hub:
...     HfApi(endpoint=hub.url, token="hf_write").create_repo("org/name", repo_type="dataset")
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.hub import api, lfs
from tests.hub.faults import Faults
from tests.hub.store import Refusal, Repo, Store
from tests.hub.transport import Host, Journal, Request


@dataclass(frozen=True)
class Token:
    user: str
    role: Literal["write", "read"] = "write"
    orgs: tuple[str, ...] = ()
    expired: bool = False


TOKENS = {
    "hf_write": Token("ann", orgs=("org",)),
    "hf_read": Token("ann", role="read", orgs=("org",)),
    "hf_expired": Token("ann", orgs=("org",), expired=True),
    "hf_stranger": Token("bob"),
}


class Hub:
    """``part_size``: larger files go up in parts; ``quota``: larger files are refused;
    ``page_size``: of a tree listing; ``xet``: clients use it, not classic LFS. A test may set each,
    and add to ``tokens``."""

    def __init__(self, root: Path, port: int = 0) -> None:
        self.store = Store(root)
        self.tokens = dict(TOKENS)
        self.faults = Faults()
        self.journal = Journal()
        self.part_size: int | None = None
        self.quota: int | None = None
        self.page_size = 1000
        self.xet = False
        self.parts: dict[str, dict[int, bytes]] = {}
        # another name as well as another port: huggingface_hub 1.x compares the names alone
        self.storage = Host("storage", lfs.storage, self, "localhost")
        self.hub = Host("hub", api.routes + lfs.hub, self, guard=self.store.lock, port=port)

    @property
    def url(self) -> str:
        return self.hub.url

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, *_: object) -> None:
        self.hub.stop()
        self.storage.stop()

    @property
    def errors(self) -> list[BaseException]:
        """What went wrong in the server itself; a test must leave it empty."""
        return self.hub.errors + self.storage.errors

    def env(self, home: Path, token: str | None = "hf_write") -> dict[str, str]:
        """The whole environment of a client that talks to this server and to nothing else."""
        kept = {n: os.environ[n] for n in ("PATH", "LANG", "TMPDIR") if n in os.environ}
        return (
            kept
            | {
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                "HOME": str(home),
                "HF_HOME": str(home / "hf"),
                "HF_ENDPOINT": self.url,
                "HF_HUB_DISABLE_XET": "0" if self.xet else "1",
                "HF_XET_CLIENT_RETRY_BASE_DELAY": "10ms",
                "HF_HUB_DISABLE_TELEMETRY": "1",
                "HF_HUB_DISABLE_PROGRESS_BARS": "1",
                "HF_HUB_DISABLE_UPDATE_CHECK": "1",
                "HF_UPDATE_DOWNLOAD_COUNTS": "0",
                "NO_PROXY": "*",
            }
            | ({"HF_TOKEN": token} if token else {})
        )

    # who may do what; called by the routes

    def caller(self, request: Request) -> Token | None:
        if request.token is None:
            return None
        token = self.tokens.get(request.token)
        if token is None or token.expired:
            raise Refusal(401, "Invalid credentials in Authorization header")
        return token

    def user(self, request: Request) -> str:
        token = self.caller(request)
        if token is None:
            raise Refusal(401, "Invalid username or password.")
        return token.user

    def readable(self, request: Request, repo_id: str, *, contents: bool = False) -> Repo:
        token = self.caller(request)
        repo = self.store.repo(repo_id)
        member = token is not None and repo_id.split("/")[0] in (token.user, *token.orgs)
        if repo.private and not member:
            raise Refusal(404 if token else 401, "Repository not found", "RepoNotFound")
        if contents and repo.gated and not member:
            raise Refusal(403 if token else 401, "Access to this dataset is gated.", "GatedRepo")
        return repo

    def may_write(self, request: Request, repo_id: str) -> None:
        token = self.caller(request)
        if token is None:
            raise Refusal(401, "Invalid username or password.")
        if token.role != "write" or repo_id.split("/")[0] not in (token.user, *token.orgs):
            raise Refusal(403, f"You don't have the rights to write to {repo_id}")

    def writable(self, request: Request, repo_id: str) -> Repo:
        repo = self.readable(request, repo_id)
        self.may_write(request, repo_id)
        return repo
