"""A release on the Hub: one commit and one tag, read back.

Each turn looks at the Hub and takes the next step that is missing: repository, commit, tag. So a
push that was killed, or whose answer was lost, goes on where the Hub stands; a commit names its
parent, so it cannot be made twice, and a tag is never moved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rich.filesize import decimal

from magpie_hub.errors import HubError, InvalidData
from magpie_hub.hub.client import DEFAULT_ENDPOINT, Report, check_card, connect, patiently
from magpie_hub.hub.reading import load_back, published_files
from magpie_hub.hub.standing import CARD, Plan, Standing
from magpie_hub.release import Release
from magpie_hub.release.checks import release_checks

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi

__all__ = ["Plan", "PushResult", "plan", "push"]

STEPS = 12  # a push needs four, and a few more where others push at the same time
BATCH_FILES, BATCH_BYTES = 100, 512e6  # go up before a line says how far it is


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
        return Standing(api=api, repo_id=repo_id, release=release, files=files).look()


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
            standing=Standing(api=api, repo_id=repo_id, release=release, files=files),
            private=private,
            create_pr=create_pr,
            report=report,
        )
        seen = patiently(work.observe, report)
        work.tell(seen)
        if dry_run:
            if seen.holds is None:
                patiently(lambda: check_card(api, seen.card), report)
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
            patiently(lambda: work.read_back(f"v{release.version}"), report)
            load_back(release, repo_id, tag=result.tag, secret=secret, report=report)
    return result


@dataclass(kw_only=True)
class _Push:
    """One push: the steps to the release. ``created`` and ``committed`` are this push's own."""

    api: HfApi
    standing: Standing
    private: bool
    create_pr: bool
    report: Report
    created: bool = False
    committed: str | None = None
    uploaded: Mapping[str, int] = field(default_factory=dict)
    worked: bool = False

    @property
    def repo_id(self) -> str:
        return self.standing.repo_id

    def observe(self) -> Plan:
        seen = self.standing.look()
        if seen.tag_commit is not None and not seen.tag_equal:
            raise HubError(
                f"{seen.tag} of {self.repo_id} is already released with other content "
                f"(commit {seen.tag_commit[:8]}), and a tag is never moved; build this release "
                "under a new version."
            )
        if self.created and not seen.exists:
            raise HubError(
                f"{self.repo_id} cannot be seen with this token, though the name is taken; use a "
                "token that may read and write it, or push to another name."
            )
        if seen.holds is None and self.committed is not None and seen.head == self.committed:
            raise HubError(
                f"The Hub did not take {min(seen.add, default='all')} into the commit "
                f"{self.committed[:8]} (a .gitignore there can be why); nothing was tagged, so "
                "mend that and push again."
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
            if seen.card != self.standing.ours:
                self.report(f"What people wrote into {CARD} on the Hub stays in it.")

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
            self.created = True
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

        check_card(self.api, seen.card)  # before the data goes up, which may take hours
        folder = self.standing.release.path
        adds = [
            CommitOperationAdd(name, seen.card.encode() if name == CARD else folder / name)
            for name in seen.add
        ]
        deletes = [CommitOperationDelete(name) for name in seen.delete]
        self.report(
            f"Uploading {_amount(seen.add)}, as one commit; what is there already is not sent "
            "again."
        )
        self._upload(adds, seen.add)
        self.uploaded = seen.add
        made = self.api.create_commit(
            self.repo_id,
            [*adds, *deletes],
            repo_type="dataset",
            commit_message=self.standing.title,
            parent_commit=seen.head,
            create_pr=self.create_pr,
        )
        self.report(f"Committed {made.oid[:8]}.")
        if not self.create_pr:
            self.committed = made.oid
            return None
        self.report(f"Opened {made.pr_url}; a pull request gets no tag: push again once merged.")
        return self.result(seen, url=made.pr_url, commit=made.oid)

    def _upload(self, adds: Sequence[CommitOperationAdd], sizes: Mapping[str, int]) -> None:
        """The large files, part by part: a kill loses one part at most, the addresses that the Hub
        gives out do not run out meanwhile, and a log shows how far it is."""
        files = count = 0
        for batch in _batches(adds, sizes):
            self.api.preupload_lfs_files(
                self.repo_id,
                batch,
                repo_type="dataset",
                create_pr=self.create_pr,
                free_memory=False,
            )
            files += len(batch)
            count += sum(sizes[each.path_in_repo] for each in batch)
            if len(batch) < len(adds):
                self.report(f"Uploaded {files} of {len(adds)} files, {decimal(count)}.")

    def _pull_request(self, seen: Plan) -> PushResult | None:
        """The one that an earlier push opened for the same release."""
        if (found := self.standing.pull_request()) is None:
            return None
        url, commit = found
        self.report(f"{url} holds the release; push again once it is merged, for the tag.")
        return self.result(seen, already=True, url=url, commit=commit)

    def read_back(self, tag: str) -> None:
        found = self.standing.compare(tag)
        if not found.equal:
            wrong = [*found.add, *found.stale]
            raise HubError(
                f"{self.repo_id} at {tag} does not hold what was released: {wrong[0]} differs "
                f"({len(wrong)} in all); build and push a new version."
            )
        self.report(f"Read {tag} back: {len(self.standing.files)} files, all checksums agree.")

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


def _batches(
    adds: Sequence[CommitOperationAdd], sizes: Mapping[str, int]
) -> Iterator[list[CommitOperationAdd]]:
    batch: list[CommitOperationAdd] = []
    for add in adds:
        batch.append(add)
        full = sum(sizes[each.path_in_repo] for each in batch) >= BATCH_BYTES
        if full or len(batch) == BATCH_FILES:
            yield batch
            batch = []
    if batch:
        yield batch


def _amount(files: Mapping[str, int]) -> str:
    return f"{len(files)} files, {decimal(sum(files.values()))}"
