"""Large files by xet: what hf_xet leaves in a folder that it takes for its store.

``local://FOLDER`` in place of a store's address makes the real hf_xet keep everything in FOLDER.
Nobody documents that, nor the formats; what is read here are those of hf_xet 1.8:

| file                        | what                                                              |
|-----------------------------|-------------------------------------------------------------------|
| xet/xorbs/shards/*.mdb      | of each file its sha256 and the pieces that it is made of          |
| xet/xorbs/xorbs/default.*   | chunks, one after the other, each with 8 bytes that say its length |

hf_xet locks the folder for as long as its process lives. So who reads gets a copy of it, made of
links; who writes has the folder itself, one process at a time.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

RECORD = 48  # bytes; a shard is made of such
INDEX = "global_dedup_lookup.redb"
SHARDS, XORBS = "xet/xorbs/shards", "xet/xorbs/xorbs"
VERIFIED, HAS_SHA256 = 1 << 31, 1 << 30  # flags of a file in a shard


class Piece(NamedTuple):
    """Chunks ``first`` to before ``end`` of a xorb."""

    xorb: str
    first: int
    end: int


class Stored(NamedTuple):
    """A file; ``hash`` is its name in xet."""

    hash: str
    pieces: list[Piece]


class Xet:
    """The folder. ``url`` is what writers are told; a test may put another one there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = f"local://{root}"
        self._known: dict[str, Stored] = {}
        self._read: set[str] = set()
        self._copies = 0

    def find(self, sha256: str) -> Stored | None:
        for shard in (self.root / SHARDS).glob("*.mdb"):
            if shard.name not in self._read:
                self._known |= _files(shard.read_bytes())
                self._read.add(shard.name)
        return self._known.get(sha256)

    def content(self, sha256: str) -> bytes | None:
        found = self.find(sha256)
        return None if found is None else b"".join(map(self._chunks, found.pieces))

    def stored(self) -> int:
        """Bytes of all chunks, as they are kept."""
        return sum(file.stat().st_size for file in self._xorbs())

    def copy_url(self) -> str:
        self._copies += 1
        copy = self.root.with_name(f"{self.root.name}-{self._copies}")
        for file in (self.root / "xet/xorbs").rglob("*"):
            link = copy / file.relative_to(self.root)
            if file.is_dir() or file.name == INDEX:
                continue
            link.parent.mkdir(parents=True, exist_ok=True)
            os.link(file, link)
        shutil.copy(self.root / "xet/xorbs" / INDEX, copy / "xet/xorbs" / INDEX)
        return f"local://{copy}"

    def _xorbs(self) -> list[Path]:
        files = (self.root / XORBS).glob("default.*")
        return [file for file in files if file.suffix != ".tagset"]

    def _chunks(self, piece: Piece) -> bytes:
        data = (self.root / XORBS / f"default.{piece.xorb}").read_bytes()
        found, at = [], 0
        for number in range(piece.end):
            word, kind = struct.unpack_from("<IB", data, at)
            packed, size = word >> 8, int.from_bytes(data[at + 5 : at + 8], "little")
            at += 8
            if number >= piece.first:
                found.append(_unpacked(data[at : at + packed], kind, size))
            at += packed
        return b"".join(found)


def _unpacked(data: bytes, kind: int, size: int) -> bytes:
    """``kind``: 0 as it is, 1 LZ4, 2 LZ4 of the bytes dealt out to four groups."""
    if kind == 0:
        return data
    plain = pa.Codec("lz4").decompress(data, size, asbytes=True)
    if kind == 1:
        return plain
    dealt, woven = np.frombuffer(plain, np.uint8), np.empty(size, np.uint8)
    start = 0
    for group in range(4):
        count = len(woven[group::4])
        woven[group::4] = dealt[start : start + count]
        start += count
    return woven.tobytes()


def _files(shard: bytes) -> Iterator[tuple[str, Stored]]:
    """By sha256."""
    at = RECORD  # behind the header
    while shard[at : at + 32] != b"\xff" * 32:
        name, flags, count = struct.unpack_from("<32sII", shard, at)
        pieces = [
            struct.unpack_from("<32s8xII", shard, at + RECORD * number)
            for number in range(1, count + 1)
        ]
        at += RECORD * (1 + count * (2 if flags & VERIFIED else 1))
        if flags & HAS_SHA256:
            found = [Piece(_hex(xorb), first, end) for xorb, first, end in pieces]
            yield _hex(shard[at : at + 32]), Stored(_hex(name), found)
            at += RECORD


def _hex(digest: bytes) -> str:
    """As xet writes it: four numbers of 64 bits."""
    return "".join(f"{number:016x}" for number in struct.unpack("<4Q", digest))
