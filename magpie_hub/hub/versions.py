"""Releases on the Hub: which there are, where their tags stand, and a copy of one to read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magpie_hub.errors import HubError, InvalidData, UsageError
from magpie_hub.hub.client import Report, connect, failures, patiently
from magpie_hub.release import MANIFEST, Manifest, Release, file_entry, numbers

if TYPE_CHECKING:
    from huggingface_hub import GitRefs, HfApi

_NAME = r"\w[\w.-]*/\w[\w.-]*"
_VERSION = r"\d{1,9}\.\d{1,9}\.\d{1,9}"


@dataclass(frozen=True, kw_only=True)
class Released:
    """A version on the Hub; ``date`` is its commit's, ``rows`` are those of each config. ``rows``
    is None where this program cannot read the manifest."""

    version: str
    commit: str
    date: str | None
    rows: Mapping[str, int] | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def check_name(repo_id: str) -> None:
    if not re.fullmatch(_NAME, repo_id, re.ASCII):
        raise UsageError(f"'{repo_id}' is not the name of a dataset on the Hub; write ORG/NAME.")


def check_version(version: str) -> None:
    if not re.fullmatch(_VERSION, version, re.ASCII):
        raise UsageError(f"'{version}' is not a version; write X.Y.Z, such as 1.0.0.")


def tags(api: HfApi, repo_id: str) -> dict[str, str]:
    """The commit of each version, the lowest first."""
    return numbered(api.list_repo_refs(repo_id, repo_type="dataset"))


def numbered(refs: GitRefs) -> dict[str, str]:
    """The commit of each tag vX.Y.Z under its version, the lowest first."""
    found = {
        ref.name[1:]: ref.target_commit
        for ref in refs.tags
        if re.fullmatch(f"v{_VERSION}", ref.name, re.ASCII)
    }
    return dict(sorted(found.items(), key=lambda each: numbers(each[0])))


def commit_of(known: Mapping[str, str], repo_id: str, version: str | None) -> str:
    """The commit of ``version``, or of the newest. ``HubError`` says which versions there are."""
    if not known:
        raise HubError(f"{repo_id} has no version: none of its tags is vX.Y.Z.")
    version = version or [*known][-1]
    if version not in known:
        raise HubError(f"{repo_id} has no version {version}; there are: {', '.join(known)}.")
    return known[version]


def manifest_file(
    api: HfApi, repo_id: str, revision: str, folder: Path | None = None
) -> Path | None:
    """The manifest at ``revision``, in the cache or in ``folder``; None where there is none."""
    from huggingface_hub.errors import RemoteEntryNotFoundError

    with suppress(RemoteEntryNotFoundError):
        return Path(
            api.hf_hub_download(
                repo_id, MANIFEST, repo_type="dataset", revision=revision, local_dir=folder
            )
        )
    return None


def no_manifest(repo_id: str, version: str) -> HubError:
    return HubError(
        f"{repo_id} at v{version} holds no {MANIFEST}, so it was not released by magpie-hub; read "
        "it with datasets.load_dataset, and check it yourself."
    )


def releases(repo_id: str, *, token: str | None = None, report: Report) -> list[Released]:
    """The releases of ours on the Hub, the lowest version first; of each only its manifest is
    fetched. ``HubError`` where there are none."""
    check_name(repo_id)
    found: list[Released] = []
    with connect(repo_id, token, reading=True) as (api, _):
        known = patiently(lambda: tags(api, repo_id), report)
        dates = _dates(api, repo_id, "main") if known else {}
        for version, commit in known.items():
            file = manifest_file(api, repo_id, commit)
            if file is None:
                continue
            dates = dates if commit in dates else dates | _dates(api, repo_id, commit)
            rows = None
            with suppress(InvalidData):
                configs = Release.open(file.parent).manifest.configs
                rows = {name: config.rows for name, config in configs.items()}
            found.append(
                Released(version=version, commit=commit, date=dates.get(commit), rows=rows)
            )
    if not found:
        raise HubError(
            f"{repo_id} has no releases of magpie-hub: no tag vX.Y.Z of it holds a {MANIFEST}; "
            "`magpie-hub push RELEASE ORG/NAME` makes one."
        )
    return found


def _dates(api: HfApi, repo_id: str, revision: str) -> dict[str, str]:
    commits = api.list_repo_commits(repo_id, repo_type="dataset", revision=revision)
    return {each.commit_id: each.created_at.isoformat(timespec="seconds") for each in commits}


def fetch(
    repo_id: str,
    version: str | None,
    wanted: Callable[[Manifest], Iterable[str]],
    *,
    token: str | None = None,
    report: Report,
) -> tuple[Release, bool]:
    """A release in the cache of huggingface_hub, with its files ``wanted``, and whether it comes
    from there alone: where the Hub cannot be asked, the copy of exactly this version is taken.
    Without a version it is the newest, which only the Hub knows."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import RepositoryNotFoundError

    with connect(repo_id, token, reading=True) as (api, _):
        cached = version and try_to_load_from_cache(
            repo_id, MANIFEST, revision=f"v{version}", repo_type="dataset"
        )

        def known() -> dict[str, str]:
            return tags(api, repo_id)

        try:
            # What is there already need not wait for a Hub that may come back.
            there = known() if isinstance(cached, str) else patiently(known, report)
            commit = commit_of(there, repo_id, version)
            release = _at(api, repo_id, version or [*there][-1], commit)
            files = list(wanted(release.manifest))
            api.snapshot_download(
                repo_id, repo_type="dataset", revision=commit, allow_patterns=files
            )
        except failures() as error:
            if not isinstance(cached, str) or isinstance(error, RepositoryNotFoundError):
                raise
            release = Release.open(Path(cached).parent)
            if not all((release.path / file).is_file() for file in wanted(release.manifest)):
                raise
            report(f"The Hub cannot be asked; {repo_id} v{version} comes from the cache.")
            return release, True
    return release, False


def _at(api: HfApi, repo_id: str, version: str, commit: str) -> Release:
    """Asked for by its tag, so that the cache knows the tag's commit when the Hub is away."""
    file = manifest_file(api, repo_id, f"v{version}")
    if file is None:
        raise no_manifest(repo_id, version)
    if file.parent.name != commit:
        raise HubError(f"v{version} of {repo_id} moved while it was read; try again.")
    return Release.open(file.parent)


def check_file(release: Release, name: str, where: str) -> None:
    """``HubError`` where a file of the cache is not what was released."""
    file = release.path / name
    if file_entry(file) != release.manifest.files.get(name):
        raise HubError(
            f"{file} is not what {where} released; delete it with the file that it links to, and "
            "load again."
        )


def open_release(place: str | Path, *, report: Report = lambda line: None) -> Release:
    """A folder, or what the Hub has under ``ORG/NAME@vX.Y.Z``; without a version the newest. Where
    the Hub cannot be asked, a copy of exactly that version in the cache does."""
    named = re.fullmatch(f"({_NAME})(?:@v?({_VERSION}))?", str(place), re.ASCII)
    if Path(place).exists() or not named:
        return Release.open(place)
    repo_id, version = named.groups()
    try:
        release, cached = fetch(repo_id, version, _rows_and_recipes, report=report)
    except HubError as error:
        if version is not None:
            raise
        raise HubError(f"{error} Nor is there a folder {place}.") from error
    for name in _rows_and_recipes(release.manifest) if cached else ():
        check_file(release, name, f"{repo_id} v{version}")
    return release


def _rows_and_recipes(manifest: Manifest) -> list[str]:
    return [name for name in manifest.files if re.fullmatch(r"data/.+|recipe[^/]*\.yaml", name)]


def config_named(manifest: Manifest, name: str | None, where: str) -> str:
    """``name``, or the default config. ``UsageError`` names the nearest there is."""
    from difflib import get_close_matches

    configs = manifest.configs
    if name is None:
        return next(each for each, config in configs.items() if config.default)
    if name not in configs:
        near = get_close_matches(name, configs, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else "."
        raise UsageError(f"{where} has no config '{name}', only {', '.join(configs)}{hint}")
    return name
