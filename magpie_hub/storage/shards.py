"""Shards: Arrow files that are complete or absent, and say of themselves what they are.

A shard carries in its schema metadata the fingerprint of the stage that wrote it, which rows it
covers, how many of them failed, and a digest of its contents; a shard of another run, a half one or
a damaged one is never taken for the real thing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from magpie_hub.errors import DamagedShard, RunMismatch
from magpie_hub.storage import THREADS, Folder, Stamp, open_folder

_FINGERPRINT, _COVERAGE, _DIGEST = b"magpie_hub.fingerprint", b"magpie_hub.coverage", b"sha256"
_FAILED = b"magpie_hub.failed"
_MAGIC = b"ARROW1"
_BEGIN = _MAGIC + b"\0\0\xff\xff\xff\xff"
_HEAD = 4096
"""Bytes at the beginning of a shard that nearly always hold its whole schema."""


class Header(NamedTuple):
    """What a shard says of itself. ``failed`` counts rows that have an error."""

    coverage: str
    failed: int


class Headers:
    """What the shards in a folder say of themselves, remembered until a file changes."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._known: dict[int, tuple[Stamp, Header]] = {}
        self._failed: dict[int, int] = {}
        self._whole = 0  # the shards before this one are all known

    def of(self, shard: int) -> Header | None:
        """None where the shard is absent."""
        stamp = self._folder.stamp(_name(shard))
        known = self._known.get(shard)
        if known is not None and known[0] == stamp:
            return known[1]
        header = self._read(shard) if stamp is not None else None
        self._note(shard, stamp, header)
        return header

    def load(self, shards: range) -> list[Header | None]:
        """Those of ``shards``; where each costs a request, many at a time."""
        if not self._folder.remote:
            return [self.of(shard) for shard in shards]
        self._folder.stamp(_name(0))  # one listing, before the threads ask
        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(self.of, shards))

    def wrote(self, shard: int, header: Header) -> None:
        self._note(shard, self._folder.stamp(_name(shard)), header)

    def failed(self, first: int, last: int) -> int:
        """Failed rows in these shards and those between, as far as they are there."""
        for shard in range(max(first, self._whole), last + 1):
            if shard not in self._known:
                self.of(shard)
        while self._whole in self._known:
            self._whole += 1
        return sum(count for shard, count in self._failed.items() if first <= shard <= last)

    def _note(self, shard: int, stamp: Stamp, header: Header | None) -> None:
        if header is None:
            self._known.pop(shard, None)
            self._whole = min(self._whole, shard)
        else:
            self._known[shard] = (stamp, header)
        if header is not None and header.failed:
            self._failed[shard] = header.failed
        else:
            self._failed.pop(shard, None)

    def _read(self, shard: int) -> Header | None:
        name = _name(shard)
        try:
            head = self._folder.head(name, _HEAD)
            # A half copy is told by its end; elsewhere a file comes as one, and a look costs money.
            whole = self._folder.remote or self._folder.tail(name, len(_MAGIC)) == _MAGIC
            if not (whole and head.startswith(_BEGIN)):
                raise _damaged(self._folder, shard)
            if (size := 16 + int.from_bytes(head[12:16], "little")) > len(head):
                head = self._folder.head(name, size)
            metadata = pa.ipc.read_schema(pa.py_buffer(head[8:])).metadata or {}
            coverage = metadata.get(_COVERAGE, b"").decode()
            return Header(coverage, int(metadata.get(_FAILED, b"0")))
        except FileNotFoundError:
            return None
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _damaged(self._folder, shard) from error


class ShardStore:
    """The shards of one stage in one folder: ``00000.arrow``, ``00001.arrow``, ...

    ``schema`` is that of every shard; ``fingerprint`` is the stage's.
    """

    def __init__(
        self,
        folder: Path | Folder,
        schema: pa.Schema,
        fingerprint: str,
        headers: Headers | None = None,
    ) -> None:
        self._folder = open_folder(folder)
        self._headers = headers or Headers(self._folder)
        self.schema = schema
        self.fingerprint = fingerprint

    @property
    def folder(self) -> Path:
        """``UsageError`` where it is not on this machine."""
        return self._folder.path

    def path(self, shard: int) -> Path:
        return self.folder / _name(shard)

    def coverage(self, shard: int) -> str | None:
        """What the stored shard covers; None where it is absent."""
        header = self._headers.of(shard)
        return header and header.coverage

    def failed(self, shard: int) -> int:
        """How many of its rows have an error."""
        header = self._headers.of(shard)
        return header.failed if header else 0

    def write(self, shard: int, table: pa.Table, coverage: str) -> None:
        """Durable and atomic: a kill leaves the old shard or the new one."""
        batch = _single_batch(table.cast(self.schema))
        metadata = {
            _FINGERPRINT: self.fingerprint.encode(),
            _COVERAGE: coverage.encode(),
            _DIGEST: _digest(batch),
        }
        failed = 0
        if "error" in self.schema.names:
            failed = len(batch) - batch["error"].null_count
            metadata[_FAILED] = str(failed).encode()
        schema = self.schema.with_metadata(metadata)
        sink = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.ipc.new_file(sink, schema, options=options) as writer:
            writer.write_batch(batch)
        self._folder.write(_name(shard), sink.getvalue().to_pybytes())
        self._headers.wrote(shard, Header(coverage, failed))

    def read(self, shard: int) -> pa.Table:
        """``DamagedShard`` where the bytes are not those that were written, ``RunMismatch`` where
        they were written by another run."""
        try:
            data = self._folder.read(_name(shard))
            reader = pa.ipc.open_file(pa.py_buffer(data))
            metadata = reader.schema.metadata or {}
            batch = _single_batch(reader.read_all().replace_schema_metadata(None))
        except FileNotFoundError as error:
            raise DamagedShard(
                f"{self._folder}/{_name(shard)} is missing; run `magpie-hub run` to make it."
            ) from error
        except (pa.ArrowException, OSError) as error:
            raise _damaged(self._folder, shard) from error
        if metadata.get(_FINGERPRINT, b"").decode() != self.fingerprint:
            raise RunMismatch(
                f"{self._folder}/{_name(shard)} was written by another recipe than this run's; "
                "take it out of the folder."
            )
        if not batch.schema.equals(self.schema) or metadata.get(_DIGEST) != _digest(batch):
            raise _damaged(self._folder, shard)
        return pa.Table.from_batches([batch], schema=self.schema)

    def read_each(self, shards: range) -> Iterator[pa.Table]:
        """One after the other; where each is a request, some are read ahead."""
        if not self._folder.remote:
            yield from map(self.read, shards)
            return
        with ThreadPoolExecutor(THREADS) as pool:
            for start in range(0, len(shards), THREADS):
                yield from pool.map(self.read, shards[start : start + THREADS])


def _name(shard: int) -> str:
    return f"{shard:05d}.arrow"


def _single_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def _digest(batch: pa.RecordBatch) -> bytes:
    return hashlib.sha256(batch.serialize()).hexdigest().encode()


def _damaged(folder: Folder, shard: int) -> DamagedShard:
    return DamagedShard(
        f"{folder}/{_name(shard)} is damaged; delete it and run `magpie-hub run` again, which "
        "makes just that shard anew."
    )
