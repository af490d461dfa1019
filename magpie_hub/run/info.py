"""What ``run.json`` holds: a run's stages by their fingerprints, and what contradicts them."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from importlib import metadata

from pydantic import BaseModel, ConfigDict, ValidationError

from magpie_hub.errors import InvalidData, RunMismatch
from magpie_hub.licences import ModelLicense
from magpie_hub.storage import Folder

__all__ = ["INFO", "RunInfo", "StageInfo", "read_info", "refuse_contradiction", "versions"]

INFO = "run.json"
_LIBRARIES = ("magpie-hub", "torch", "transformers", "llguidance", "polars", "pyarrow", "datasets")


class StageInfo(BaseModel):
    """A stage as this run does it.

    ``keys`` are what shapes its rows, in words; with ``after``, the fingerprint of the stage
    before, they are its fingerprint. ``coverage`` says which rows it is for: where only that
    changes (a new gate), rows that are there stay and the missing ones are added. A ``cheap`` stage
    asks no model and is simply done again where its keys change. One that looks at the ``whole``,
    all rows beside each other, is done again where rows are added.
    ``columns`` are the published ones that it makes, and ``writers`` the models whose words are
    published.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    folder: str
    keys: dict[str, str]
    after: str = ""
    coverage: str = ""
    cheap: bool = False
    whole: bool = False
    columns: tuple[str, ...]
    model: str | None = None
    revision: str | None = None
    prompt_sha256: str | None = None
    writers: tuple[ModelLicense, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        text = json.dumps([self.name, self.after, sorted(self.keys.items())], ensure_ascii=False)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class RunInfo(BaseModel):
    """What ``run.json`` holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = 1
    shard_rows: int
    rows: int
    stages: tuple[StageInfo, ...]
    versions: dict[str, str]


def read_info(folder: Folder) -> RunInfo | None:
    try:
        return RunInfo.model_validate_json(folder.read(INFO))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValidationError as error:
        raise InvalidData(
            f"{folder}/{INFO} is damaged; put back a copy, or choose another --out."
        ) from error


def refuse_contradiction(run: Folder, old: RunInfo, new: RunInfo) -> None:
    if old.shard_rows != new.shard_rows:
        raise RunMismatch(
            f"{run} was laid out with shard_rows: {old.shard_rows}, not {new.shard_rows}; keep "
            "it, or choose another --out."
        )
    if new.rows < old.rows:
        raise RunMismatch(
            f"{run} has rows: {old.rows}, and a run only grows; {new.rows} rows need another "
            "--out, or a config with a filter."
        )
    before = {stage.name: stage for stage in old.stages}
    for stage in new.stages:
        there = before.get(stage.name)
        if there is None or there.fingerprint == stage.fingerprint or there.cheap:
            continue
        if not any(name.endswith(".arrow") for name in run.child(stage.folder).names()):
            continue
        keys = sorted(
            key for key in {*there.keys, *stage.keys} if there.keys.get(key) != stage.keys.get(key)
        )
        changes = "; ".join(
            f"{key}: {there.keys.get(key, 'absent')} there, {stage.keys.get(key, 'absent')} here"
            for key in keys
        )
        raise RunMismatch(
            f"{run}/{stage.folder} holds rows of another recipe ({stage.name}: "
            f"{changes or 'an earlier stage differs'}); choose another --out, or delete that "
            "folder to do the stage again."
        )


def versions() -> dict[str, str]:
    """The versions of the libraries that shape rows, where they are installed."""
    return {lib: metadata.version(lib) for lib in _LIBRARIES if _installed(lib)}


def _installed(library: str) -> bool:
    try:
        metadata.version(library)
    except metadata.PackageNotFoundError:
        return False
    return True
