"""A release on the Hub: one commit and one tag, read back.

Each turn looks at the Hub and takes the next step that is missing: repository, commit, tag. So a
push that was killed, or whose answer was lost, goes on where the Hub stands; a commit names its
parent, so it cannot be made twice, and a tag is never moved.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from magpie_hub.errors import HubError, InvalidData, UsageError
from magpie_hub.release import MANIFEST, FileEntry, Release, file_entry

if TYPE_CHECKING:
    from httpx2 import Client, Request, Response
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

__all__ = ["Plan", "PushResult", "plan", "push"]

Report = Callable[[str], None]
T = TypeVar("T")

DEFAULT_ENDPOINT = "https://huggingface.co"
OURS = ("data/", "assets/")  # where files of a release before are deleted
HIDDEN = "hf_***"
TIMEOUT = 120.0  # seconds without a byte; the libraries would wait for ever
READING = 1800.0  # seconds for one row of each config
WAITS = (1.0, 2.0, 4.0, 8.0)  # seconds before each try after the first
LONGEST_WAIT = 60.0  # seconds that the Hub may ask us to wait; more is an error
PASSING = (408, 409, 412, 429, 500, 502, 503, 504)  # looking again shows what to do
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
    files = _files(release, repo_id)
    with _hub(repo_id, token) as (api, _):
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
    after anything ends the same. ``InvalidData`` where a file is not what the manifest says,
    ``HubError`` where the Hub refuses or serves something else."""
    files = _files(release, repo_id)
    report(f"Checking {len(files)} files of {release.path}.")
    release.check()
    with _hub(repo_id, token) as (api, secret):
        if api.endpoint != DEFAULT_ENDPOINT:
            report(f"The Hub is {api.endpoint} (HF_ENDPOINT).")
        user = _patiently(api.whoami, report)
        work = _Push(
            api=api,
            repo_id=repo_id,
            release=release,
            files=files,
            private=private,
            create_pr=create_pr,
            report=report,
        )
        seen = _patiently(work.observe, report)
        work.tell(seen)
        if dry_run:
            report("This was a dry run: nothing was changed.")
            return work.result(seen, dry_run=True)
        if user.get("auth", {}).get("accessToken", {}).get("role") == "read":
            raise HubError(f"The token can only read; use one that may write to {repo_id}.")
        for _ in range(STEPS):
            if (result := _patiently(work.step, report)) is not None:
                break
        else:
            raise HubError(f"{repo_id} is changed by others all the time; push again later.")
        if result.tag is not None:
            work.read_back(result.tag)
            _load_back(release, repo_id, result.tag, secret, report)
    return result


class _Comparison(NamedTuple):
    """``add``: new or different; ``stale``: in our folders on the Hub, but not in the release."""

    add: dict[str, int]
    same: dict[str, int]
    stale: list[str]

    @property
    def equal(self) -> bool:
        """A reader gets the release; a foreign file under assets/ does not change that."""
        return not self.add and not any(name.startswith("data/") for name in self.stale)


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

    def _compare(self, revision: str | None) -> _Comparison:
        from huggingface_hub.hf_api import RepoFile

        tree: dict[str, RepoFile] = {}
        if revision is not None:
            entries = self.api.list_repo_tree(
                self.repo_id, repo_type="dataset", revision=revision, recursive=True
            )
            tree = {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}
        add: dict[str, int] = {}
        same: dict[str, int] = {}
        for name, entry in self.files.items():
            equal = name in tree and _equal(tree[name], entry, self.release.path / name)
            (same if equal else add)[name] = entry.size
        stale = [name for name in tree if name.startswith(OURS) and name not in self.files]
        return _Comparison(add, same, stale)

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


# What is released


def _files(release: Release, repo_id: str) -> dict[str, FileEntry]:
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


def _equal(there: RepoFile, entry: FileEntry, file: Path) -> bool:
    """Large files are known by their sha256, small ones by git's own hash."""
    if there.size != entry.size:
        return False
    if there.lfs is not None:
        return there.lfs.sha256 == entry.sha256
    data = file.read_bytes()
    return there.blob_id == hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


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


# What a reader gets


def _load_back(release: Release, repo_id: str, tag: str, secret: str, report: Report) -> None:
    """Read a row of each config at the tag as a reader does: in a fresh process with an empty
    cache, since a warm one can serve another version."""
    wanted = sorted(name for name, entry in release.manifest.configs.items() if entry.rows)
    with tempfile.TemporaryDirectory() as home:
        environment = {n: v for n, v in os.environ.items() if not n.endswith("_CACHE")} | {
            "HF_HOME": f"{home}/hf",
            "HF_TOKEN": secret,
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),
        }
        try:
            process = subprocess.run(
                [sys.executable, "-c", "from magpie_hub import hub; hub._read_rows()"],
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


def _read_rows() -> None:
    import datasets

    repo_id, tag, configs = json.load(sys.stdin)
    for config in configs:
        splits = datasets.load_dataset(
            f"hf://datasets/{repo_id}", config, revision=tag, streaming=True
        )
        for name, rows in splits.items():
            if next(iter(rows), None) is None:
                sys.exit(f"split {name} of {config} is empty")


# The client libraries, their waits and their errors


@contextmanager
def _hub(repo_id: str, token: str | None) -> Iterator[tuple[HfApi, str]]:
    """A client and the token that it uses; what it raises leaves as one ``HubError``."""
    from huggingface_hub import HfApi, get_token, set_client_factory
    from huggingface_hub.utils import _http

    def client() -> Client:
        made = before()
        hooks = made.event_hooks
        made.event_hooks = {
            "request": [*hooks["request"], _bound],
            "response": [*hooks["response"], _refuse_long_waits],
        }
        return made

    secret = ""
    before = _http._GLOBAL_CLIENT_FACTORY  # a caller's proxies and certificates stay in force
    set_client_factory(client)
    try:
        secret = (token or get_token() or "").strip()
        if not secret:
            raise HubError("There is no token for the Hub; set HF_TOKEN or run `hf auth login`.")
        yield HfApi(token=secret), secret
    except _failures() as error:
        sentence = _sentence(error, repo_id)
        raise HubError(sentence.replace(secret, HIDDEN) if secret else sentence) from error
    finally:
        set_client_factory(before)


def _bound(request: Request) -> None:
    """Some calls of the libraries have no timeout, whatever the client's is."""
    given = request.extensions.get("timeout", {})
    kinds = ("connect", "read", "write", "pool")
    request.extensions["timeout"] = {
        kind: TIMEOUT if given.get(kind) is None else given[kind] for kind in kinds
    }


def _asked_wait(response: Response) -> float:
    """Seconds that the Hub asks to wait; 0 where it does not say."""
    used_up = re.search(r"\br=0;\s*t=(\d+)", response.headers.get("ratelimit", ""))
    asked = used_up[1] if used_up else response.headers.get("retry-after", "")
    return float(asked) if asked.isdigit() and response.status_code in PASSING else 0.0


def _refuse_long_waits(response: Response) -> None:
    """The libraries would sleep for as long as they are told."""
    if (wait := _asked_wait(response)) > LONGEST_WAIT:
        raise HubError(
            f"The Hub asks to wait {wait:.0f} s ({response.status_code}); push again after that. "
            "What is there stays, and the push goes on from it."
        )


def _patiently(call: Callable[[], T], report: Report) -> T:
    """``call``, again after what passes by itself. It must look at the Hub first each time."""
    for wait in WAITS:
        try:
            return call()
        except _failures() as error:
            if (why := _passing(error)) is None:
                raise
            wait = max(wait, _asked_wait(error.response) if hasattr(error, "response") else 0)
            report(f"{why}; looking again in {wait:.0f} s.")
            time.sleep(wait)
    return call()


def _passing(error: BaseException) -> str | None:
    """What happened, where trying again may help."""
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status in (409, 412):
            return "Someone else changed the repository meanwhile"
        return f"The Hub answered {status}" if status in PASSING else None
    if isinstance(error, _http_error()):
        return f"The connection to the Hub failed ({type(error).__name__})"
    if isinstance(error, json.JSONDecodeError):
        return "Something that is not the Hub answered"
    return None


def _http_error() -> type[Exception]:
    """The root of the HTTP library's errors: httpx or httpx2, by the line of huggingface_hub."""
    from huggingface_hub.errors import HfHubHTTPError

    return HfHubHTTPError.__bases__[0]


def _failures() -> tuple[type[Exception], ...]:
    """All that the libraries raise; xet raises the builtin ``ConnectionError``, an ``OSError``."""
    from huggingface_hub import errors

    login = (getattr(errors, name, OSError) for name in ("OIDCError", "DeviceCodeError"))
    return (_http_error(), OSError, ValueError, RuntimeError, *login)


def _sentence(error: BaseException, repo_id: str) -> str:
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, (HubError, _http_error())):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, HubError):
        return str(cause)
    if isinstance(cause, HfHubHTTPError) and not isinstance(error, ValueError):
        said = f" ({cause.server_message})" if cause.server_message else ""
        status = cause.response.status_code
        if status == 401:
            return (
                "The Hub does not accept the token: it is wrong, expired or revoked; set HF_TOKEN "
                "to a valid one or run `hf auth login`."
            )
        if status == 403:
            return (
                f"The token may not write to {repo_id}{said}; use one with write access to "
                f"{repo_id.split('/')[0]}, or push to a name of your own."
            )
        if status in PASSING:
            return (
                f"The Hub still answers {status} after {len(WAITS) + 1} tries{said}; push again "
                "later. What is there stays, and the push goes on from it."
            )
        return f"The Hub refused with {status}{said}; nothing more was changed in {repo_id}."
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so the Hub cannot be reached; unset it and push again."
    if isinstance(error, RuntimeError) and cause is not None:
        error = cause  # a failed upload of a file; the connection's error says more
    text = " ".join(str(error).split()).rstrip(".")
    if isinstance(error, (_http_error(), OSError, json.JSONDecodeError)):
        return (
            f"The Hub could not be reached ({text or type(error).__name__}); check the network and "
            "HF_ENDPOINT, then push again: it goes on from what is there."
        )
    return f"The Hub refused: {text}. Nothing was released; mend that and push again."
