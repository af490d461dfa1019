import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from magpie_hub.engines.sampling import choose, penalise, uniforms

LOGITS = torch.tensor([0.0, 1.0, 2.0, -float("inf")])


def draw(count: int, *, temperature: float, top_p: float) -> torch.Tensor:
    seeds = np.arange(count, dtype=np.uint64) * np.uint64(7919)
    chosen = choose(
        LOGITS.repeat(count, 1),
        torch.full((count,), temperature),
        torch.full((count,), top_p),
        torch.from_numpy(uniforms(seeds, 0)),
    )
    return torch.bincount(chosen, minlength=4) / count


def test_tokens_come_as_often_as_the_softmax_says() -> None:
    for temperature in (0.5, 1.0, 2.0):
        expected = torch.softmax(LOGITS / temperature, dim=0)
        shares = draw(40_000, temperature=temperature, top_p=1.0)
        assert torch.allclose(shares, expected, atol=0.01)
        assert shares[3] == 0


def test_the_nucleus_is_the_smallest_set_that_reaches_top_p() -> None:
    # softmax: .090 .245 .665
    assert draw(2000, temperature=1.0, top_p=0.6)[2] == 1
    shares = draw(40_000, temperature=1.0, top_p=0.9)
    assert shares[0] == 0
    assert torch.allclose(shares[1:3], torch.tensor([0.269, 0.731]), atol=0.01)


def test_greedy_rows_and_warm_rows_share_a_batch() -> None:
    chosen = choose(
        LOGITS.repeat(2, 1),
        torch.tensor([0.0, 1.0]),
        torch.tensor([1.0, 1.0]),
        torch.tensor([0.0, 0.0], dtype=torch.float64),
    )
    assert chosen.tolist() == [2, 0]


@given(st.integers(0, 2**63 - 1), st.integers(0, 10_000))
def test_a_number_depends_on_seed_and_step_alone(seed: int, step: int) -> None:
    alone = uniforms(np.array([seed], dtype=np.uint64), step)[0]
    among = uniforms(np.array([1, seed, 2], dtype=np.uint64), step)[1]
    assert alone == among
    assert 0 <= alone < 1


def test_numbers_are_uniform_and_independent() -> None:
    seeds = np.arange(20_000, dtype=np.uint64) * np.uint64(2654435761)
    first, second = uniforms(seeds, 0), uniforms(seeds, 1)
    assert abs(first.mean() - 0.5) < 0.01
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03


def test_what_was_said_is_less_likely_and_a_row_without_penalty_stays() -> None:
    logits = torch.tensor([[2.0, -2.0, 3.0, -float("inf")]]).repeat(2, 1)
    seen = torch.tensor([[True, True, False, True]]).repeat(2, 1)
    strict, free = penalise(logits, seen, torch.tensor([1.25, 1.0]))
    assert strict.tolist() == [pytest.approx(1.6), -2.5, 3.0, -float("inf")]
    assert torch.equal(free, logits[1])
