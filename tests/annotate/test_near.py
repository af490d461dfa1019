from __future__ import annotations

import random

import numpy as np
import pytest

from magpie_hub.annotate.near import Components, NearIndex, Shingles

THRESHOLD = 0.6


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Half of them copies of others with a few words changed; also ones without spaces."""
    draw = random.Random(7)
    words = [f"w{n}" for n in range(300)]
    letters = "".join(chr(0x4E00 + n) for n in range(200))
    found: list[str] = []
    for n in range(700):
        if n % 2 and found:
            source = draw.choice(found)
            spaced = " " in source
            parts = source.split() if spaced else list(source)
            for _ in range(draw.randint(0, 3)):
                parts[draw.randrange(len(parts))] = draw.choice(words if spaced else letters)
            found.append((" " if spaced else "").join(parts))
        elif n % 3:
            found.append(" ".join(draw.choices(words, k=draw.randint(2, 40))))
        else:
            found.append("".join(draw.choices(letters, k=draw.randint(6, 60))))
    return [*found, "", "!!", "one", "one"]


@pytest.fixture(scope="module")
def true_pairs(texts: list[str]) -> list[tuple[int, int]]:
    """By strings and sets alone."""
    sets = []
    for text in texts:
        unspaced = text[:1] >= "\u4e00"
        parts = list(text) if unspaced else text.strip("!").split()
        size = min(5 if unspaced else 3, len(parts))
        sets.append({tuple(parts[i : i + size]) for i in range(len(parts) - size + 1) if size})
    return [
        (a, b)
        for b in range(len(texts))
        for a in range(b)
        if sets[a] and len(sets[a] & sets[b]) >= THRESHOLD * len(sets[a] | sets[b])
    ]


def groups(pairs: list[tuple[int, int]], count: int) -> list[int]:
    joined = Components(count)
    joined.join(np.array(pairs).reshape(-1, 2))
    return joined.roots.tolist()


def test_all_pairs_that_reach_the_threshold_are_joined_and_no_others(
    texts: list[str], true_pairs: list[tuple[int, int]]
) -> None:
    index = NearIndex(THRESHOLD)
    links = index.add(Shingles.of(texts))
    assert len(true_pairs) > 200
    assert {(min(pair), max(pair)) for pair in links.tolist()} <= set(true_pairs)
    assert index.components.roots.tolist() == groups(true_pairs, len(texts))


@pytest.mark.parametrize("rows", [1, 50, 333])
def test_shards_make_no_difference(
    texts: list[str], true_pairs: list[tuple[int, int]], rows: int
) -> None:
    index, kept = NearIndex(THRESHOLD), []
    for start in range(0, len(texts), rows):
        sets = Shingles.of(texts[start : start + rows])
        kept.append((sets.to_arrow(), index.add(sets)))
    assert index.components.roots.tolist() == groups(true_pairs, len(texts))
    again = NearIndex(THRESHOLD)
    for stored, links in kept:
        again.add(Shingles.from_arrow(stored), links)
    assert again.components.roots.tolist() == index.components.roots.tolist()
    assert again.find(Shingles.of(texts)).tolist() == index.find(Shingles.of(texts)).tolist()


def test_the_first_that_is_near_is_found(
    texts: list[str], true_pairs: list[tuple[int, int]]
) -> None:
    index = NearIndex(THRESHOLD)
    index.add(Shingles.of(texts[:400]))
    expected = [-1] * len(texts)
    both = [*true_pairs, *((b, a) for a, b in true_pairs)]
    both += [(a, a) for a in range(len(texts)) if texts[a].strip("!")]
    for a, b in sorted(both, reverse=True):
        if a < 400:
            expected[b] = a
    assert index.find(Shingles.of(texts)).tolist() == expected


def test_a_crowd_of_alike_texts_is_quickly_one_group() -> None:
    alike = [
        "the same long text that very many rows of a bad set have " + str(n) for n in range(5000)
    ]
    index = NearIndex()
    index.add(Shingles.of([*alike, *["an exact copy of itself"] * 5000]))
    assert len(set(index.components.roots.tolist())) == 2


def test_nothing_is_like_a_text_without_words() -> None:
    index = NearIndex()
    assert len(index.add(Shingles.of(["", "?", None, "", "?"]))) == 0
    assert len(index.add(Shingles.of([]))) == 0
    assert index.find(Shingles.of(["", "?"])).tolist() == [-1, -1]


def test_a_slice_of_a_stored_column_is_itself() -> None:
    texts = ["one two three four", "", "five six"]
    stored = Shingles.of(texts).to_arrow()
    part = Shingles.from_arrow(stored[2:])
    assert part.hashes.tolist() == Shingles.of(texts[2:]).hashes.tolist()
    assert part.firsts.tolist() == [0, 1]
