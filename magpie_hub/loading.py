"""A version as its reader gets it: the rows that were released, or an error.

`datasets.load_dataset(..., revision="v1.0.0")` gives whatever version is in its cache where the
Hub cannot be asked or does not accept the token. Here the tag is resolved first, every file is
compared with the manifest, and what is prepared from it is kept apart by commit.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

from magpie_hub.errors import HubError, UsageError
from magpie_hub.hub_client import connect, failures, patiently
from magpie_hub.release import MANIFEST, Release, file_entry
from magpie_hub.versions import (
    check_name,
    check_version,
    commit_of,
    config_named,
    manifest_file,
    no_manifest,
    tags,
)

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict
    from huggingface_hub import HfApi

_log = logging.getLogger(__name__)


def load(
    repo_id: str,
    config: str | None = None,
    *,
    version: str,
    split: str | None = None,
    token: str | None = None,
) -> Dataset | DatasetDict:
    """The rows of ``config`` (the default one where none is named) of the release ``version``, as
    ``datasets.load_dataset`` returns them; ``split`` as there, such as ``train[:10]``.

    Without the Hub the copy in the cache is taken, where it is this version's. ``HubError`` where
    it is not, or where a file or a count is not what was released; ``UsageError`` where there is
    no such config or split."""
    check_name(repo_id)
    check_version(version)
    release, name = _fetched(repo_id, version, config, token)
    where = f"{repo_id} v{version}"
    splits = release.manifest.configs[name].splits
    unknown = [each for each in _splits(split) if each not in (*splits, "all")]
    if unknown:
        raise UsageError(
            f"{name} of {where} has no split '{unknown[0]}', only {', '.join(splits)}."
        )
    for file in (release.path / each for entry in splits.values() for each in entry.files):
        if file_entry(file) != release.manifest.files[file.relative_to(release.path).as_posix()]:
            raise HubError(
                f"{file} is not what {where} released; delete it with the file that it links to, "
                "and load again."
            )
    return _prepared(release, name, split, where)


def _fetched(
    repo_id: str, version: str, config: str | None, token: str | None
) -> tuple[Release, str]:
    """The files of the config, in the cache of huggingface_hub, and the config's name."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import RepositoryNotFoundError

    tag, where = f"v{version}", f"{repo_id} v{version}"
    with connect(repo_id, token, reading=True) as (api, _):
        cached = try_to_load_from_cache(repo_id, MANIFEST, revision=tag, repo_type="dataset")

        def known() -> dict[str, str]:
            return tags(api, repo_id)

        try:
            # What is there already need not wait for a Hub that may come back.
            there = known() if isinstance(cached, str) else patiently(known, _log.warning)
            release = _at(api, repo_id, version, commit_of(there, repo_id, version))
            name = config_named(release.manifest, config, where)
            api.snapshot_download(
                repo_id,
                repo_type="dataset",
                revision=release.path.name,
                allow_patterns=_files(release, name),
            )
        except failures() as error:
            if not isinstance(cached, str) or isinstance(error, RepositoryNotFoundError):
                raise
            release = Release.open(Path(cached).parent)
            name = config_named(release.manifest, config, where)
            if not all((release.path / file).is_file() for file in _files(release, name)):
                raise
            _log.warning("The Hub cannot be asked; %s comes from the cache.", where)
    return release, name


def _at(api: HfApi, repo_id: str, version: str, commit: str) -> Release:
    """Asked for by its tag, so that the cache knows the tag's commit when the Hub is away."""
    file = manifest_file(api, repo_id, f"v{version}")
    if file is None:
        raise no_manifest(repo_id, version)
    if file.parent.name != commit:
        raise HubError(f"v{version} of {repo_id} moved while it was read; load again.")
    return Release.open(file.parent)


def _files(release: Release, config: str) -> list[str]:
    splits = release.manifest.configs[config].splits
    return [file for split in splits.values() for file in split.files]


def _splits(split: str | None) -> list[str]:
    """The names in ``train[:10%]+test``."""
    return [part.partition("[")[0].strip() for part in re.split(r"\+", split)] if split else []


def _prepared(
    release: Release, config: str, split: str | None, where: str
) -> Dataset | DatasetDict:
    from datasets import load_dataset_builder

    splits = release.manifest.configs[config].splits
    data = {name: [str(release.path / f) for f in each.files] for name, each in splits.items()}
    builder = load_dataset_builder("parquet", config, data_files=data)
    builder.download_and_prepare()
    found = {name: each.num_examples for name, each in builder.info.splits.items()}
    for name, entry in splits.items():
        if found.get(name) != entry.rows:
            raise HubError(
                f"{config} of {where} has {found.get(name, 0):,} rows in {name}, but its manifest "
                f"says {entry.rows:,}; do not use it, and ask for a new version."
            )
    return builder.as_dataset(split=split)
