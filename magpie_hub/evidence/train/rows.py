"""The rows of a release that a model is trained on, as a file beside it.

That of conversations has {messages}, that of preferences {prompt, chosen, rejected}, where the
answers are messages themselves: so Axolotl and LLaMA-Factory read them too.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from magpie_hub.errors import UsageError
from magpie_hub.evidence.sources import Place
from magpie_hub.evidence.train.presets import Method
from magpie_hub.export import export
from magpie_hub.export.formats import CONVERSATION, PREFERENCE
from magpie_hub.hub_client import Report
from magpie_hub.release import Release
from magpie_hub.storage import write_atomically
from magpie_hub.versions import config_named, open_release

FILE = "rows.jsonl"
_NEEDS: dict[Method, tuple[str, ...]] = {"sft": CONVERSATION, "dpo": PREFERENCE}
_HOLDS: dict[Method, str] = {"sft": "conversations", "dpo": "preferences"}


@dataclass(frozen=True)
class Data:
    """A split of a release's config; ``sha256`` is over the checksums of its files."""

    name: str
    version: str
    config: str
    split: str
    rows: int
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Rows:
    data: Data
    method: Method
    release: Release

    def write(self, out: Path) -> Path:
        """``FILE`` in ``out``, complete or absent; one that is there stays."""
        file = out / FILE
        if file.exists():
            return file
        config, split = self.data.config, self.data.split
        if self.method == "sft":
            export(self.release, config, form="openai", split=split, out=file)
            return file
        part = out / f".{secrets.token_hex(4)}.jsonl"
        try:
            export(self.release, config, split=split, out=part, thinking=False)
            pairs = pl.read_ndjson(part).select(
                "prompt", *(pl.col(name).list.first() for name in ("chosen", "rejected"))
            )
            write_atomically(file, pairs.write_ndjson().encode())
        finally:
            with suppress(OSError):
                os.unlink(part)
        return file


def open_rows(source: str, config: str | None, method: Method, *, report: Report) -> Rows:
    """Of ``PLACE[:CONFIG][#split=NAME]``, where PLACE is a release's folder or ``ORG/NAME@vX.Y.Z``.

    ``UsageError`` where there is no such release, config or split, or where it holds nothing that
    ``method`` learns from; ``HubError`` where the Hub does not give it."""
    place = Place.parse(source)
    if strange := [key for key in place.keys if key != "split"]:
        raise UsageError(f"{source}: '{strange[0]}' says nothing about a release; leave it out.")
    if config and place.config and config != place.config:
        raise UsageError(f"{source} names the config {place.config}, --config {config}; give one.")
    here = Path(place.place).expanduser()
    release = open_release(here if here.exists() else place.place, report=report)
    manifest = release.manifest
    name = config_named(manifest, config or place.config, place.place)
    splits = manifest.configs[name].splits
    split = place.keys.get("split") or ("train" if "train" in splits else next(iter(splits)))
    if split not in splits:
        raise UsageError(f"{name} has no split '{split}', only {', '.join(splits)}.")
    entry = splits[split]
    if not entry.rows:
        raise UsageError(f"the config '{name}' of {place.place} has no rows; nothing to train on.")
    _require(release, entry.files[0], name, method)
    digest = hashlib.sha256()
    for file in entry.files:
        digest.update(manifest.files[file].sha256.encode())
    report(f"{manifest.name} {manifest.version}, {name}, {split}: {entry.rows:,} rows.")
    data = Data(manifest.name, manifest.version, name, split, entry.rows, digest.hexdigest())
    return Rows(data, method, release)


def _require(release: Release, file: str, config: str, method: Method) -> None:
    columns = set(pq.read_schema(release.path / file).names)
    if columns.issuperset(_NEEDS[method]):
        return
    for other, needs in _NEEDS.items():
        if columns.issuperset(needs):
            raise UsageError(
                f"the config '{config}' holds {_HOLDS[other]}, and {method} learns from "
                f"{_HOLDS[method]}; train on it with --method {other}, or name another config."
            )
    raise UsageError(f"the config '{config}' holds neither conversations nor preferences.")
