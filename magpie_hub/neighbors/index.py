"""The nearest neighbours of all rows of a run, shard by shard, on disk.

    pieces/00003.arrow     ids and vectors of rows of a shard (:mod:`.pieces`)
    blocks.json, blocks/   what is known of them so far (:mod:`.blocks`)

A block of pieces is compared with another as one. Rows that come later are compared with each other
and with those that are there; no pair that has been compared is compared again, unless rows went.
What comes out depends on the vectors and their places alone, not on the order in which they came.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from magpie_hub.errors import UsageError
from magpie_hub.neighbors.block import Block, Distances, Integers, default_device
from magpie_hub.neighbors.blocks import Blocks, Known, Members
from magpie_hub.neighbors.exact import NOBODY, Best, compare
from magpie_hub.neighbors.pieces import Embed, Pieces, Row, Rows, place_of
from magpie_hub.storage import Folder, open_folder

THRESHOLD = 0.05
"""Squared L2 under which Magpie counts a neighbour as a repetition: a cosine above 0.975."""
BLOCK = 32768
"""Rows that a block has at most, unless one piece has more: at 768 dimensions 100 MB."""


class Neighbors(NamedTuple):
    """Of a shard's rows: squared L2 to the nearest other row (inf where there is none), that one's
    id (None), shard and place in it (-1), and how many other rows are under the threshold."""

    distance: Distances
    id: list[str | None]
    shard: Integers
    row: Integers
    repeats: Integers


class _Loaded(NamedTuple):
    block: Block
    ids: list[str]
    known: Known


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
        self._folder, self._threshold = open_folder(folder), threshold
        self._pieces = Pieces(
            self._folder.child("pieces"), dimensions=dimensions, fingerprint=fingerprint
        )
        known_by = f"{fingerprint} under {threshold}"
        self._blocks = Blocks(self._folder, self._pieces, fingerprint=known_by, rows=block_rows)

    def shards(self) -> list[int]:
        return self._pieces.shards()

    def put(self, shard: int, rows: Sequence[Row], embed: Embed) -> None:
        """All rows that the shard has, ascending by place. Those that are here already stay as they
        are, and ``embed`` is asked for the others' texts alone; where rows have gone, or have
        another text, every pair is to be compared anew.

        ``InvalidData`` where a vector is not of length 1.
        """
        if self._pieces.holds(shard, rows):
            return
        new = self._pieces.missing(shard, rows)
        if new is not None:
            self._pieces.gain(shard, new, rows, embed)
            return
        # What others know may rest on rows that have gone.
        self._blocks.start_over()
        self._pieces.replace(shard, rows, embed)

    def rows(self, shard: int) -> Rows:
        """The shard's rows as they were put, with their vectors."""
        return self._pieces.read(self._pieces.of(shard))

    def pending(self) -> int:
        """Pairs of blocks that have not been compared."""
        return len(self._blocks.pairs(self._blocks.with_new()))

    def compute(
        self, progress: Callable[[int, int], None] | None = None, device: str | None = None
    ) -> None:
        """Compare what has not been compared. ``progress`` hears of pairs of blocks: done and all.
        ``device`` as in torch; a GPU where there is one."""
        device = device or default_device()
        self._blocks.plan()
        blocks = {members.number: members for members in self._blocks.planned}
        pairs = self._blocks.pairs(self._blocks.planned)
        loaded: dict[int, _Loaded] = {}
        for done, (a, b) in enumerate(pairs, start=1):
            loaded = {number: at for number, at in loaded.items() if number in (a, b)}
            for number in (a, b):
                if number not in loaded:
                    loaded[number] = self._load(blocks[number], device)
            self._meet(blocks[a], blocks[b], loaded)
            if progress is not None:
                progress(done, len(pairs))

    def result(self, shard: int) -> Neighbors:
        """By place. ``UsageError`` where the shard is not here or has not been compared with all
        others."""
        pieces = self._pieces.of(shard)
        found = {piece: m for m in self._blocks.planned for piece in m.pieces if piece in pieces}
        everything = set(self._pieces.numbers())
        if not pieces or any(
            piece not in found or self._blocks.met(found[piece].number) < everything
            for piece in pieces
        ):
            raise UsageError(
                f"the neighbours of shard {shard} in {self._folder} are not all known; put it "
                "there and compute them."
            )
        table = pa.concat_tables(self._blocks.of_pieces(found[piece])[piece] for piece in pieces)
        if len(pieces) > 1:
            own = np.concatenate([self._pieces.read([piece]).keys for piece in pieces])
            table = table.take(pa.array(np.argsort(own)))
        keys = table["key"].to_numpy()
        places = np.where(keys == NOBODY, -1, np.stack(place_of(keys)))
        return Neighbors(
            table["distance"].to_numpy(),
            table["id"].to_pylist(),
            places[0],
            places[1],
            table["repeats"].to_numpy(),
        )

    def _load(self, members: Members, device: str) -> _Loaded:
        # Piece by piece, as what is known of them is kept.
        parts = [self._pieces.read([piece]) for piece in members.pieces]
        block = Block(
            np.concatenate([part.vectors for part in parts]),
            np.concatenate([part.keys for part in parts]),
            device,
        )
        ids = [name for part in parts for name in part.ids]
        return _Loaded(block, ids, self._blocks.recall(members))

    def _meet(self, a: Members, b: Members, loaded: dict[int, _Loaded]) -> None:
        at_a, at_b = loaded[a.number], loaded[b.number]
        # Where one side knows of the pair already, after a kill, it must not count it again.
        best_a = Best(a.rows) if at_a.known.met.issuperset(b.pieces) else at_a.known.best
        best_b = Best(b.rows) if at_b.known.met.issuperset(a.pieces) else at_b.known.best
        compare(
            at_a.block,
            at_b.block,
            best_a,
            best_a if a is b else best_b,
            threshold=self._threshold,
        )
        for members, at, theirs, other in ((a, at_a, b, at_b), (b, at_b, a, at_a)):
            if not at.known.met.issuperset(theirs.pieces):
                _name(at.known, other)
                at.known.met |= set(theirs.pieces)
                self._blocks.keep(members, at.known)


def _name(known: Known, other: _Loaded) -> None:
    """The ids of those nearest that stand in ``other``."""
    order = np.argsort(other.block.keys)
    keys = other.block.keys[order]
    place = np.minimum(np.searchsorted(keys, known.best.key), len(keys) - 1)
    for row in np.flatnonzero(keys[place] == known.best.key).tolist() if len(keys) else ():
        known.ids[row] = other.ids[order[place[row]]]
