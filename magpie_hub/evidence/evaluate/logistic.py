"""Logistic regression with shares as targets and weights of rows, for many draws of rows at once.

Newton's method; with an L1 penalty each step is solved by coordinate descent, as liblinear does
(Yuan, Ho and Lin 2012). A few terms and thousands of rows: a bootstrap of a thousand takes a
second, and no library fits one to draws side by side.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
STRENGTHS = tuple(float(c) for c in np.logspace(-4, 4, 10))
"""Of C, the inverse of the penalty: those that scikit-learn's LogisticRegressionCV tries."""
_FOLDS = 5
_STEPS, _SWEEPS = 100, 50
_LONGEST = 2.0
"""A step: far from the optimum the quadratic model promises too much."""
_STILL = 1e-9
_FLAT = 1e-9
"""Added to the curvature, so that terms that tell nothing stay where they are."""
_FARTHEST = 30.0
"""Of a weight: where all rows agree there is no optimum, and this is certainty enough."""


def share(logits: Floats) -> Floats:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)))


def fit(terms: Floats, targets: Floats, weights: Floats, *, c: float | None = None) -> Floats:
    """The weights of ``terms`` (rows, p) with which they best foretell ``targets`` (rows,) in
    [0, 1], for each row of ``weights`` (draws, rows): (draws, p). With ``c``, the penalty is the
    sum of the absolute weights and the loss counts ``c`` times; without, there is none."""
    factor, penalty = (1.0, 0.0) if c is None else (c, 1.0)
    p = terms.shape[1]
    products = (terms[:, :, None] * terms[:, None, :]).reshape(len(terms), p * p)
    at = np.zeros((len(weights), p))
    for _ in range(_STEPS):
        guess = share(at @ terms.T)
        slope = factor * ((weights * (guess - targets)) @ terms)
        curve = factor * ((weights * guess * (1 - guess)) @ products).reshape(-1, p, p)
        curve += _FLAT * np.eye(p)
        step = np.clip(_descended(at, slope, curve, penalty), -_LONGEST, _LONGEST)
        at = np.clip(at + step, -_FARTHEST, _FARTHEST)
        if np.abs(step).max(initial=0.0) < _STILL:
            break
    return at


def _descended(at: Floats, slope: Floats, curve: Floats, penalty: float) -> Floats:
    """The step to the least of the quadratic model with the penalty, a coordinate at a time."""
    if not penalty:
        return np.asarray(np.linalg.solve(curve, -slope[:, :, None])[:, :, 0])
    step = np.zeros_like(at)
    for _ in range(_SWEEPS):
        before = step.copy()
        for n in range(at.shape[1]):
            bend = curve[:, n, n]
            there = at[:, n] + step[:, n]
            pull = slope[:, n] + np.einsum("dq,dq->d", curve[:, n], step) - bend * there
            moved = -np.sign(pull) * np.maximum(np.abs(pull) - penalty, 0.0) / bend
            step[:, n] = moved - at[:, n]
        if np.abs(step - before).max(initial=0.0) < _STILL:
            break
    return step


def chosen_strength(terms: Floats, targets: Floats, weights: Floats) -> float:
    """The C of :data:`STRENGTHS` with the least loss on rows that were left out: five parts of
    every fifth row, the smallest C of equals."""
    parts = np.arange(len(targets)) % _FOLDS
    losses = np.zeros(len(STRENGTHS))
    for place, c in enumerate(STRENGTHS):
        for part in range(min(_FOLDS, len(targets))):
            out = parts == part
            found = fit(terms[~out], targets[~out], weights[None, ~out], c=c)[0]
            losses[place] += _loss(terms[out] @ found, targets[out], weights[out])
    return STRENGTHS[int(np.argmin(losses))]


def _loss(logits: Floats, targets: Floats, weights: Floats) -> float:
    """The mean; scikit-learn's mean over folds weighs them alike."""
    each = np.logaddexp(0.0, logits) - targets * logits
    return float((each * weights).mean())
