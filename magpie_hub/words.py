"""Texts as words: what makes two texts the same, and the hashes of their runs of words.

A word is a run of letters, digits and marks after Unicode NFKC and lower case; in scripts that put
no spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese) each letter with its marks
stands for one. Hashes depend on nothing but the text: what is stored today fits what is made by
another machine or version.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import polars as pl

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]

_UNSPACED = (
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}&&[\p{L}\p{N}]]\p{M}*"
)
_CHUNK_BYTES = 1 << 20
_BYTE_BASE, _WORD_BASE = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93
_SPACE = ord(" ")
_LETTERS = bytes(
    byte if byte >= 128 or chr(byte) in "abcdefghijklmnopqrstuvwxyz0123456789_"
    else byte + 32 if chr(byte) in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    else _SPACE
    for byte in range(256)
)  # fmt: skip
_MASKS = np.array([(1 << 8 * count) - 1 for count in range(9)], dtype=np.uint64)


def normal_form(text: str) -> str:
    """Equal for texts that differ in case, white space or Unicode form alone."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def text_key(text: str) -> int:
    """64 bits of :func:`normal_form`. Among 4 M texts, two that differ share one with a chance of
    4 in 10 million."""
    form = normal_form(text).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(form, digest_size=8).digest(), "big")


def normal_forms(texts: pl.Series) -> pl.Series:
    """:func:`normal_form` of each, many at once."""
    foreign = (texts.str.len_bytes() != texts.str.len_chars()).arg_true()
    forms = texts.str.to_lowercase().str.replace_all(r"[\s\x1c-\x1f]+", " ").str.strip_chars(" ")
    some = [normal_form(text) for text in texts.gather(foreign)]
    return forms.scatter(foreign, pl.Series(some, dtype=pl.String))


@dataclass(frozen=True)
class Words:
    """The words of many texts in one buffer of UTF-8: word ``w`` is ``buffer[starts[w]:ends[w]]``,
    text ``t`` has the words ``firsts[t]`` to ``firsts[t + 1]``. ``unspaced``: most words of the
    text are single letters of a script without spaces."""

    buffer: npt.NDArray[np.uint8]
    starts: Places
    ends: Places
    firsts: Places
    unspaced: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, texts: pl.Series) -> Words:
        """A null has no words."""
        texts, letters = _plain(texts.fill_null(""))
        sizes = texts.str.len_bytes().to_numpy().astype(np.int64)
        # A blank behind each text, so that no word runs into the next.
        joined = (texts + " ").str.join("").item().encode()
        buffer = np.frombuffer(joined.translate(_LETTERS), dtype=np.uint8)
        inside = np.concatenate([[False], buffer != _SPACE])
        edges = np.flatnonzero(inside[1:] != inside[:-1])
        starts, ends = edges[::2], edges[1::2]
        firsts = np.searchsorted(starts, np.concatenate([[0], np.cumsum(sizes + 1)]))
        return cls(buffer, starts, ends, firsts, letters * 2 > np.diff(firsts))

    @classmethod
    def chunks(cls, texts: pl.Series) -> Iterator[Words]:
        """The same in pieces that stay in the processor's cache, in order."""
        sizes = texts.str.len_bytes().fill_null(0).to_numpy().astype(np.int64)
        piece = np.cumsum(sizes + 1) // _CHUNK_BYTES
        cuts = [0, *(np.flatnonzero(np.diff(piece)) + 1), len(texts)]
        for start, end in zip(cuts, cuts[1:], strict=False):
            for at in range(start, end, MOST_TEXTS):
                yield cls.of(texts[at : min(at + MOST_TEXTS, end)])

    def __len__(self) -> int:
        """Texts."""
        return len(self.firsts) - 1

    def runs(self, sizes: npt.NDArray[np.int64], *, shorter: bool) -> tuple[Hashes, Places, Places]:
        """Every run of ``sizes[t]`` words of each text ``t``: its hash, its text and its first
        word. With ``shorter`` a text of fewer words has one run, of all; a text without words has
        none."""
        counts = np.diff(self.firsts)
        long = np.minimum(sizes, counts) if shorter else sizes
        runs = np.where(counts > 0, np.maximum(counts - long + 1, 0), 0)
        text = np.repeat(np.arange(len(self)), runs)
        before = np.cumsum(runs) - runs
        first = np.arange(len(text)) + (self.firsts[:-1] - before)[text]
        up, down = _powers(_WORD_BASE, _room(len(self.starts)))
        total = np.zeros(len(self.starts) + 1, dtype=np.uint64)
        np.cumsum(self._hashes() * up[: len(self.starts)], out=total[1:])
        hashes = (total[first + long[text]] - total[first]) * down[first]
        return _mixed(hashes), text, first

    def words(self, first: int, count: int) -> str:
        """``count`` words from word ``first`` on."""
        if not count:
            return ""
        stretch = self.buffer[self.starts[first] : self.ends[first + count - 1]]
        return b" ".join(stretch.tobytes().split()).decode()

    def _hashes(self) -> Hashes:
        """Of each word, eight bytes at a time."""
        padded = np.concatenate([self.buffer, np.zeros(8, dtype=np.uint8)])
        eights = np.ndarray(len(self.buffer) + 1, dtype="<u8", buffer=padded, strides=(1,))
        left = self.ends - self.starts
        hashes = _mixed((eights[self.starts] & _MASKS[np.minimum(left, 8)]) + left.view(np.uint64))
        more = np.flatnonzero(left > 8)
        at, left = self.starts[more], left[more]
        while len(more):
            at, left = at + 8, left - 8
            part = eights[at] & _MASKS[np.minimum(left, 8)]
            hashes[more] = _mixed(hashes[more] * np.uint64(_BYTE_BASE) + part)
            longer = left > 8
            more, at, left = more[longer], at[longer], left[longer]
        return hashes


MOST_TEXTS = 1 << 16
"""In one of :meth:`Words.chunks`, so that a text's number in it has 16 bits."""


def series(texts: Iterable[str | None] | pl.Series) -> pl.Series:
    return texts if isinstance(texts, pl.Series) else pl.Series(list(texts), dtype=pl.String)


def _plain(texts: pl.Series) -> tuple[pl.Series, Places]:
    """Texts whose bytes above ASCII all belong to words, and how many letters of scripts without
    spaces each has."""
    letters = np.zeros(len(texts), dtype=np.int64)
    foreign = (texts.str.len_bytes() != texts.str.len_chars()).arg_true()
    if not len(foreign):
        return texts, letters
    some = texts.gather(foreign).str.normalize("NFKC").str.to_lowercase()
    letters[foreign.to_numpy()] = some.str.count_matches(_UNSPACED).to_numpy()
    some = some.str.replace_all(_UNSPACED, " $0 ").str.replace_all(r"\W+", " ")
    return texts.scatter(foreign, some), letters


@cache
def _powers(base: int, count: int) -> tuple[Hashes, Hashes]:
    """The powers of an odd number modulo 2**64, and their inverses."""
    found = []
    for factor in (base, pow(base, -1, 1 << 64)):
        powers = np.full(count, factor, dtype=np.uint64)
        powers[0] = 1
        found.append(np.cumprod(powers))
    return found[0], found[1]


def _room(count: int) -> int:
    """A power of two, so that few tables of powers are made."""
    return 1 << max(count, 1).bit_length()


def _mixed(hashes: Hashes) -> Hashes:
    """Sums of powers are even in their low bits; after this (splitmix64) all bits are as good."""
    hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hashes ^ (hashes >> np.uint64(31))
