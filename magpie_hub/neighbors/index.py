"""The nearest neighbours of all rows of a run, shard by shard, on disk.

    vectors/00003.arrow    the shard's ids and vectors
    blocks.json            which shards stand together in a block
    blocks/00007.arrow     what is known of a block's rows, and from which shards

A pair of blocks is compared as one, and what comes of it is written block by block; each says which
shards its rows have met, so that a kill costs a pair of blocks at most and nothing counts twice.
A shard that comes later is compared with itself and with those that are there. What comes out
depends on the vectors alone, not on the order in which they came.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from magpie_hub.errors import RunMismatch, UsageError
from magpie_hub.neighbors.exact import (
    NOBODY,
    Best,
    Block,
    Distances,
    Integers,
    Vectors,
    check,
    compare,
)
from magpie_hub.shards import ShardStore
from magpie_hub.storage import Folder, open_folder

THRESHOLD = 0.05
"""Squared L2 under which Magpie counts a neighbour as a repetition: a cosine above 0.975."""
BLOCK = 32768
"""Rows that a block has at most, unless one shard has more: at 768 dimensions 100 MB."""
_PLAN = "blocks.json"
_ROW_BITS = 32
_KNOWN = pa.schema(
    [
        ("distance", pa.float64()),
        ("key", pa.int64()),
        ("id", pa.string()),
        ("repeats", pa.int64()),
    ]
)


class Neighbors(NamedTuple):
    """Of a shard's rows: squared L2 to the nearest other row (inf where there is none), that one's
    id (None), shard and row (-1), and how many other rows are under the threshold."""

    distance: Distances
    id: list[str | None]
    shard: Integers
    row: Integers
    repeats: Integers


@dataclass(frozen=True)
class _Members:
    """A block: its number, never used twice, its shards, and how many rows they have."""

    number: int
    shards: tuple[int, ...]
    rows: int


@dataclass(frozen=True)
class _Plan:
    fingerprint: str
    following: int
    blocks: tuple[_Members, ...]


@dataclass
class _Known:
    """A block at work: what is known of its rows, the ids of the nearest, the shards met."""

    best: Best
    ids: list[str | None]
    met: set[int]


class _Loaded(NamedTuple):
    block: Block
    ids: list[str]
    first: dict[int, int]
    """Where each shard begins."""

    def id(self, key: int) -> str | None:
        start = self.first.get(key >> _ROW_BITS)
        return None if start is None else self.ids[start + (key & ((1 << _ROW_BITS) - 1))]


class Index:
    """In ``folder``, for vectors of ``dimensions`` that ``fingerprint`` (model, revision) says
    where they are from. One process at a time writes here."""

    def __init__(
        self,
        folder: str | Path | Folder,
        *,
        dimensions: int,
        fingerprint: str,
        threshold: float = THRESHOLD,
        block_rows: int = BLOCK,
    ) -> None:
        self._folder = open_folder(folder)
        self._dimensions, self._threshold, self._rows = dimensions, threshold, block_rows
        vectors = pa.schema([("id", pa.string()), ("vector", pa.list_(pa.float32(), dimensions))])
        self._vectors = ShardStore(self._folder.child("vectors"), vectors, fingerprint)
        self._known = ShardStore(
            self._folder.child("blocks"), _KNOWN, f"{fingerprint} under {threshold}"
        )
        self._plan = self._read_plan()

    def shards(self) -> list[int]:
        names = self._folder.child("vectors").names()
        return sorted(int(name[:-6]) for name in names if name.endswith(".arrow"))

    def add(self, shard: int, ids: Sequence[str], vectors: Vectors) -> None:
        """Rows of a shard, (rows, dimensions) of length 1; nothing where they are there already.
        Where the shard is there with others, all is to be computed anew.

        ``InvalidData`` where a vector is not of length 1.
        """
        if vectors.shape != (len(ids), self._dimensions):
            raise UsageError(
                f"the vectors of shard {shard} are {vectors.shape}, not "
                f"({len(ids)}, {self._dimensions}); give one for each id."
            )
        check(vectors)
        flat = pa.array(np.ascontiguousarray(vectors, np.float32).reshape(-1))
        columns = [
            pa.array(ids, pa.string()),
            pa.FixedSizeListArray.from_arrays(flat, self._dimensions),
        ]
        table = pa.Table.from_arrays(columns, schema=self._vectors.schema)
        if self._vectors.coverage(shard) is not None:
            if self._vectors.read(shard).equals(table):
                return
            self._write_plan(self._plan.following, ())
        self._vectors.write(shard, table, f"{len(ids)} rows")

    def pending(self) -> int:
        """Pairs of blocks that have not been compared."""
        return len(self._pairs(self._arranged()[1]))

    def compute(
        self, progress: Callable[[int, int], None] | None = None, device: str | None = None
    ) -> None:
        """Compare what has not been compared. ``progress`` hears of pairs of blocks: done and all.
        ``device`` as in torch; a GPU where there is one."""
        device = device or _device()
        self._arrange()
        blocks = {members.number: members for members in self._plan.blocks}
        pairs = self._pairs(self._plan.blocks)
        loaded: dict[int, tuple[_Loaded, _Known]] = {}
        for done, (a, b) in enumerate(pairs, start=1):
            loaded = {
                number: loaded.get(number) or self._load(blocks[number], device)
                for number in (a, b)
            }
            self._meet(blocks[a], blocks[b], loaded)
            if progress is not None:
                progress(done, len(pairs))

    def result(self, shard: int) -> Neighbors:
        """``UsageError`` where the shard is not here or has not been compared with all others."""
        members = next((m for m in self._plan.blocks if shard in m.shards), None)
        if members is None or self._met(members.number) < set(self.shards()):
            raise UsageError(
                f"the neighbours of shard {shard} in {self._folder} are not all known; add it and "
                "compute them."
            )
        start = sum(self._size(each) for each in members.shards if each < shard)
        table = self._known.read(members.number).slice(start, self._size(shard))
        keys = table["key"].to_numpy()
        some = keys != NOBODY
        return Neighbors(
            table["distance"].to_numpy(),
            table["id"].to_pylist(),
            np.where(some, keys >> _ROW_BITS, -1),
            np.where(some, keys & ((1 << _ROW_BITS) - 1), -1),
            table["repeats"].to_numpy(),
        )

    # Blocks.

    def _read_plan(self) -> _Plan:
        try:
            record = json.loads(self._folder.read(_PLAN))
        except FileNotFoundError:
            return _Plan(self._known.fingerprint, 0, ())
        if record["fingerprint"] != self._known.fingerprint:
            raise RunMismatch(
                f"{self._folder} holds vectors of another model or counts under another "
                "threshold; choose another folder."
            )
        blocks = tuple(
            _Members(m["number"], tuple(m["shards"]), m["rows"]) for m in record["blocks"]
        )
        return _Plan(record["fingerprint"], record["following"], blocks)

    def _write_plan(self, following: int, blocks: tuple[_Members, ...]) -> None:
        self._plan = _Plan(self._known.fingerprint, following, blocks)
        self._folder.write(_PLAN, json.dumps(asdict(self._plan)).encode())

    def _arranged(self) -> tuple[int, tuple[_Members, ...]]:
        """The blocks with the new shards in blocks of their own: the next number, and all."""
        old = {shard for members in self._plan.blocks for shard in members.shards}
        following, blocks = self._plan.following, list(self._plan.blocks)
        gathered: list[int] = []
        rows = 0
        for shard in [shard for shard in self.shards() if shard not in old]:
            if gathered and rows + self._size(shard) > self._rows:
                blocks.append(_Members(following, tuple(gathered), rows))
                following, gathered, rows = following + 1, [], 0
            gathered.append(shard)
            rows += self._size(shard)
        if gathered:
            blocks.append(_Members(following, tuple(gathered), rows))
            following += 1
        return following, tuple(blocks)

    def _arrange(self) -> None:
        self._tidy()
        if not self._pairs(self._plan.blocks):
            self._merge()
        following, blocks = self._arranged()
        if blocks != self._plan.blocks:
            self._write_plan(following, blocks)

    def _merge(self) -> None:
        """Make one of small blocks whose rows have all met: shards that come one by one would leave
        a block each, and as many pairs as shards for the next."""
        groups: list[list[_Members]] = []
        for members in self._plan.blocks:
            if groups and sum(m.rows for m in groups[-1]) + members.rows <= self._rows:
                groups[-1].append(members)
            else:
                groups.append([members])
        following, blocks = self._plan.following, []
        for group in groups:
            if len(group) == 1:
                blocks += group
                continue
            merged = _Members(
                following,
                tuple(sorted(shard for members in group for shard in members.shards)),
                sum(members.rows for members in group),
            )
            parts = {
                shard: part for members in group for shard, part in self._parts(members).items()
            }
            table = pa.concat_tables([parts[shard] for shard in merged.shards])
            self._known.write(merged.number, table, _spell(self._met(group[0].number)))
            blocks.append(merged)
            following += 1
        if following != self._plan.following:
            self._write_plan(following, tuple(blocks))
            self._tidy()

    def _parts(self, members: _Members) -> dict[int, pa.Table]:
        table, start, parts = self._known.read(members.number), 0, {}
        for shard in members.shards:
            parts[shard] = table.slice(start, self._size(shard))
            start += self._size(shard)
        return parts

    def _tidy(self) -> None:
        """A file that no plan names was left by a kill; its number may be given again."""
        folder = self._folder.child("blocks")
        wanted = {f"{members.number:05d}.arrow" for members in self._plan.blocks}
        for name in folder.names():
            if name not in wanted:
                folder.delete(name)

    # Pairs of blocks.

    def _pairs(self, blocks: Sequence[_Members]) -> list[tuple[int, int]]:
        """Those that have not met, or of which one does not know of it."""
        planned = set(self._plan.blocks)
        met = {
            members.number: self._met(members.number) if members in planned else set()
            for members in blocks
        }
        return [
            (a.number, b.number)
            for i, a in enumerate(blocks)
            for b in blocks[i:]
            if not (met[a.number].issuperset(b.shards) and met[b.number].issuperset(a.shards))
        ]

    def _met(self, number: int) -> set[int]:
        return _read(self._known.coverage(number) or "")

    def _size(self, shard: int) -> int:
        return int((self._vectors.coverage(shard) or "0").partition(" ")[0])

    def _load(self, members: _Members, device: str) -> tuple[_Loaded, _Known]:
        tables = [self._vectors.read(shard) for shard in members.shards]
        first, start = {}, 0
        for shard, table in zip(members.shards, tables, strict=True):
            first[shard] = start
            start += len(table)
        keys = [
            np.arange(len(t)) + (s << _ROW_BITS)
            for s, t in zip(members.shards, tables, strict=True)
        ]
        whole = pa.concat_tables(tables).combine_chunks()
        vectors = whole["vector"].combine_chunks().flatten().to_numpy()
        block = Block(
            vectors.reshape(-1, self._dimensions), np.concatenate(keys).astype(np.int64), device
        )
        return _Loaded(block, whole["id"].to_pylist(), first), self._recall(members, start)

    def _recall(self, members: _Members, rows: int) -> _Known:
        best = Best(rows)
        if self._known.coverage(members.number) is None:
            return _Known(best, [None] * rows, set())
        table = self._known.read(members.number)
        best.distance, best.key, best.repeats = (
            table[name].to_numpy().copy() for name in ("distance", "key", "repeats")
        )
        return _Known(best, table["id"].to_pylist(), self._met(members.number))

    def _meet(self, a: _Members, b: _Members, loaded: dict[int, tuple[_Loaded, _Known]]) -> None:
        at_a, known_a = loaded[a.number]
        at_b, known_b = loaded[b.number]
        # Where one side knows of the pair already, after a kill, it must not count it again.
        best_a = Best(a.rows) if known_a.met.issuperset(b.shards) else known_a.best
        best_b = Best(b.rows) if known_b.met.issuperset(a.shards) else known_b.best
        compare(
            at_a.block,
            at_b.block,
            best_a,
            best_a if a is b else best_b,
            threshold=self._threshold,
        )
        for members, known, other in ((a, known_a, at_b), (b, known_b, at_a)):
            theirs = b if members is a else a
            if not known.met.issuperset(theirs.shards):
                self._store(members, known, other, theirs)

    def _store(self, members: _Members, known: _Known, other: _Loaded, theirs: _Members) -> None:
        keys = known.best.key.tolist()
        known.ids = [other.id(key) or old for key, old in zip(keys, known.ids, strict=True)]
        known.met |= set(theirs.shards)
        columns = [
            pa.array(known.best.distance),
            pa.array(known.best.key),
            pa.array(known.ids, pa.string()),
            pa.array(known.best.repeats),
        ]
        table = pa.Table.from_arrays(columns, schema=_KNOWN)
        self._known.write(members.number, table, _spell(known.met))


def _spell(shards: set[int]) -> str:
    """As ranges: 0-31,40-40."""
    ordered = np.array(sorted(shards))
    parts = np.split(ordered, np.flatnonzero(np.diff(ordered) > 1) + 1)
    return ",".join(f"{part[0]}-{part[-1]}" for part in parts)


def _read(ranges: str) -> set[int]:
    found: set[int] = set()
    for part in filter(None, ranges.split(",")):
        first, last = part.split("-")
        found.update(range(int(first), int(last) + 1))
    return found


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
