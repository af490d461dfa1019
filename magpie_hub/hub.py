"""A release on the Hub: one commit and one tag, read back.

Each turn looks at the Hub and takes the next step that is missing: repository, commit, tag. So a
push that was killed, or whose answer was lost, goes on where the Hub stands; a commit names its
parent, so it cannot be made twice, and a tag is never moved.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magpie_hub.errors import HubError, InvalidData
from magpie_hub.hub_client import DEFAULT_ENDPOINT, Report, connect, patiently
from magpie_hub.reading import Comparison, compare, load_back, published_files, tree
from magpie_hub.release import MANIFEST, FileEntry, Release
from magpie_hub.release_checks import release_checks

if TYPE_CHECKING:
    from huggingface_hub import HfApi

__all__ = ["Plan", "PushResult", "plan", "push"]

STEPS = 12  # a push needs four, and a few more where others push at the same time


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a push would do, seen from the Hub as it stands; ``add`` and ``same`` map paths to
    bytes.

    ``holds``: the commit that has the whole release, where there is one; then nothing is added.
    ``tag_commit``: where the tag stands, whatever it holds.
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

    @property
    def tag(self) -> str:
        return f"v{self.version}"

    @property
    def tag_equal(self) -> bool:
        return self.tag_commit is not None and self.tag_commit == self.holds


@dataclass(frozen=True, kw_only=True)
class PushResult:
    """``tag`` is ``None`` for a pull request, ``commit`` where a dry run found none. A dry run
    counts what would be uploaded."""

    repo_id: str
    url: str
    version: str
    tag: str | None
    commit: str | None
    uploaded_files: int
    uploaded_bytes: int
    already: bool
    dry_run: bool

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def plan(release: Release, repo_id: str, *, token: str | None = None) -> Plan:
    """Compare ``release`` with the Hub, which is only read. ``HubError`` where that fails."""
    files = published_files(release, repo_id)
    with connect(repo_id, token) as (api, _):
        return _Push(api=api, repo_id=repo_id, release=release, files=files).look()


def push(
    release: Release,
    repo_id: str,
    *,
    private: bool = False,
    create_pr: bool = False,
    dry_run: bool = False,
    token: str | None = None,
    report: Report,
) -> PushResult:
    """Publish ``release`` as one commit and the tag ``vX.Y.Z``, and read it back. Running it again
    after anything ends the same. ``InvalidData`` where the release does not pass its checks,
    ``HubError`` where the Hub refuses or serves something else."""
    files = published_files(release, repo_id)
    report(f"Checking {len(files)} files of {release.path}.")
    if problems := release_checks(release):
        for problem in problems[1:]:
            report(f"Also: {problem.sentence}")
        raise InvalidData(f"{release.path} is not pushed: {problems[0].sentence}")
    with connect(repo_id, token) as (api, secret):
        if api.endpoint != DEFAULT_ENDPOINT:
            report(f"The Hub is {api.endpoint} (HF_ENDPOINT).")
        user = patiently(api.whoami, report)
        work = _Push(
            api=api,
            repo_id=repo_id,
            release=release,
            files=files,
            private=private,
            create_pr=create_pr,
            report=report,
        )
        seen = patiently(work.observe, report)
        work.tell(seen)
        if dry_run:
            report("This was a dry run: nothing was changed.")
            return work.result(seen, dry_run=True)
        if user.get("auth", {}).get("accessToken", {}).get("role") == "read":
            raise HubError(f"The token can only read; use one that may write to {repo_id}.")
        for _ in range(STEPS):
            if (result := patiently(work.step, report)) is not None:
                break
        else:
            raise HubError(f"{repo_id} is changed by others all the time; push again later.")
        if result.tag is not None:
            work.read_back(result.tag)
            load_back(release, repo_id, tag=result.tag, secret=secret, report=report)
    return result


@dataclass(kw_only=True)
class _Push:
    """One push: what the Hub holds, and the steps to the release."""

    api: HfApi
    repo_id: str
    release: Release
    files: Mapping[str, FileEntry]
    private: bool = False
    create_pr: bool = False
    report: Report = lambda line: None
    uploaded: Mapping[str, int] = field(default_factory=dict)
    worked: bool = False

    # What the Hub holds

    def look(self) -> Plan:
        from huggingface_hub.errors import RepositoryNotFoundError

        version = self.release.version
        tags: dict[str, str] = {}
        head = holds = tag_commit = None
        found = self._compare(None)
        delete: list[str] = []
        try:
            refs = self.api.list_repo_refs(self.repo_id, repo_type="dataset")
        except RepositoryNotFoundError:
            refs = None
        if refs is not None:
            tags = {ref.name: ref.target_commit for ref in refs.tags}
            tag_commit = tags.get(f"v{version}")
            head = next((ref.target_commit for ref in refs.branches if ref.name == "main"), None)
        if tag_commit is not None:
            found = self._compare(tag_commit)
            holds = tag_commit if found.equal else None
        elif head is not None:
            found = self._compare(head)
            holds = head if found.equal else self._untagged()
            if holds is None:
                _refuse_older(self.repo_id, version, tags)
                delete = self._ours(head, found.stale)
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
        )

    def _compare(self, revision: str | None) -> Comparison:
        there = {} if revision is None else tree(self.api, self.repo_id, revision)
        return compare(there, self.release.path, self.files)

    def _untagged(self) -> str | None:
        """The commit that an earlier push made and did not tag, though others came after it."""
        for commit in self.api.list_repo_commits(self.repo_id, repo_type="dataset"):
            if commit.title == _title(self.release) and self._compare(commit.commit_id).equal:
                return commit.commit_id
        return None

    def _ours(self, head: str, stale: list[str]) -> list[str]:
        """Those of ``stale`` that the manifest on the Hub names, so that they are ours to
        delete."""
        from huggingface_hub.errors import EntryNotFoundError

        published: set[str] = set()
        if stale:
            with tempfile.TemporaryDirectory() as folder, suppress(EntryNotFoundError, KeyError):
                file = self.api.hf_hub_download(
                    self.repo_id, MANIFEST, repo_type="dataset", revision=head, local_dir=folder
                )
                published = set(json.loads(Path(file).read_bytes())["files"])
        foreign = [name for name in stale if name.startswith("data/") and name not in published]
        if foreign:
            raise HubError(
                f"{self.repo_id} holds {foreign[0]} ({len(foreign)} such files), which no release "
                "put there and a reader would get as well; move it out of data/, or push to "
                "another repository."
            )
        return [name for name in stale if name in published]

    # The steps

    def observe(self) -> Plan:
        seen = self.look()
        if seen.tag_commit is not None and not seen.tag_equal:
            raise HubError(
                f"{seen.tag} of {self.repo_id} is already released with other content "
                f"(commit {seen.tag_commit[:8]}), and a tag is never moved; build this release "
                "under a new version."
            )
        return seen

    def tell(self, seen: Plan) -> None:
        state = "is there" if seen.exists else "does not exist yet"
        tag = "is already released" if seen.tag_commit else "is new"
        self.report(f"{seen.repo_id} {state}; {seen.tag} {tag}.")
        if seen.holds is None:
            self.report(
                f"To upload: {_amount(seen.add)}; unchanged: {len(seen.same)}; "
                f"to delete: {len(seen.delete)}."
            )

    def step(self) -> PushResult | None:
        """Take the next step; the result once none is missing."""
        seen = self.observe()
        if seen.tag_commit is not None:
            return self.result(seen, already=not self.worked)
        self.worked = True
        if not seen.exists:
            self.api.create_repo(
                self.repo_id, repo_type="dataset", private=self.private, exist_ok=True
            )
            self.report(f"Created {self.repo_id}{' (private)' if self.private else ''}.")
        elif seen.holds is None:
            return (self._pull_request(seen) if self.create_pr else None) or self._commit(seen)
        elif self.create_pr:
            self.report(f"{seen.holds[:8]} holds the release already; no pull request is needed.")
            return self.result(seen, already=True)
        else:
            self.report(f"Tagging {seen.holds[:8]} as {seen.tag}.")
            self.api.create_tag(
                self.repo_id, repo_type="dataset", tag=seen.tag, revision=seen.holds
            )
        return None

    def _commit(self, seen: Plan) -> PushResult | None:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        adds = [CommitOperationAdd(name, self.release.path / name) for name in seen.add]
        deletes = [CommitOperationDelete(name) for name in seen.delete]
        self.report(f"Uploading {_amount(seen.add)}, as one commit.")
        self.uploaded = seen.add
        made = self.api.create_commit(
            self.repo_id,
            [*adds, *deletes],
            repo_type="dataset",
            commit_message=_title(self.release),
            parent_commit=seen.head,
            create_pr=self.create_pr,
        )
        self.report(f"Committed {made.oid[:8]}.")
        if not self.create_pr:
            return None
        self.report(f"Opened {made.pr_url}; a pull request gets no tag: push again once merged.")
        return self.result(seen, url=made.pr_url, commit=made.oid)

    def _pull_request(self, seen: Plan) -> PushResult | None:
        """The pull request that an earlier push opened for the same release."""
        refs = self.api.list_repo_refs(
            self.repo_id, repo_type="dataset", include_pull_requests=True
        )
        for ref in (refs.pull_requests or [])[-10:]:
            if self._compare(ref.target_commit).equal:
                number = ref.ref.rsplit("/", 1)[-1]
                url = f"{seen.endpoint}/datasets/{self.repo_id}/discussions/{number}"
                self.report(f"{url} holds the release; push again once it is merged, for the tag.")
                return self.result(seen, already=True, url=url, commit=ref.target_commit)
        return None

    def read_back(self, tag: str) -> None:
        found = self._compare(tag)
        if not found.equal:
            wrong = [*found.add, *found.stale]
            raise HubError(
                f"{self.repo_id} at {tag} does not hold what was released: {wrong[0]} differs "
                f"({len(wrong)} in all); build and push a new version."
            )
        self.report(f"Read {tag} back: {len(self.files)} files, all checksums agree.")

    def result(
        self,
        seen: Plan,
        *,
        already: bool = False,
        dry_run: bool = False,
        url: str | None = None,
        commit: str | None = None,
    ) -> PushResult:
        tag = None if self.create_pr else seen.tag
        sent = seen.add if dry_run else self.uploaded
        return PushResult(
            repo_id=self.repo_id,
            url=url or f"{seen.endpoint}/datasets/{self.repo_id}/tree/{tag or 'main'}",
            version=seen.version,
            tag=tag,
            commit=commit or seen.holds,
            uploaded_files=len(sent),
            uploaded_bytes=sum(sent.values()),
            already=already or (dry_run and seen.tag_equal),
            dry_run=dry_run,
        )


def _refuse_older(repo_id: str, version: str, tags: Mapping[str, str]) -> None:
    """``main`` is what a reader without a revision gets; it does not go back."""

    def order(text: str) -> tuple[int, ...]:
        return tuple(map(int, text.split(".")))

    released = [tag[1:] for tag in tags if re.fullmatch(r"v\d+\.\d+\.\d+", tag)]
    newest = max(released, key=order, default=version)
    if order(newest) > order(version):
        raise HubError(
            f"{repo_id} has v{newest} already, which is newer than {version}; "
            "build this release under a higher version."
        )


def _title(release: Release) -> str:
    return f"Release v{release.version}"


def _amount(files: Mapping[str, int]) -> str:
    count = sum(files.values())
    size = f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
    return f"{len(files)} files, {size}"
