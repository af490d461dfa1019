from __future__ import annotations

import pytest

from magpie_hub.errors import UsageError
from magpie_hub.evidence.train.presets import METHODS, PRESETS, settings


def test_the_paper_s() -> None:
    sft, dpo = (settings(method, "paper") for method in METHODS)
    assert (sft.learning_rate, sft.schedule, sft.epochs, sft.batch) == (2e-5, "cosine", 2, 32)
    assert (sft.max_tokens, sft.packing, sft.warmup, sft.weight_decay) == (8192, True, 100, 0)
    assert (dpo.learning_rate, dpo.epochs, dpo.batch, dpo.beta) == (5e-7, 1, 128, 0.01)
    assert (dpo.max_tokens, dpo.packing, dpo.warmup) == (2048, False, 0.1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("preset", PRESETS)
def test_what_is_set_counts(method: str, preset: str) -> None:
    found = settings(method, preset, ["learning_rate=1e-4", "steps=null", "seed=7"], lora=True)
    assert (found.learning_rate, found.steps, found.seed, found.lora) == (1e-4, None, 7, True)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs", "--set epochs: write KEY=VALUE"),
        ("epoch=1", "--set epoch=1: did you mean 'epochs'"),
        ("beta=-1", "--set beta=-1: Input should be greater than 0"),
        ("seed={", "the value cannot be read"),
        ("schedule=sine", "--set schedule=sine: Input should be"),
        ("packing=true", "pairs are not packed"),
    ],
)
def test_what_is_none_is_named(override: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        settings("dpo", "paper", [override])
