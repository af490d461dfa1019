"""What is known of the neighbours of a run's rows, on disk, block by block.

    blocks.json            which pieces stand together in a block
    blocks/00007.arrow     what is known of a block's rows, and which pieces they have met

A block that is met by another is written whole, with what it has met by then: a kill costs a pair
of blocks at most, and nothing counts twice.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa

from magpie_hub.errors import RunMismatch
from magpie_hub.neighbors.exact import Best
from magpie_hub.neighbors.pieces import Pieces
from magpie_hub.storage import Folder
from magpie_hub.storage.shards import ShardStore

_PLAN = "blocks.json"
_KNOWN = pa.schema(
    [
        ("distance", pa.float64()),
        ("key", pa.int64()),
        ("id", pa.string()),
        ("repeats", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Members:
    """A block: its number, never used twice, its pieces, and how many rows they have."""

    number: int
    pieces: tuple[int, ...]
    rows: int


@dataclass
class Known:
    """What is known of a block's rows, piece by piece: the nearest and their ids, the pieces
    met."""

    best: Best
    ids: list[str | None]
    met: set[int]


@dataclass(frozen=True)
class _Plan:
    fingerprint: str
    following: int
    blocks: tuple[Members, ...]


class Blocks:
    """Of ``pieces``, in ``folder``, each of at most ``rows`` rows unless one piece has more.

    ``RunMismatch`` where the folder was made with another ``fingerprint``.
    """

    def __init__(self, folder: Folder, pieces: Pieces, *, fingerprint: str, rows: int) -> None:
        self._folder, self._pieces, self._rows = folder, pieces, rows
        self._known = ShardStore(folder.child("blocks"), _KNOWN, fingerprint)
        self._plan = self._read_plan()

    @property
    def planned(self) -> tuple[Members, ...]:
        return self._plan.blocks

    def with_new(self) -> tuple[Members, ...]:
        """Those that are planned, and the pieces that are in none of them in blocks of their
        own."""
        return self._arranged()[1]

    def plan(self) -> None:
        """Give every piece its block."""
        self._tidy()
        if not self.pairs(self.planned):
            self._merge()
        following, blocks = self._arranged()
        if blocks != self.planned:
            self._write_plan(following, blocks)

    def start_over(self) -> None:
        """Nothing is known any more."""
        self._write_plan(self._plan.following, ())

    def pairs(self, blocks: Sequence[Members]) -> list[tuple[int, int]]:
        """Those that have not met, or of which one does not know of it."""
        planned = set(self.planned)
        met = {m.number: self.met(m.number) if m in planned else set() for m in blocks}
        return [
            (a.number, b.number)
            for i, a in enumerate(blocks)
            for b in blocks[i:]
            if not (met[a.number].issuperset(b.pieces) and met[b.number].issuperset(a.pieces))
        ]

    def met(self, number: int) -> set[int]:
        """The pieces that the block has met."""
        return _read(self._known.coverage(number) or "")

    def recall(self, members: Members) -> Known:
        if self._known.coverage(members.number) is None:
            return Known(Best(members.rows), [None] * members.rows, set())
        table = self._known.read(members.number)
        best = Best(members.rows)
        best.distance, best.key, best.repeats = (
            table[name].to_numpy().copy() for name in ("distance", "key", "repeats")
        )
        return Known(best, table["id"].to_pylist(), self.met(members.number))

    def keep(self, members: Members, known: Known) -> None:
        columns = [
            pa.array(known.best.distance),
            pa.array(known.best.key),
            pa.array(known.ids, pa.string()),
            pa.array(known.best.repeats),
        ]
        table = pa.Table.from_arrays(columns, schema=_KNOWN)
        self._known.write(members.number, table, _spell(known.met))

    def of_pieces(self, members: Members) -> dict[int, pa.Table]:
        """What is known of the rows of each of its pieces."""
        table, start, parts = self._known.read(members.number), 0, {}
        for piece in members.pieces:
            parts[piece] = table.slice(start, self._pieces.size(piece))
            start += self._pieces.size(piece)
        return parts

    # The plan.

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
            Members(m["number"], tuple(m["pieces"]), m["rows"]) for m in record["blocks"]
        )
        return _Plan(record["fingerprint"], record["following"], blocks)

    def _write_plan(self, following: int, blocks: tuple[Members, ...]) -> None:
        self._plan = _Plan(self._known.fingerprint, following, blocks)
        self._folder.write(_PLAN, json.dumps(asdict(self._plan)).encode())

    def _arranged(self) -> tuple[int, tuple[Members, ...]]:
        """The next number, and all blocks."""
        old = {piece for members in self.planned for piece in members.pieces}
        following, blocks = self._plan.following, list(self.planned)
        gathered: list[int] = []
        rows = 0
        for piece in [piece for piece in self._pieces.numbers() if piece not in old]:
            if gathered and rows + self._pieces.size(piece) > self._rows:
                blocks.append(Members(following, tuple(gathered), rows))
                following, gathered, rows = following + 1, [], 0
            gathered.append(piece)
            rows += self._pieces.size(piece)
        if gathered:
            blocks.append(Members(following, tuple(gathered), rows))
            following += 1
        return following, tuple(blocks)

    def _merge(self) -> None:
        """Make one of small blocks whose rows have all met: pieces that come one by one would leave
        a block each, and as many pairs as pieces for the next."""
        groups: list[list[Members]] = []
        for members in self.planned:
            if groups and sum(m.rows for m in groups[-1]) + members.rows <= self._rows:
                groups[-1].append(members)
            else:
                groups.append([members])
        following, blocks = self._plan.following, []
        for group in groups:
            if len(group) == 1:
                blocks += group
                continue
            merged = Members(
                following,
                tuple(sorted(piece for members in group for piece in members.pieces)),
                sum(members.rows for members in group),
            )
            parts = {
                piece: part for members in group for piece, part in self.of_pieces(members).items()
            }
            table = pa.concat_tables([parts[piece] for piece in merged.pieces])
            self._known.write(merged.number, table, _spell(self.met(group[0].number)))
            blocks.append(merged)
            following += 1
        if following != self._plan.following:
            self._write_plan(following, tuple(blocks))
            self._tidy()

    def _tidy(self) -> None:
        """A file that no plan names was left by a kill; its number may be given again."""
        folder = self._folder.child("blocks")
        wanted = {f"{members.number:05d}.arrow" for members in self.planned}
        for name in folder.names():
            if name not in wanted:
                folder.delete(name)


def _spell(pieces: set[int]) -> str:
    """As ranges: 0-31,40-40."""
    ordered = np.array(sorted(pieces))
    parts = np.split(ordered, np.flatnonzero(np.diff(ordered) > 1) + 1)
    return ",".join(f"{part[0]}-{part[-1]}" for part in parts)


def _read(ranges: str) -> set[int]:
    found: set[int] = set()
    for part in filter(None, ranges.split(",")):
        first, last = part.split("-")
        found.update(range(int(first), int(last) + 1))
    return found
