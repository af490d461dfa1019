"""Numbers from verdicts: win rates, length-controlled ones, Bradley-Terry scores, WildBench's.

``wins`` is what a prompt is worth to the model, between 0 (lost in both orders) and 1; intervals
are of draws of prompts, since the two orders of one prompt are no two observations.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from magpie_hub.errors import InvalidData
from magpie_hub.evidence.evaluate.logistic import Floats, chosen_strength, fit, share
from magpie_hub.evidence.resampling import TIMES, Bootstrap, Interval, interval

SIGNIFICANT = 3
"""Battles that a verdict of much better counts as, in Arena-Hard."""
BASE_SCORE, SCALE = 1000.0, 400.0
"""Of a score in the manner of chess: the opponent's, and the points of tenfold odds."""
GAMED_WEIGHT = 0.2
"""AlpacaEval 2: how much the two gamed baselines together count beside the model's rows."""
CHARACTERS = 4
"""Of a token, where Arena-Hard counts tokens of a tokenizer that is not part of this package."""
_FENCED = re.compile(r"```([^`]*)```")
_MARKS = (
    (r"^#{1,6}\s",),
    (r"^\s*\d+\.\s", r"^\s*[-*+]\s"),
    (r"\*\*[^*\n]+\*\*", r"__[^_\n]+__"),
)
"""Headers, list items and bold text, as Arena-Hard counts them outside of code."""
_REWARDS = {"A>>B": 1.0, "A>B": 0.5, "A=B": 0.0, "B>A": -0.5, "B>>A": -1.0}


def win_rate(wins: Floats, *, seed: int = 0) -> Interval:
    """The mean; a tie is half a win. ``wins`` is not empty."""
    found = Bootstrap(len(wins), seed=seed).mean(wins)
    assert found is not None
    return found


@dataclass(frozen=True)
class Gamed:
    """AlpacaEval's published annotations of its baseline against verbose and concise ones of
    itself, to which the length term is held; and the difficulty of each instruction."""

    difficulty: dict[int, float]
    index: tuple[int, ...]
    preference: tuple[float, ...]
    length: tuple[float, ...]


def read_gamed(file: Path) -> Gamed:
    """AlpacaEval's df_gamed.csv, from the dataset tatsu-lab/alpaca_eval on the Hub."""
    import polars as pl

    wanted = ("index", "preference", "std_delta_len", "instruction_difficulty")
    try:
        frame = pl.read_csv(file, columns=list(wanted)).drop_nulls()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InvalidData(f"{file} is no df_gamed.csv: {type(error).__name__}.") from error
    index = tuple(frame["index"].cast(pl.Int64).to_list())
    hard = dict(zip(index, frame["instruction_difficulty"].to_list(), strict=True))
    return Gamed(
        difficulty=hard,
        index=index,
        preference=tuple(frame["preference"].to_list()),
        length=tuple(frame["std_delta_len"].to_list()),
    )


def length_controlled(
    wins: Floats,
    lengths: Floats,
    opponent_lengths: Floats,
    *,
    places: Sequence[int] = (),
    gamed: Gamed | None = None,
    seed: int = 0,
) -> Interval:
    """The win rate that the model would have if its answers were as long as its opponent's
    (arXiv 2404.04475): a logistic regression on the tanh of the standardised difference in
    characters, the difficulty of the instruction and the model, with an L1 penalty chosen on rows
    left out; then the length term put to zero. Without ``gamed`` there is no difficulty, and
    nothing holds the length term. ``places`` are the prompts' numbers in AlpacaEval's file."""
    delta = opponent_lengths - lengths
    spread = float(delta.std(ddof=1)) if len(delta) > 1 else 0.0
    length = np.tanh(delta / spread) if spread else np.zeros_like(delta)
    one = np.ones_like(length)
    columns, targets, base = [length, one], wins, one
    if gamed is not None:
        hard = np.array([gamed.difficulty[place] for place in places])
        theirs = [gamed.difficulty[place] for place in gamed.index]
        many = len(gamed.index)
        columns = [
            np.concatenate([np.tanh(gamed.length), length]),
            np.concatenate([theirs, hard]),
            np.concatenate([np.zeros(many), one]),
        ]
        targets = np.concatenate([gamed.preference, wins])
        base = np.concatenate([np.full(many, GAMED_WEIGHT / 2), one])
    terms = np.stack(columns, axis=1)
    even = terms[-len(wins) :].copy()
    even[:, 0] = 0.0
    c = chosen_strength(terms, targets, base)
    value = float(share(even @ fit(terms, targets, base[None], c=c)[0]).mean())
    counts = draws(len(wins), seed)
    weights = np.tile(base, (TIMES, 1))
    weights[:, -len(wins) :] = counts
    drawn = share(fit(terms, targets, weights, c=c) @ even.T)
    means = (drawn * counts).sum(axis=1) / len(wins)
    return interval(value, means, len(wins))


@dataclass(frozen=True)
class Score:
    """``rate``: the share of battles that the model wins, as Arena-Hard shows it; ``elo``: the same
    as points, the opponent having 1000."""

    rate: Interval
    elo: Interval


def bradley_terry(verdicts: Sequence[Sequence[str]], *, seed: int = 0) -> Score:
    """Of the five grades for each prompt, in each order but seen from the model (``A`` is the
    model). Arena-Hard's: a verdict of much better is three battles, a tie half a win; of two models
    Bradley-Terry's strength is the logarithm of their odds."""
    won, fought = battles(verdicts)
    counts = draws(len(verdicts), seed)
    rate = float(won.sum() / fought.sum())
    drawn = (counts @ won) / (counts @ fought)
    n = len(verdicts)
    return Score(interval(rate, drawn, n), interval(float(_elo(rate)), _elo(drawn), n))


def style_controlled(
    verdicts: Sequence[Sequence[str]],
    answers: Sequence[str],
    opponent_answers: Sequence[str],
    *,
    seed: int = 0,
) -> Interval:
    """Arena-Hard's rate with style control: Bradley-Terry with terms for the relative difference in
    length and in the density of headers, lists and bold text, and its strength where these are 0.
    Terms are scaled as there but not centred: there the mean is over many models, and at the mean
    of a single pair nothing would be controlled for."""
    terms = _style(answers, opponent_answers)
    won, fought = battles(verdicts)
    mean = (fought @ terms) / fought.sum()
    spread = np.sqrt((fought @ (terms - mean) ** 2) / max(fought.sum() - 1, 1))
    told = spread > 0
    terms = np.column_stack([np.ones(len(terms)), terms[:, told] / spread[told]])
    targets = np.divide(won, fought, out=np.full_like(won, 0.5), where=fought > 0)
    value = fit(terms, targets, fought[None])[0, 0]
    drawn = fit(terms, targets, draws(len(won), seed) * fought)[:, 0]
    return interval(float(share(value)), share(drawn), len(won))


def battles(verdicts: Sequence[Sequence[str]]) -> tuple[Floats, Floats]:
    """(battles that the model won, battles), of each prompt."""
    won, fought = np.zeros(len(verdicts)), np.zeros(len(verdicts))
    for place, each in enumerate(verdicts):
        for verdict in each:
            weight = SIGNIFICANT if ">>" in verdict else 1
            fought[place] += weight
            won[place] += weight * worth(verdict)
    return won, fought


def worth(verdict: str) -> float:
    """1 where ``A`` is better, 1/2 for a tie."""
    return 0.5 if verdict == "A=B" else float(verdict.startswith("A"))


def wildbench_rewards(
    verdicts: Sequence[Sequence[str]],
    lengths: Floats,
    opponent_lengths: Floats,
    *,
    margin: int | None = None,
) -> Floats:
    """Of each prompt: 100 for much better, 50 for better, 0 for a tie. With a ``margin``, a slight
    win of an answer that is longer by more than so many characters is a tie."""
    rewards = np.zeros(len(verdicts))
    for place, each in enumerate(verdicts):
        longer = lengths[place] - opponent_lengths[place]
        values = [_REWARDS[verdict] for verdict in each]
        if margin is not None:
            values = [
                0.0 if abs(value) == 0.5 and longer * np.sign(value) > margin else value
                for value in values
            ]
        rewards[place] = 100 * float(np.mean(values))
    return rewards


def wildbench_scores(grades: Floats) -> Floats:
    """Of grades from 1 to 10: 0 for a mean of 5, 100 for one of 10."""
    return (grades - 5) * 20


def kappa(one: Sequence[str], other: Sequence[str]) -> float | None:
    """Cohen's kappa: agreement beyond what their shares of each label give by chance; None where
    both always say the same one thing."""
    labels = sorted({*one, *other})
    a, b = (np.array([labels.index(each) for each in side]) for side in (one, other))
    table = np.zeros((len(labels), len(labels)))
    np.add.at(table, (a, b), 1 / len(a))
    chance = float(table.sum(axis=1) @ table.sum(axis=0))
    return None if chance >= 1 else float((np.trace(table) - chance) / (1 - chance))


def draws(rows: int, seed: int) -> Floats:
    """(draws, rows): how often each draw has each row."""
    random = np.random.default_rng(seed)
    return random.multinomial(rows, np.full(rows, 1 / rows), size=TIMES).astype(np.float64)


def _elo(rate: float | Floats) -> Floats:
    with np.errstate(divide="ignore"):
        odds = np.log10(rate) - np.log10(1 - np.asarray(rate))
    # Who lost every battle has no finite score: ten points of odds stand for it.
    return np.asarray(BASE_SCORE + SCALE * np.clip(odds, -10, 10))


def _style(answers: Sequence[str], opponent_answers: Sequence[str]) -> Floats:
    one, other = (
        np.array([_counts(text) for text in side]) for side in (answers, opponent_answers)
    )
    total = one[:, 0] + other[:, 0]
    length = np.divide(one[:, 0] - other[:, 0], total, out=np.zeros(len(total)), where=total > 0)
    dense, denser = one[:, 1:] / (one[:, :1] + 1), other[:, 1:] / (other[:, :1] + 1)
    return np.column_stack([length, (dense - denser) / (dense + denser + 1)])


def _counts(text: str) -> list[float]:
    """Tokens, then headers, list items and bold text."""
    prose = text
    for block in _FENCED.findall(text):
        prose = prose.replace(block, "")
    marks = [sum(len(re.findall(mark, prose, re.MULTILINE)) for mark in kind) for kind in _MARKS]
    return [len(text) / CHARACTERS, *map(float, marks)]
