"""How a repository on the Hub stands to a release: what is there, what is missing, what is in the
way. The Hub is only read."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from magpie_hub.card import edits
from magpie_hub.errors import HubError
from magpie_hub.hub.reading import Comparison, compare, tree
from magpie_hub.hub.versions import numbered
from magpie_hub.release import MANIFEST, FileEntry, Release, numbers, withdrawn

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

CARD = "README.md"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a push would do, seen from the Hub as it stands; ``add`` and ``same`` map paths to
    bytes.

    ``holds``: the commit that has the whole release, where there is one; then nothing is added.
    ``tag_commit``: where the tag stands, whatever it holds. ``card``: the README.md to upload, the
    release's with what people wrote into the one at ``head``.
    """

    repo_id: str
    endpoint: str
    version: str
    exists: bool
    head: str | None
    add: Mapping[str, int]
    same: Mapping[str, int]
    delete: tuple[str, ...]
    holds: str | None
    tag_commit: str | None
    card: str = field(repr=False)

    @property
    def tag(self) -> str:
        return f"v{self.version}"

    @property
    def tag_equal(self) -> bool:
        return self.tag_commit is not None and self.tag_commit == self.holds


@dataclass(kw_only=True)
class Standing:
    """``files``: all that is published of ``release``."""

    api: HfApi
    repo_id: str
    release: Release
    files: Mapping[str, FileEntry]

    @cached_property
    def ours(self) -> str:
        """The card of the release."""
        return (self.release.path / CARD).read_bytes().decode()

    @property
    def title(self) -> str:
        """Of the commit that is the release."""
        return f"Release v{self.release.version}"

    def look(self) -> Plan:
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

        version = self.release.version
        known: dict[str, str] = {}
        head = holds = tag_commit = None
        found, card = self._beside({}, None), self.ours
        delete: list[str] = []
        try:
            refs = self.api.list_repo_refs(self.repo_id, repo_type="dataset")
        except RepositoryNotFoundError as error:
            if isinstance(error, GatedRepoError):
                raise
            refs = None
        if refs is not None:
            known = numbered(refs)
            tag_commit = known.get(version)
            head = next((ref.target_commit for ref in refs.branches if ref.name == "main"), None)
        if tag_commit is not None:
            found = self.compare(tag_commit)
            holds = tag_commit if found.equal else None
        elif head is not None:
            there = tree(self.api, self.repo_id, head)
            theirs = self._card_at(head) if CARD in there else None
            card = edits.merge(self.ours, theirs)
            found = self._beside(there, theirs)
            holds = head if found.equal else self._untagged()
            if holds is None:
                _refuse_older(self.repo_id, version, known)
                if withdrawn.FILE in there:
                    data = fetch(self.api, self.repo_id, withdrawn.FILE, head)
                    withdrawn.refuse(self.release, data or b"", self.repo_id)
                delete = self._deletable(head, found.stale)
        return Plan(
            repo_id=self.repo_id,
            endpoint=self.api.endpoint,
            version=version,
            exists=refs is not None,
            head=head,
            add=found.add if holds is None else {},
            same=found.same,
            delete=tuple(delete),
            holds=holds,
            tag_commit=tag_commit,
            card=card,
        )

    def compare(self, revision: str) -> Comparison:
        """The release beside ``revision``. A card that people edited is the release's all the same
        where it holds what is ours."""
        there = tree(self.api, self.repo_id, revision)
        found = self._beside(there, None)
        if set(found.add) == {CARD} and CARD in there:
            found = self._beside(there, self._card_at(revision))
        return found

    def pull_request(self) -> tuple[str, str] | None:
        """The address and the commit of one that holds the release already."""
        refs = self.api.list_repo_refs(
            self.repo_id, repo_type="dataset", include_pull_requests=True
        )
        for ref in (refs.pull_requests or [])[-10:]:
            if self.compare(ref.target_commit).equal:
                number = ref.ref.rsplit("/", 1)[-1]
                url = f"{self.api.endpoint}/datasets/{self.repo_id}/discussions/{number}"
                return url, ref.target_commit
        return None

    def _beside(self, there: Mapping[str, RepoFile], theirs: str | None) -> Comparison:
        found = compare(there, self.release.path, self.files)
        if theirs is not None and CARD in found.add:
            merged = edits.merge(self.ours, theirs)
            del found.add[CARD]
            (found.same if merged == theirs else found.add)[CARD] = len(merged.encode())
        return found

    def _card_at(self, revision: str) -> str | None:
        data = fetch(self.api, self.repo_id, CARD, revision)
        try:
            return None if data is None else data.decode()
        except UnicodeDecodeError as error:
            raise HubError(
                f"{CARD} of {self.repo_id} is no UTF-8 text, so what people wrote into it cannot "
                "be kept; mend it there and push again."
            ) from error

    def _untagged(self) -> str | None:
        """The commit that an earlier push made and did not tag, though others came after it."""
        for commit in self.api.list_repo_commits(self.repo_id, repo_type="dataset"):
            if commit.title == self.title and self.compare(commit.commit_id).equal:
                return commit.commit_id
        return None

    def _deletable(self, head: str, stale: list[str]) -> list[str]:
        """Those of ``stale`` that the manifest on the Hub names, so that they are ours to
        delete."""
        data = fetch(self.api, self.repo_id, MANIFEST, head) if stale else None
        published: set[str] = set()
        with suppress(ValueError, KeyError, TypeError):
            published = set(json.loads(data or b"{}")["files"])
        foreign = [name for name in stale if name.startswith("data/") and name not in published]
        if foreign:
            raise HubError(
                f"{self.repo_id} holds {foreign[0]} ({len(foreign)} such files), which no release "
                "put there and a reader would get as well; move it out of data/, or push to "
                "another repository."
            )
        return [name for name in stale if name in published]


def fetch(api: HfApi, repo_id: str, name: str, revision: str) -> bytes | None:
    """One file as the Hub has it, past every cache; None where there is none."""
    from huggingface_hub.errors import RemoteEntryNotFoundError

    with tempfile.TemporaryDirectory() as folder, suppress(RemoteEntryNotFoundError):
        return Path(
            api.hf_hub_download(
                repo_id, name, repo_type="dataset", revision=revision, local_dir=folder
            )
        ).read_bytes()
    return None


def _refuse_older(repo_id: str, version: str, known: Mapping[str, str]) -> None:
    """``main`` is what a reader without a revision gets; it does not go back."""
    newest = max(known, key=numbers, default=version)
    if numbers(newest) > numbers(version):
        raise HubError(
            f"{repo_id} has v{newest} already, which is newer than {version}; "
            "build this release under a higher version."
        )
