"""Queries that are not queries: what a sampled model writes when it slips.

The judge is trained on these, so that `quality >= 'average'` removes them. The kinds are those
seen among the unreadable samples of earlier models: cut text, a slot filled from another question,
two questions run together, a missing or doubled word, a missing beginning, and noise.
"""

import re
from collections.abc import Callable
from random import Random

from transformers import PreTrainedTokenizerBase

from demo_model import grammar
from demo_model.tables.frames import FRAGMENTS


def garble(query: str, *, rng: Random) -> str:
    """A malformed relative of `query`: the grammar cannot read it."""
    while True:
        kind = rng.choice(_KINDS)
        text = kind(query, rng).strip()
        # The bound keeps a doubled or spliced table from growing past what a judge is shown.
        if text and len(text) < 300 and grammar.parse(text) is None:
            return text


def intruded(query: str, *, tokenizer: PreTrainedTokenizerBase, rng: Random) -> str:
    """`query` with one or two tokens replaced, lost or put in at random, as a slip in sampling."""
    while True:
        ids = tokenizer(query, add_special_tokens=False)["input_ids"]
        for _ in range(rng.choice((1, 1, 1, 2))):
            at = rng.randrange(len(ids)) if rng.random() < 0.75 else 0
            kept = rng.choice((at, at + 1, at + 1, at + 2))
            # The first 259 tokens are special ones and single bytes.
            new = [rng.randrange(259, len(tokenizer))] if kept != at + 2 else []
            ids = ids[:at] + new + ids[kept:]
        text = tokenizer.decode(ids).strip()
        if text and grammar.parse(text) is None:
            return text


def _cut_words(query: str, rng: Random) -> str:
    words = query.split(" ")
    return " ".join(words[: rng.randint(1, max(1, len(words) - 1))])


def _cut_letters(query: str, rng: Random) -> str:
    return query[: rng.randint(1, len(query))]


def _cut_beginning(query: str, rng: Random) -> str:
    return query[rng.randint(2, max(2, len(query) // 2)) :]


def _splice(query: str, rng: Random) -> str:
    other = grammar.sample(rng).query.split(" ")
    words = query.split(" ")
    left = words[: rng.randint(1, len(words))]
    return " ".join(left + other[rng.randrange(len(other)) :])


def _foreign_word(query: str, rng: Random) -> str:
    """A word of another question where the slot was."""
    words = query.split(" ")
    other = rng.choice(grammar.sample(rng).query.split(" ")).strip(".,?!")
    words[rng.randrange(len(words))] = other
    return " ".join(words)


def _drop_word(query: str, rng: Random) -> str:
    words = query.split(" ")
    if len(words) > 1:
        del words[rng.randrange(len(words))]
    return " ".join(words)


def _double(query: str, rng: Random) -> str:
    words = query.split(" ")
    start = rng.randrange(len(words))
    end = start + rng.randint(1, 3)
    return " ".join(words[:end] + words[start:])


def _run_together(query: str, rng: Random) -> str:
    """Letters lost inside the text, as where a wrong token was drawn."""
    start = rng.randrange(len(query))
    return query[:start] + query[start + rng.randint(2, 6) :]


def _insert(query: str, rng: Random) -> str:
    start = rng.randrange(len(query))
    return query[:start] + rng.choice(FRAGMENTS) + query[start:]


def _shuffle(query: str, rng: Random) -> str:
    words = re.split(r"\s+", query)
    rng.shuffle(words)
    return " ".join(words)


_KINDS: tuple[Callable[[str, Random], str], ...] = (
    _cut_words,
    _cut_letters,
    _cut_beginning,
    _splice,
    _splice,
    _foreign_word,
    _foreign_word,
    _drop_word,
    _double,
    _run_together,
    _run_together,
    _insert,
    _shuffle,
)
