"""The texts of benchmarks and of other datasets, each with its name: ``gsm8k:test/17``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from magpie_hub.errors import HubError, UsageError, said
from magpie_hub.recipe import Items

_READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    ".jsonl": pl.read_ndjson,
    ".ndjson": pl.read_ndjson,
    ".json": pl.read_json,
    ".csv": pl.read_csv,
    ".parquet": pl.read_parquet,
}


class Item(NamedTuple):
    """``name`` says set and item: ``gsm8k:test/17``, ``mine:3``; numbers count from 0."""

    name: str
    text: str


def read(source: Items) -> list[Item]:
    """A text for each of its fields of each of its items. ``UsageError`` and ``HubError`` say what
    cannot be read."""
    if source.file is not None:
        return read_file(source.name, Path(source.file), source.fields)
    assert source.hub is not None
    try:
        return read_hub(
            source.name,
            source.hub,
            source.fields,
            config=source.config,
            split=source.split,
            revision=source.revision,
        )
    except (OSError, ValueError) as error:  # what datasets raises for what it cannot reach or find
        raise HubError(
            f"{source.name} cannot be loaded from {source.hub} ({said(error)}); give its items as "
            "a file, or leave it out."
        ) from error


def identity(source: Items) -> str:
    """What tells it from another: a file's content, a dataset's revision. ``UsageError`` where a
    file cannot be read."""
    fields = ", ".join(source.fields) or "all"
    if source.file is None:
        at = source.revision or "its newest"
        return f"{source.hub} {source.config or ''} {source.split} at {at}: {fields}"
    try:
        content = Path(source.file).read_bytes()
    except OSError as error:
        raise UsageError(f"{source.file} cannot be read ({error.strerror}).") from error
    return f"sha256 {hashlib.sha256(content).hexdigest()[:16]}: {fields}"


def read_file(name: str, path: Path, fields: Sequence[str] = ()) -> list[Item]:
    """The items of a .jsonl, .json, .csv or .parquet file, a text for each of ``fields``; a .txt
    file has an item a line. ``UsageError`` names the file and what is wrong with it."""
    if path.suffix == ".txt":
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read: {error}.") from error
        return [Item(f"{name}:{row}", line) for row, line in enumerate(lines)]
    reader = _READERS.get(path.suffix)
    if reader is None:
        known = ", ".join([*_READERS, ".txt"])
        raise UsageError(f"{path} is none of {known}; convert it to one of them.")
    try:
        frame = reader(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from error
    return _items(name, "", str(path), frame, fields)


def read_hub(
    name: str,
    dataset: str,
    fields: Sequence[str],
    *,
    config: str | None = None,
    split: str = "test",
    revision: str | None = None,
) -> list[Item]:
    """The items of a split of a dataset on the Hub, a text for each of ``fields``."""
    from datasets import load_dataset

    table = load_dataset(dataset, config, split=split, revision=revision)
    wanted = [field for field in fields if field in table.column_names]
    frame = pl.DataFrame({field: table[field][:] for field in wanted}, strict=False)
    if missing := [field for field in fields if field not in wanted]:
        raise _no_field(dataset, missing[0], table.column_names)
    return _items(name, f"{split}/", dataset, frame, fields)


def _items(
    name: str, prefix: str, source: str, frame: pl.DataFrame, fields: Sequence[str]
) -> list[Item]:
    for field in fields or [""]:
        if field not in frame.columns:
            raise _no_field(source, field, frame.columns)
        kind = frame.schema[field]
        if (kind.inner if isinstance(kind, pl.List) else kind).is_nested():
            raise UsageError(f"the field '{field}' of {source} holds no text; name one that does.")
    columns = [
        pl.col(field).list.eval(pl.element().cast(pl.String)).list.join(" ")
        if isinstance(frame.schema[field], pl.List)  # the choices of a question
        else pl.col(field).cast(pl.String)
        for field in fields
    ]
    return [
        Item(f"{name}:{prefix}{row}", text)
        for row, texts in enumerate(frame.select(columns).rows())
        for text in texts
        if text
    ]


def _no_field(source: str, field: str, there: Sequence[str]) -> UsageError:
    wanted = f"has no field '{field}'" if field else "needs the fields to read"
    return UsageError(f"{source} {wanted}; its fields are: {', '.join(there) or 'none'}.")
