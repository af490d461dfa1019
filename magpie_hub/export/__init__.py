"""``export``: one config of a release as the file that another trainer reads.

Rows go from row group to row group, so that a release of any size is exported in the memory of one
of them. The forms stand in ``formats.py``, Magpie's names for our columns in ``magpie.py``.
"""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from magpie_hub.errors import InvalidData, StorageError, UsageError
from magpie_hub.export import magpie
from magpie_hub.export.formats import ROLES, Format, folded, format_for
from magpie_hub.export.magpie import Beside
from magpie_hub.filters import nearest
from magpie_hub.release import Release
from magpie_hub.storage import sync

_SPLIT = "train"
_ENDINGS = (".jsonl", ".parquet")
_THOUGHTFUL = pl.List(pl.Struct(dict.fromkeys(("role", "content", "thinking"), pl.String)))
_Write = Callable[[pl.DataFrame], None]


class Exported(NamedTuple):
    """``rows`` are those of the file: of a preference, ``kto`` makes two."""

    file: Path
    rows: int


def export(
    release: Release,
    config: str,
    *,
    form: str = "messages",
    split: str | None = None,
    out: Path | None = None,
    magpie_columns: bool = False,
    thinking: bool = True,
) -> Exported:
    """Write a split of ``config`` in the form ``form`` to ``out``, JSONL or Parquet by its ending;
    by default to ``<release>-<config>-<form>.jsonl`` in the current folder, or ``.parquet`` with
    ``magpie_columns``, since a reader of JSONL cannot tell the type of a column that begins with
    nulls. The file is complete or not there.

    Beside the form's columns stands ``id``, or with ``magpie_columns`` all others. ``UsageError``
    where there is no such config, split or form, where the rows do not fit the form, and where
    ``out`` exists; ``InvalidData`` where the release is damaged."""
    split, files = _files(release, config, split)
    source = pq.read_schema(files[0])
    shape = format_for(form, source.names, config=config)
    if shape.alone and magpie_columns:
        raise UsageError(f"{form} holds messages and nothing else; leave out --magpie-columns.")
    if out is None:
        which = config if split == _SPLIT else f"{config}-{split}"
        ending = ".parquet" if magpie_columns else ".jsonl"
        out = Path(f"{release.manifest.name}-{which}-{form}{ending}")
    if out.suffix not in _ENDINGS:
        raise UsageError(f"{out}: the file's name must end with {' or '.join(_ENDINGS)}.")
    if out.exists():
        raise UsageError(f"{out} exists already; delete it or choose another name with -o.")

    beside: tuple[Beside, ...] = ()
    if magpie_columns:
        beside = magpie.columns(source, release.manifest, turns=_turns(files, source))
    elif not shape.alone and "id" in source.names:
        beside = (Beside("id", pa.string(), pl.col("id")),)
    beside = tuple(each for each in beside if each.name not in shape.types.names)
    needed = [n for n in source.names if magpie_columns or n in (*shape.needs, "id")]
    types = _types(shape, source, beside, thinking=thinking)
    rows = 0
    with _appearing(out) as stream, _writing(stream, out.suffix, types) as write:
        for file in files:
            for group in _groups(file, needed):
                frame = _converted(group, shape, beside, thinking=thinking)
                write(frame)
                rows += frame.height
    return Exported(out, rows)


def _files(release: Release, config: str, split: str | None) -> tuple[str, list[Path]]:
    """The split that is meant and its files, which are as they were built."""
    configs = release.manifest.configs
    if config not in configs:
        raise UsageError(f"there is no config {config!r}; {nearest(config, configs)}")
    splits = configs[config].splits
    split = split or (_SPLIT if _SPLIT in splits else next(iter(splits)))
    if split not in splits:
        raise UsageError(f"{config} has no split {split!r}; {nearest(split, splits)}")
    names = splits[split].files
    entries = {name: release.manifest.files[name] for name in names}
    Release(release.path, release.manifest.model_copy(update={"files": entries})).check()
    return split, [release.path / name for name in names]


def _groups(file: Path, columns: list[str]) -> Iterator[pl.DataFrame]:
    with pq.ParquetFile(file) as source:
        for index in range(source.num_row_groups):
            frame = pl.from_arrow(source.read_row_group(index, columns=columns))
            assert isinstance(frame, pl.DataFrame)
            yield frame


def _turns(files: list[Path], source: pa.Schema) -> int:
    """The most turns that a row has."""
    if "turns" not in source.names:
        return 1
    most = (pc.max(pq.read_table(file, columns=["turns"])["turns"]).as_py() for file in files)
    return max((int(turns) for turns in most if turns), default=1)


def _types(
    shape: Format, source: pa.Schema, beside: tuple[Beside, ...], *, thinking: bool
) -> pa.Schema:
    own = shape.types
    if shape.as_is and thinking:
        own = pa.schema([source.field(name) for name in own.names])
    return pa.schema([*((f.name, f.type) for f in own), *((b.name, b.type) for b in beside)])


def _converted(
    frame: pl.DataFrame, shape: Format, beside: tuple[Beside, ...], *, thinking: bool
) -> pl.DataFrame:
    for column in shape.needs:
        roles = pl.col(column).list.eval(pl.element().struct.field("role")).list.join(",")
        fits = frame.select(roles.str.contains(ROLES[column]).fill_null(False)).to_series()
        if not fits.all():
            place = (~fits).arg_true()[0]
            row = frame.row(place, named=True)
            raise InvalidData(
                f"the {column} of row {row.get('id', place)} does not go from user to assistant "
                f"and back, as {shape.name} needs it; mend the builder that wrote it."
            )
    plain = frame.with_columns(
        folded(column, thinking=thinking)
        for column in shape.needs
        if frame.schema[column] == _THOUGHTFUL
    )
    others = plain.select(each.value.alias(each.name) for each in beside)
    own = frame if shape.as_is and thinking else plain
    parts = [pl.concat([own.select(**columns), others], how="horizontal") for columns in shape.rows]
    if len(parts) == 1:
        return parts[0]
    # The rows that one row became stand together.
    order = np.arange(frame.height * len(parts)).reshape(len(parts), -1).T.ravel()
    return pl.concat(parts)[order]


@contextmanager
def _writing(stream: BinaryIO, ending: str, types: pa.Schema) -> Iterator[_Write]:
    """What writes one frame after the other."""
    if ending == ".parquet":
        with pq.ParquetWriter(stream, types, compression="zstd", compression_level=3) as writer:
            yield lambda frame: writer.write_table(frame.to_arrow().cast(types))
        return

    def write(frame: pl.DataFrame) -> None:
        lines = io.BytesIO()
        frame.write_ndjson(lines)
        stream.write(lines.getbuffer())

    yield write


@contextmanager
def _appearing(out: Path) -> Iterator[BinaryIO]:
    """A file beside ``out`` that becomes ``out`` when the block ends well, and goes otherwise."""
    temporary = out.with_name(f".{out.name}.{secrets.token_hex(4)}.tmp")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(out)
        sync(out.parent)
    except OSError as error:
        raise StorageError(
            f"{out} could not be written ({error.strerror or error}); make room or choose another "
            "folder, then export again: nothing was left behind."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
