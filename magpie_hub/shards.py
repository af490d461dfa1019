"""Shards: Arrow files that are complete or absent, and say of themselves what they are.

A shard carries in its schema metadata the fingerprint of the stage that wrote it, which rows it
covers, and a digest of its contents; a shard of another run, a half one or a damaged one is never
taken for the real thing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pyarrow as pa

from magpie_hub.errors import DamagedShard, RunMismatch, StorageError

_FINGERPRINT, _COVERAGE, _DIGEST = b"magpie_hub.fingerprint", b"magpie_hub.coverage", b"sha256"


class ShardStore:
    """The shards of one stage in one folder: ``00000.arrow``, ``00001.arrow``, ...

    ``schema`` is that of every shard; ``fingerprint`` is the stage's.
    """

    def __init__(self, folder: Path, schema: pa.Schema, fingerprint: str) -> None:
        self.folder = folder
        self.schema = schema
        self.fingerprint = fingerprint

    def path(self, shard: int) -> Path:
        return self.folder / f"{shard:05d}.arrow"

    def coverage(self, shard: int) -> str | None:
        """What the shard on disk covers; None where it is absent."""
        path = self.path(shard)
        if not path.is_file():
            return None
        try:
            with pa.OSFile(str(path)) as source:
                metadata = pa.ipc.open_file(source).schema.metadata or {}
        except pa.ArrowException as error:
            raise _damaged(path) from error
        return str(metadata.get(_COVERAGE, b""), "utf-8")

    def write(self, shard: int, table: pa.Table, coverage: str) -> None:
        """Durable and atomic: a kill leaves the old shard or the new one."""
        batch = _single_batch(table.cast(self.schema))
        metadata = {
            _FINGERPRINT: self.fingerprint.encode(),
            _COVERAGE: coverage.encode(),
            _DIGEST: _digest(batch),
        }
        schema = self.schema.with_metadata(metadata)

        def fill(stream: IO[bytes]) -> None:
            options = pa.ipc.IpcWriteOptions(compression="zstd")
            with pa.ipc.new_file(stream, schema, options=options) as writer:
                writer.write_batch(batch)

        write_durably(self.path(shard), fill)

    def read(self, shard: int) -> pa.Table:
        """``DamagedShard`` where the bytes are not those that were written, ``RunMismatch`` where
        they were written by another run."""
        path = self.path(shard)
        try:
            with pa.OSFile(str(path)) as source:
                reader = pa.ipc.open_file(source)
                metadata = reader.schema.metadata or {}
                batch = _single_batch(reader.read_all().replace_schema_metadata(None))
        except FileNotFoundError as error:
            raise DamagedShard(f"{path} is missing; run `magpie-hub run` to make it.") from error
        except (pa.ArrowException, OSError) as error:
            raise _damaged(path) from error
        if metadata.get(_FINGERPRINT, b"").decode() != self.fingerprint:
            raise RunMismatch(
                f"{path} was written by another recipe than this run's; take it out of the folder."
            )
        if not batch.schema.equals(self.schema) or metadata.get(_DIGEST) != _digest(batch):
            raise _damaged(path)
        return pa.Table.from_batches([batch], schema=self.schema)


def write_durably(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Temporary file, fsync, rename, fsync of the folder. ``StorageError`` where the disk refuses;
    the temporary file is gone then."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            fill(stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StorageError(
            f"{path} could not be written ({error.strerror or error}); make room or choose another "
            "folder, then run again: what was finished stays."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def leftovers(root: Path) -> Iterator[Path]:
    """Temporary files of processes that were killed while they wrote."""
    return root.rglob(".*.tmp")


def _single_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def _digest(batch: pa.RecordBatch) -> bytes:
    return hashlib.sha256(batch.serialize()).hexdigest().encode()


def _damaged(path: Path) -> DamagedShard:
    return DamagedShard(
        f"{path} is damaged; delete it and run `magpie-hub run` again, which makes just that shard "
        "anew."
    )
