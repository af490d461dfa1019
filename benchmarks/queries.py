"""Queries made by rule, for benchmarks that look at words and not at meaning: Zipf's law over made
words behind the openings that queries share, and copies of others with a few words changed."""

from __future__ import annotations

import itertools
import random

_OPENINGS = (
    "What is the", "How do I", "Write a short story about", "Explain the difference between",
    "Can you help me with", "Calculate the value of", "I am working on a project about",
    "Write a Python function that", "Give me a list of", "Why does",
)  # fmt: skip
_WORDS = 30_000


class Queries:
    """``copies``: the share of rows that are changed copies of rows before."""

    def __init__(self, seed: int, *, copies: float = 0.0) -> None:
        self._draw = random.Random(seed)
        letters = random.Random(0)
        self._words = [
            "".join(letters.choices("etaoinshrdlucmfwypvbgkjqxz", k=letters.randint(2, 10)))
            for _ in range(_WORDS)
        ]
        self._weights = list(itertools.accumulate(1 / (rank + 5) for rank in range(_WORDS)))
        self._copies = copies

    def take(self, rows: int) -> list[str]:
        """About 22 words each, as Magpie's queries have."""
        made: list[str] = []
        for _ in range(rows):
            if made and self._draw.random() < self._copies:
                made.append(self._changed(self._draw.choice(made)))
            else:
                length = min(3 + int(self._draw.lognormvariate(2.6, 0.7)), 150)
                words = self.words(length)
                made.append(f"{self._draw.choice(_OPENINGS)} {' '.join(words)}?")
        return made

    def words(self, count: int) -> list[str]:
        return self._draw.choices(self._words, cum_weights=self._weights, k=count)

    def _changed(self, text: str) -> str:
        words = text.split()
        for _ in range(self._draw.randint(0, 3)):
            words[self._draw.randrange(len(words))] = self.words(1)[0]
        # Half the edits are at an end, where they touch few shingles.
        if self._draw.random() < 0.5:
            words += self.words(1)
        return " ".join(words)
