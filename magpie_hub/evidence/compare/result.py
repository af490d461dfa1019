"""What a comparison found: the same numbers for every source, and for every pair of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from magpie_hub import schema
from magpie_hub.evidence.resampling import LEVEL, TIMES, Interval
from magpie_hub.neighbors.block import Vectors


@dataclass(frozen=True)
class Measure:
    """A number of a source, for people: ``share`` is shown in per cent; ``meaning`` is a sentence
    for who reads the page."""

    name: str
    title: str
    meaning: str
    share: bool = False
    digits: int = 2


MEASURES = (
    Measure("turns", "turns", "User turns of a conversation."),
    Measure("question_length", "question", "Length of the first question.", digits=1),
    Measure("answer_length", "answer", "Length of the last answer.", digits=1),
    Measure("turn_length", "a turn", "Length of a question with its answer.", digits=1),
    Measure("exact", "same question", "Rows whose question stands in the source before.", True),
    Measure("near_duplicate", "near the same", "Questions nearly as another in the sample.", True),
    Measure("contaminated", "in a benchmark", "Questions with 13 words of an item.", True),
    Measure("refusal", "refusals", "Answers that open by declining.", True),
    Measure("leaked", "leaks", "Answers in which a template or a heading leaked.", True),
    Measure("loop", "loops", "Answers that end saying one thing over and over.", True),
    Measure("repetition", "repetition", "Share of an answer's 4-word runs seen before.", True),
    Measure("same_language", "one language", "Answers in the language of the question.", True),
    Measure("code", "code", "Answers with code.", True),
    Measure("table", "tables", "Answers with a table.", True),
    Measure("math", "formulas", "Answers with formulas.", True),
    Measure("list", "lists", "Answers with a list.", True),
    Measure("markdown", "markdown", "Answers with headings, bold text or links.", True),
    Measure("pii", "personal data", "Rows with secrets or personal data.", True),
    Measure("reward", "reward", "The reward model's score of the answer."),
    Measure("reward_difference", "over base", "The reward minus that of a base model's answer."),
    Measure(
        "distance", "nearest other", "Squared distance of a question to its nearest.", digits=3
    ),
    Measure("repeated", "repeated", "Questions with another nearer than 0.05.", True),
    Measure("vendi", "Vendi score", "Effective number of different questions.", digits=1),
    Measure("cluster_entropy", "cluster entropy", "How even over all clusters, 0 to 1.", digits=3),
    Measure("distinct_1", "distinct-1", "Different words among all, at one number.", digits=3),
    Measure("distinct_2", "distinct-2", "Different pairs of words among all.", digits=3),
    Measure("distinct_3", "distinct-3", "Different runs of three words among all.", digits=3),
)
"""In the order in which they are shown."""


@dataclass(frozen=True)
class Compared:
    """A source. ``read`` rows were looked at, ``kept`` have a question and pass the filter, and
    ``sampled`` of those were measured. ``makers``: the models behind its labels."""

    name: str
    source: str
    facts: Mapping[str, str]
    read: int
    without_question: int
    filtered: int
    kept: int
    sampled: int
    makers: Mapping[str, str]
    means: Mapping[str, Interval]
    shares: Mapping[str, Mapping[str, Interval]]


@dataclass(frozen=True)
class Pair:
    """``of`` a source, how much stands in another one, ``by``; both by their place. ``exact`` is a
    share of all rows, ``near`` of the sample; ``covered`` and ``distance`` are by meaning."""

    of: int
    by: int
    exact: Interval
    near: Interval
    covered: Interval | None = None
    distance: Interval | None = None


PAIRS: tuple[tuple[str, Callable[[Pair], Interval | None], bool], ...] = (
    ("the same question, of all rows", lambda pair: pair.exact, True),
    ("nearly the same question, of the sample", lambda pair: pair.near, True),
    ("covered by what the other one asks", lambda pair: pair.covered, True),
    ("distance to the nearest question there", lambda pair: pair.distance, False),
)
"""Title, number, and whether it is a share."""


@dataclass(frozen=True)
class Comparison:
    """``how`` says what was used: ``unit`` of lengths, ``embedder``, ``judge``, ``reward``;
    ``absent`` why a measure is not there. ``vectors``, for the map, are those of the first
    ``vectors_rows`` questions in ``shown``."""

    sources: tuple[Compared, ...]
    pairs: tuple[Pair, ...]
    where: str | None
    rows: int
    scan: int | None
    seed: int
    how: Mapping[str, str]
    absent: Mapping[str, str]
    even_rows: int
    clusters: int
    vectors: tuple[Vectors, ...] = field(default=(), repr=False)
    shown: tuple[tuple[str, ...], ...] = field(default=(), repr=False)

    def to_dict(self) -> dict[str, Any]:
        """As JSON; without the vectors."""
        made = {
            name: value for name, value in asdict(self).items() if name not in ("vectors", "shown")
        }
        return {**made, "interval": {"level": LEVEL, "bootstrap": TIMES}}


def values_of(kind: str, sources: Sequence[Compared]) -> list[str]:
    """The values of a label that one of the sources has, in the label's order or that in which they
    come."""
    found = dict.fromkeys(value for source in sources for value in source.shares.get(kind, {}))
    return [label for label in schema.column(kind).labels if label in found] or list(found)
