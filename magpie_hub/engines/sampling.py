"""Choosing the next token, a row's randomness being its own.

Each row draws one uniform number a step, a hash of (the row's seed, the step), so that what a row
becomes does not depend on its neighbours in the batch or on how often the run was stopped.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def uniforms(seeds: npt.NDArray[np.uint64], step: int) -> npt.NDArray[np.float64]:
    """One number in [0, 1) a row: splitmix64 of the seed's ``step``-th state.

    ``seeds``: (rows,). The same (seed, step) gives the same number on every machine.
    """
    with np.errstate(over="ignore"):
        z = seeds + _GOLDEN * np.uint64(step + 1)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def choose(
    logits: torch.Tensor,
    temperature: torch.Tensor,
    top_p: torch.Tensor,
    uniform: torch.Tensor,
) -> torch.Tensor:
    """The next token of each row.

    ``logits`` (rows, vocabulary) float32; ``temperature``, ``top_p`` (rows,) float32; ``uniform``
    (rows,) float64. Returns (rows,) int64. Rows at temperature 0 take the most likely token.
    """
    greedy = logits.argmax(dim=-1)
    warm = temperature > 0
    if not bool(warm.any()):
        return greedy
    scaled = logits / torch.where(warm, temperature, torch.ones_like(temperature))[:, None]
    probs = torch.softmax(scaled.double(), dim=-1)
    if bool((top_p[warm] < 1).any()):
        # Nucleus: the smallest set of most likely tokens whose mass reaches top_p.
        ranked, order = probs.sort(dim=-1, descending=True, stable=True)
        mass_before = ranked.cumsum(dim=-1) - ranked
        ranked = torch.where(mass_before < top_p.double()[:, None], ranked, 0.0)
        drawn = order.gather(1, _draw(ranked, uniform)[:, None])[:, 0]
    else:
        drawn = _draw(probs, uniform)
    return torch.where(warm, drawn, greedy)


def penalise(logits: torch.Tensor, seen: torch.Tensor, penalty: torch.Tensor) -> torch.Tensor:
    """The logits with those of ``seen`` tokens made less likely, as transformers and vLLM do it.

    ``logits`` (rows, vocabulary) float32; ``seen`` (rows, vocabulary) bool: the tokens of prompt
    and output so far; ``penalty`` (rows,) float32, at 1 of which a row stays bit for bit.
    """
    by = penalty[:, None]
    return torch.where(seen, torch.where(logits < 0, logits * by, logits / by), logits)


def _draw(weights: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Inverse of the cumulative sum: weights need not add up to one."""
    cumulative = weights.cumsum(dim=-1)
    target = uniform[:, None] * cumulative[:, -1:]
    index = torch.searchsorted(cumulative, target, right=True)[:, 0]
    # A zero weight is never drawn: rounding at the right end falls back to the last that counts.
    last = (weights > 0).long().cumsum(dim=-1).argmax(dim=-1)
    return torch.minimum(index, last)
