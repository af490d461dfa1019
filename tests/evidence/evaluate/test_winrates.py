"""Win rates against independent calculations: scikit-learn, closed forms, alpaca_eval itself."""

from __future__ import annotations

import math

import numpy as np
import pytest

from magpie_hub.evidence.evaluate import winrates
from magpie_hub.evidence.evaluate.judging import FIVE
from magpie_hub.evidence.evaluate.logistic import fit

linear = pytest.importorskip("sklearn.linear_model")
metrics = pytest.importorskip("sklearn.metrics")
RANDOM = np.random.default_rng(5)


def made(rows: int = 300, terms: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x = RANDOM.normal(size=(rows, terms))
    y = RANDOM.integers(0, 5, rows) / 4
    return x, np.clip(y + 0.3 * x[:, 0], 0, 1), RANDOM.uniform(0.1, 2, rows)


@pytest.mark.parametrize("c", [None, 0.01, 0.05, 1.0, 100.0])
def test_fits_are_those_of_scikit_learn(c: float | None) -> None:
    """A share is a win and a loss, weighted."""
    x, y, weights = made()
    how = {"C": np.inf} if c is None else {"C": c, "l1_ratio": 1, "solver": "liblinear"}
    theirs = linear.LogisticRegression(fit_intercept=False, tol=1e-10, max_iter=10_000, **how)
    theirs.fit(
        np.concatenate([x, x]),
        np.repeat([1, 0], len(y)),
        sample_weight=np.concatenate([weights * y, weights * (1 - y)]),
    )
    draws = np.stack([weights, 2 * weights])
    ours = fit(x, y, draws, c=c)
    assert ours[0] == pytest.approx(theirs.coef_[0], abs=2e-4)
    if c is None:
        assert ours[1] == pytest.approx(ours[0], abs=1e-7)
    elif c == 0.01:
        assert (ours[0] == 0).any()


def test_rows_that_all_agree_are_certain_enough() -> None:
    x = np.ones((50, 1))
    assert winrates.share(fit(x, np.ones(50), np.ones((1, 50)))) == pytest.approx(1, abs=1e-6)


# What alpaca_eval 0.6.6 says of the annotations below, in per cent: with its published model, and
# with that model without difficulty and gamed baselines.
THEIRS = {
    (0, 805, 0.0): (49.262023600059784, 48.73842341933896),
    (1, 805, 1.2): (73.86827905471405, 73.65774887593449),
    (2, 805, -2.0): (13.262405460611209, 14.127225961085218),
    (3, 200, 0.5): (63.25094612156889, 64.09856996178249),
}


@pytest.mark.parametrize(("seed", "rows", "shift"), THEIRS)
def test_length_controlled_as_alpaca_eval(seed: int, rows: int, shift: float) -> None:
    r = np.random.default_rng(seed)
    theirs = r.integers(200, 3000, rows)
    ours = (theirs * r.uniform(0.4, 2.2, rows)).astype(int)
    hard = r.normal(0, 1, rows)
    std = (theirs - ours) / (theirs - ours).std(ddof=1)
    logits = shift - np.tanh(std) + 0.6 * hard + r.normal(0, 0.5, rows)
    wins = r.binomial(2, winrates.share(logits)) / 2
    delta = np.concatenate([r.normal(1.5, 0.7, rows), -r.normal(1.5, 0.7, rows)])
    preference = winrates.share(-np.tanh(delta) + r.normal(0, 0.3, 2 * rows))
    gamed = winrates.Gamed(
        dict(enumerate(hard.tolist())),
        (*range(rows), *range(rows)),
        tuple(preference.tolist()),
        tuple(delta.tolist()),
    )
    lengths = ours.astype(float), theirs.astype(float)
    full, simple = THEIRS[seed, rows, shift]
    found = winrates.length_controlled(wins, *lengths, places=range(rows), gamed=gamed)
    assert 100 * found.value == pytest.approx(full, abs=0.01)
    assert found.low < found.value < found.high and found.n == rows
    assert 100 * winrates.length_controlled(wins, *lengths).value == pytest.approx(simple, abs=0.01)


def test_equal_lengths_change_no_win_rate() -> None:
    wins = RANDOM.binomial(2, 0.7, 400) / 2
    same = np.full(400, 90.0)
    plain = winrates.win_rate(wins)
    assert winrates.length_controlled(wins, same, same).value == pytest.approx(
        plain.value, abs=0.005
    )


def test_the_interval_of_a_win_rate_is_that_of_a_mean() -> None:
    wins = RANDOM.integers(0, 2, 2000).astype(float)
    found = winrates.win_rate(wins)
    assert found.value == pytest.approx(wins.mean())
    half = 1.96 * math.sqrt(wins.var() / len(wins))
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)


def graded(rows: int = 200) -> list[tuple[str, str]]:
    random = np.random.default_rng(8)
    return [
        tuple(map(str, random.choice(FIVE, 2, p=[0.1, 0.4, 0.1, 0.2, 0.2]))) for _ in range(rows)
    ]


def test_bradley_terry_as_arena_hard() -> None:
    """Its compute_mle_elo: battles repeated by weight, all of them twice, a tie once won and once
    lost, base 10 and scale 400, the baseline at 1000."""
    verdicts = graded()
    won: list[float] = []
    for each in verdicts:
        for verdict in each:
            value = {"A": 1.0, "B": 0.0}[verdict[0]] if verdict != "A=B" else 0.5
            won += [value] * (3 if ">>" in verdict else 1)
    twice = [math.ceil(value) for value in won] + [math.floor(value) for value in won]
    model = linear.LogisticRegression(fit_intercept=False, C=np.inf, tol=1e-10)
    model.fit(np.full((len(twice), 1), math.log(10)), twice)
    found = winrates.bradley_terry(verdicts)
    assert found.elo.value - 1000 == pytest.approx(400 * model.coef_[0, 0], abs=0.01)
    odds = 10 ** ((found.elo.value - 1000) / 400)
    assert found.rate.value == pytest.approx(odds / (1 + odds))
    assert found.elo.low < found.elo.value < found.elo.high
    assert found.rate.low < found.rate.value < found.rate.high


def test_one_who_wins_all_has_a_finite_score() -> None:
    found = winrates.bradley_terry([("A>>B", "A>B")] * 5)
    assert found.rate.value == 1 and math.isfinite(found.elo.value)


def test_style_is_controlled_for() -> None:
    """A judge that prefers the longer answer and nothing else: at equal style all is even."""
    random = np.random.default_rng(2)
    ours = ["word " * int(n) for n in random.integers(20, 200, 400)]
    theirs = ["word " * int(n) for n in random.integers(10, 120, 400)]
    logits = [3 * (len(a) - len(b)) / (len(a) + len(b)) for a, b in zip(ours, theirs, strict=True)]
    wins = random.uniform(size=400) < winrates.share(np.array(logits))
    verdicts = [("A>B", "A>B") if win else ("B>A", "B>A") for win in wins]
    assert winrates.bradley_terry(verdicts).rate.low > 0.55
    controlled = winrates.style_controlled(verdicts, ours, theirs)
    assert controlled.low < 0.5 < controlled.high
    length = np.array(logits) / 3
    x = np.column_stack([np.ones(400), length / length.std(ddof=1)])
    model = linear.LogisticRegression(fit_intercept=False, C=np.inf, tol=1e-10).fit(x, wins)
    assert controlled.value == pytest.approx(float(winrates.share(model.coef_[0, 0])), abs=2e-3)


def test_markup_is_counted_outside_of_code() -> None:
    text = "# Title\n- one\n2. two\n**bold** and __bold__\n```\n# no\n- no\n```\n"
    assert winrates._counts(text)[1:] == [1, 2, 2]


def test_wildbench_numbers_by_hand() -> None:
    verdicts = [("A>>B",), ("A>B", "A>B"), ("A=B",), ("B>A",), ("B>>A",)]
    ours = np.array([100.0, 2000, 100, 100, 100])
    theirs = np.full(5, 100.0)
    rewards = winrates.wildbench_rewards(verdicts, ours, theirs)
    assert rewards.tolist() == [100, 50, 0, -50, -100]
    # A slight win that is longer by more than the margin counts for nothing.
    shorter = winrates.wildbench_rewards(verdicts, ours, theirs, margin=500)
    assert shorter.tolist() == [100, 0, 0, -50, -100]
    lost = winrates.wildbench_rewards(
        verdicts, theirs, np.array([100.0] * 3 + [900] * 2), margin=500
    )
    assert lost.tolist() == [100, 50, 0, 0, -100]
    assert winrates.wildbench_scores(np.array([5.0, 10.0])).tolist() == [0, 100]


def test_kappa_is_scikit_learns() -> None:
    one = RANDOM.choice(["win", "tie", "loss"], 200)
    other = np.where(RANDOM.uniform(size=200) < 0.6, one, RANDOM.choice(["win", "tie"], 200))
    found = winrates.kappa(one.tolist(), other.tolist())
    assert found == pytest.approx(metrics.cohen_kappa_score(one, other))
    assert winrates.kappa(["win", "tie"], ["win", "tie"]) == 1
    assert winrates.kappa(["win"], ["win"]) is None
