"""A version as its reader gets it: the rows that were released, or an error.

`datasets.load_dataset(..., revision="v1.0.0")` gives whatever version is in its cache where the
Hub cannot be asked or does not accept the token. Here the tag is resolved first, every file is
compared with the manifest, and what is prepared from it is kept apart by commit.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from magpie_hub.errors import HubError, UsageError
from magpie_hub.hub.versions import check_file, check_name, check_version, config_named, fetch
from magpie_hub.release import Manifest, Release

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

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
    where = f"{repo_id} v{version}"

    def wanted(manifest: Manifest) -> list[str]:
        splits = manifest.configs[config_named(manifest, config, where)].splits
        return [file for split in splits.values() for file in split.files]

    release, _ = fetch(repo_id, version, wanted, token=token, report=_log.warning)
    name = config_named(release.manifest, config, where)
    splits = release.manifest.configs[name].splits
    unknown = [each for each in _splits(split) if each not in (*splits, "all")]
    if unknown:
        raise UsageError(
            f"{name} of {where} has no split '{unknown[0]}', only {', '.join(splits)}."
        )
    for file in wanted(release.manifest):
        check_file(release, file, where)
    return _prepared(release, name, split, where)


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
