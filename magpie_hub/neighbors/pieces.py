"""The vectors of a run's rows on disk.

A piece holds rows of one shard: all that it had when it came, or those that it gained later. Pieces
never change, and their numbers are not those of shards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from magpie_hub.errors import UsageError
from magpie_hub.neighbors.block import Integers, Vectors, check
from magpie_hub.storage import Folder
from magpie_hub.storage.shards import Headers, ShardStore

Embed = Callable[[list[str]], Vectors]
"""From texts to vectors (texts, dimensions) of length 1."""
_PLACE_BITS = 32


class Row(NamedTuple):
    """``place`` is that in the shard, counted with the rows that are left out: it stays."""

    place: int
    id: str
    text: str


class Rows(NamedTuple):
    """Of a shard or a piece, in the order of their keys."""

    keys: Integers
    ids: list[str]
    vectors: Vectors


class _About(NamedTuple):
    """What a piece says of itself; ``state`` is that of its whole shard once the piece is there."""

    shard: int
    rows: int
    state: str


class Pieces:
    """In ``folder``; vectors have ``dimensions``, and ``fingerprint`` says where they are from."""

    def __init__(self, folder: Folder, *, dimensions: int, fingerprint: str) -> None:
        self._folder, self._dimensions = folder, dimensions
        columns = [("key", pa.int64()), ("id", pa.string()), ("text", pa.uint64())]
        schema = pa.schema([*columns, ("vector", pa.list_(pa.float32(), dimensions))])
        headers = Headers(folder)
        self._store = ShardStore(folder, schema, fingerprint, headers=headers)
        names = [name for name in folder.names() if name.endswith(".arrow") and name[0] != "."]
        last = max((int(name[:-6]) for name in names), default=-1)
        found = enumerate(headers.load(range(last + 1)))
        self._about = {number: _read(each.coverage) for number, each in found if each is not None}
        self._of: dict[int, list[int]] = {}
        for number, about in self._about.items():
            self._of.setdefault(about.shard, []).append(number)

    def numbers(self) -> list[int]:
        return sorted(self._about)

    def shards(self) -> list[int]:
        return sorted(self._of)

    def of(self, shard: int) -> list[int]:
        """The pieces of a shard, in the order in which they came."""
        return self._of.get(shard, [])

    def size(self, number: int) -> int:
        return self._about[number].rows

    def read(self, numbers: Sequence[int]) -> Rows:
        """The rows of these pieces together."""
        whole = pa.concat_tables(
            [self._store.schema.empty_table(), *map(self._store.read, numbers)]
        )
        whole = whole.sort_by("key").combine_chunks()
        vectors = whole["vector"].combine_chunks().flatten().to_numpy()
        return Rows(
            whole["key"].to_numpy(),
            whole["id"].to_pylist(),
            vectors.reshape(-1, self._dimensions),
        )

    def holds(self, shard: int, rows: Sequence[Row]) -> bool:
        """Whether just these rows of the shard are here; they ascend by place."""
        of = self.of(shard)
        return bool(of) and self._about[of[-1]].state == _state(rows)

    def missing(self, shard: int, rows: Sequence[Row]) -> list[Row] | None:
        """Those of ``rows`` that are not here; None where others of the shard are here, which have
        gone or have another text."""
        here = self._marks(self.of(shard))
        wanted = {_mark(shard, row) for row in rows}
        if not here.keys() <= wanted:
            return None
        return [row for row in rows if _mark(shard, row) not in here]

    def gain(self, shard: int, new: Sequence[Row], rows: Sequence[Row], embed: Embed) -> None:
        """Add ``new``; with them the shard has ``rows``. ``InvalidData`` where a vector is not of
        length 1."""
        self._write(shard, new, self._embedded(shard, new, embed), rows)

    def replace(self, shard: int, rows: Sequence[Row], embed: Embed) -> None:
        """The shard has ``rows`` and no others; ``embed`` is asked for those that it had not."""
        before = self.of(shard)
        here, vectors = self._marks(before), self.read(before).vectors
        new = [row for row in rows if _mark(shard, row) not in here]
        added = iter(self._embedded(shard, new, embed))
        places = [here.get(_mark(shard, row)) for row in rows]
        made = [next(added) if place is None else vectors[place] for place in places]
        for number in self._of.pop(shard):
            self._folder.delete(f"{number:05d}.arrow")
            del self._about[number]
        self._write(shard, rows, np.array(made).reshape(-1, self._dimensions), rows)

    def _embedded(self, shard: int, rows: Sequence[Row], embed: Embed) -> Vectors:
        if not rows:
            return np.empty((0, self._dimensions), np.float32)
        vectors = embed([row.text for row in rows])
        if vectors.shape != (len(rows), self._dimensions):
            raise UsageError(
                f"the vectors of shard {shard} are {vectors.shape}, not "
                f"({len(rows)}, {self._dimensions}); give one for each text."
            )
        check(vectors)
        return vectors

    def _marks(self, numbers: Sequence[int]) -> dict[tuple[int, str, int], int]:
        """By key, id and text the place of each row among those that :meth:`read` gives."""
        tables = [self._store.read(number).drop_columns("vector") for number in numbers]
        rows = pa.concat_tables(tables).sort_by("key").to_pylist() if tables else []
        return {(row["key"], row["id"], row["text"]): place for place, row in enumerate(rows)}

    def _write(self, shard: int, new: Sequence[Row], vectors: Vectors, rows: Sequence[Row]) -> None:
        flat = pa.array(np.ascontiguousarray(vectors, np.float32).reshape(-1))
        keys, ids, texts = (
            zip(*(_mark(shard, row) for row in new), strict=True) if new else ((),) * 3
        )
        columns = [
            pa.array(keys, pa.int64()),
            pa.array(ids, pa.string()),
            pa.array(texts, pa.uint64()),
            pa.FixedSizeListArray.from_arrays(flat, self._dimensions),
        ]
        table = pa.Table.from_arrays(columns, schema=self._store.schema)
        number = max(self._about, default=-1) + 1
        about = _About(shard, len(new), _state(rows))
        self._store.write(number, table, f"{about.shard} {about.rows} {about.state}")
        self._about[number] = about
        self._of.setdefault(shard, []).append(number)


def place_of(key: int) -> tuple[int, int]:
    """The shard of a row, and its place there."""
    return key >> _PLACE_BITS, key & ((1 << _PLACE_BITS) - 1)


def _mark(shard: int, row: Row) -> tuple[int, str, int]:
    text = hashlib.blake2b(row.text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (shard << _PLACE_BITS) + row.place, row.id, int.from_bytes(text, "big")


def _state(rows: Sequence[Row]) -> str:
    found = hashlib.blake2b(digest_size=16)
    for row in rows:
        found.update(repr(tuple(row)).encode("utf-8", "surrogatepass"))
    return found.hexdigest()


def _read(coverage: str) -> _About:
    shard, rows, state = coverage.split(" ")
    return _About(int(shard), int(rows), state)
