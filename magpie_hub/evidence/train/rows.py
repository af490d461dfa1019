"""The rows that a model is trained on, of a release or of another set, as a file beside it.

That of conversations has {messages}, that of preferences {prompt, chosen, rejected}, where the
answers are messages themselves: so Axolotl and LLaMA-Factory read them too.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from magpie_hub.errors import UsageError
from magpie_hub.evidence.sources import Place, Source, open_pairs, open_source
from magpie_hub.evidence.sources.shapes import whole
from magpie_hub.evidence.train.presets import Method
from magpie_hub.export import export
from magpie_hub.export.formats import CONVERSATION, PREFERENCE
from magpie_hub.hub.client import Report
from magpie_hub.hub.versions import config_named, open_release
from magpie_hub.release import Release
from magpie_hub.storage import write_atomically

FILE = "rows.jsonl"
_NEEDS: dict[Method, tuple[str, ...]] = {"sft": CONVERSATION, "dpo": PREFERENCE}
_HOLDS: dict[Method, str] = {"sft": "conversations", "dpo": "preferences"}
_LEARNS: dict[Method, tuple[str, str]] = {
    "sft": ("conversation with an answer", "a question and its answer"),
    "dpo": ("question with a better and a worse answer", "a question and two unlike answers"),
}


@dataclass(frozen=True)
class Data:
    """A split of a config. ``sha256`` is over the checksums of a release's files; of another set
    over its rows, as they are trained on, and ``version`` is its revision on the Hub."""

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
    _into: Callable[[Path], None]

    def write(self, out: Path) -> Path:
        """``FILE`` in ``out``, complete or absent; one that is there stays."""
        file = out / FILE
        if not file.exists():
            self._into(file)
        return file


@contextmanager
def open_rows(source: str, config: str | None, method: Method, *, report: Report) -> Iterator[Rows]:
    """Of ``PLACE[:CONFIG][#KEY=VALUE,...]``: a release's folder, ``ORG/NAME@vX.Y.Z``, or another
    set in a shape that is known (see ``sources``).

    ``UsageError`` where there is no such place, config, split or shape, or where it holds nothing
    that ``method`` learns from; ``HubError`` where the Hub does not give it."""
    place = Place.parse(source)
    if config and place.config and config != place.config:
        raise UsageError(f"{source} names the config {place.config}, --config {config}; give one.")
    if place.is_release:
        rows = _of_release(place, config, method, report)
        report(
            f"{rows.data.name} {rows.data.version}, {rows.data.config}, {rows.data.split}: "
            f"{rows.data.rows:,} rows."
        )
        yield rows
        return
    # Rows are counted and told apart before anything is written where the training is to be.
    with TemporaryDirectory(prefix="magpie-hub-train-") as folder:
        yield _of_source(place, config, method, Path(folder) / FILE, report)


def _of_release(place: Place, config: str | None, method: Method, report: Report) -> Rows:
    if strange := [key for key in place.keys if key != "split"]:
        raise UsageError(
            f"{place.text}: '{strange[0]}' says nothing about a release; leave it out."
        )
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
    data = Data(manifest.name, manifest.version, name, split, entry.rows, digest.hexdigest())
    return Rows(data, method, lambda file: _exported(release, data, method, file))


def _exported(release: Release, data: Data, method: Method, file: Path) -> None:
    if method == "sft":
        export(release, data.config, form="openai", split=data.split, out=file)
        return
    part = file.with_name(f".{secrets.token_hex(4)}.jsonl")
    try:
        export(release, data.config, split=data.split, out=part, thinking=False)
        pairs = pl.read_ndjson(part).select(
            "prompt", *(pl.col(name).list.first() for name in ("chosen", "rejected"))
        )
        write_atomically(file, pairs.write_ndjson().encode())
    finally:
        with suppress(OSError):
            os.unlink(part)


def _of_source(
    place: Place, config: str | None, method: Method, spool: Path, report: Report
) -> Rows:
    """The rows of a set that ``method`` learns from, written to ``spool``."""
    text = place.text
    if config and not place.config:
        text = f"{place.place}:{config}{text.removeprefix(place.place)}"
    found = (open_source if method == "sft" else open_pairs)(text, report=report)
    digest, rows, seen = hashlib.sha256(), 0, 0
    with spool.open("wb") as file:
        for frame, of in _conversations(found) if isinstance(found, Source) else found.batches():
            lines = frame.write_ndjson().encode()
            file.write(lines)
            digest.update(lines)
            rows, seen = rows + len(frame), seen + of
    kind, lack = _LEARNS[method]
    if not rows:
        raise UsageError(f"{text} has no {kind}; nothing to train on.")
    report(
        f"{found.name}, {found.facts['shape']}: {rows:,} rows"
        + (f"; {seen - rows:,} without {lack} are left out." if seen > rows else ".")
    )
    data = Data(
        name=found.name,
        version=found.facts.get("revision", ""),
        config=config or place.config or "default",
        split=found.facts.get("split", "train"),
        rows=rows,
        sha256=digest.hexdigest(),
    )
    return Rows(data, method, lambda file: _moved(spool, file))


def _conversations(source: Source) -> Iterator[tuple[pl.DataFrame, int]]:
    """Those in which somebody is answered, and out of how many."""
    for frame, _ in source.batches():
        yield frame.select("messages").filter(_answered()), len(frame)


def _answered() -> pl.Expr:
    """Whether a question is answered, in messages that are whole."""
    roles = pl.col("messages").list.eval(pl.element().struct.field("role"))
    both = roles.list.contains("user") & roles.list.contains("assistant")
    return (whole("messages") & both).fill_null(False)


def _moved(spool: Path, file: Path) -> None:
    """Over the border of a file system, and all the same complete or absent."""
    part = file.with_name(f".{secrets.token_hex(4)}.jsonl")
    try:
        shutil.copyfile(spool, part)
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)


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
