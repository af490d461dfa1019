"""What thinking is worth: well-formed traces, right answers with and without it, and votes."""

from collections.abc import Iterator, Sequence
from random import Random

from demo_model import grammar, sampling, truth
from demo_model.grammar import Turn
from demo_model.intent import MATH, REASON
from demo_model.intents import INTENTS
from demo_model.measure import SEED, Bench, Sampled, Score, share
from demo_model.tokenizer import CLOSE, OPEN
from magpie_hub.schema import DIFFICULTIES

VOTES = 5
MAX_TOKENS = 160

# Thinking or None where it was not closed or is empty, and the answer behind it.
Thought = tuple[str | None, str]


def thinking_scores(bench: Bench, sampled: Sequence[Sampled], *, each: int) -> list[Score]:
    """The form of the thinking about the model's own queries; then answers to `each` fresh
    questions of math and reasoning of every difficulty."""
    own = think(bench, [s.query for s in sampled if s.parsed])
    asked = questions(each)
    queries = [turn.query for turn in asked]
    plain = bench.complete([sampling.USER + q + sampling.ASSISTANT for q in queries])
    greedy = think(bench, queries)
    drawn = think(bench, [q for q in queries for _ in range(VOTES)], temperature=1.0)
    rows = [
        _closed("own queries", own),
        _closed("math and reasoning", greedy),
        _closed("math and reasoning at T = 1", drawn),
    ]
    votes = [[a for _, a in drawn[i * VOTES : (i + 1) * VOTES]] for i in range(len(asked))]
    elected = [truth.majority(query, vote) for query, vote in zip(queries, votes, strict=True)]
    for name, chosen in _groups(asked):
        for how, answers in (
            ("without thinking", [[answer] for answer, _ in plain]),
            ("with thinking", [[answer] for _, answer in greedy]),
            ("with thinking at T = 1", votes),
            (f"by the majority of {VOTES}", [[answer] for answer in elected]),
        ):
            marks = [truth.is_right(queries[i], a) is True for i in chosen for a in answers[i]]
            rows.append(Score(f"answers right {how}: {name}", share(marks), len(marks)))
    return rows


def _closed(name: str, thoughts: Sequence[Thought]) -> Score:
    marks = [thought is not None for thought, _ in thoughts]
    return Score(f"thinking closed and not empty: {name}", share(marks), len(marks))


def questions(each: int) -> list[Turn]:
    """`each` questions of every difficulty, of the kinds whose steps were taught."""
    rng = Random(SEED + 4)
    taught = [i for i in INTENTS.values() if i.category in (MATH, REASON) and i.thought]
    drawn = []
    for difficulty in DIFFICULTIES:
        kinds = [intent for intent in taught if intent.difficulty == difficulty]
        drawn += [grammar.sample(rng, intent=kinds[n % len(kinds)]) for n in range(each)]
    return drawn


def think(bench: Bench, queries: Sequence[str], *, temperature: float = 0.0) -> list[Thought]:
    completions = bench.complete(
        [f"{sampling.USER}{query}{sampling.ASSISTANT}{OPEN}\n" for query in queries],
        temperature=temperature,
        max_tokens=MAX_TOKENS,
    )
    thoughts: list[Thought] = []
    for text, _ in completions:
        thought, closed, answer = text.partition(CLOSE)
        thoughts.append((thought.strip() or None if closed else None, answer.strip()))
    return thoughts


def _groups(asked: Sequence[Turn]) -> Iterator[tuple[str, list[int]]]:
    for category in (MATH, REASON):
        yield category, [i for i, turn in enumerate(asked) if turn.category == category]
    for difficulty in DIFFICULTIES:
        yield difficulty, [i for i, turn in enumerate(asked) if turn.difficulty == difficulty]
