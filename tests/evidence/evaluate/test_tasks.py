"""WildBench's weighted means, against its own arithmetic written out."""

from __future__ import annotations

import numpy as np
import pytest

from magpie_hub.evidence.evaluate.prompts import Prompt
from magpie_hub.evidence.evaluate.tasks import GROUPS, WEIGHTS, by_task, groups


def tagged(*tags: str) -> Prompt:
    row = {"primary_tag": tags[0], "secondary_tags": list(tags[1:])} if tags else {}
    return Prompt("a", ("Why?",), 0, row)


def test_a_prompt_counts_once_in_each_of_its_groups() -> None:
    assert groups(tagged("Reasoning", "Planning", "Math")) == {
        "Planning & Reasoning",
        "Math & Data Analysis",
    }
    assert groups(tagged()) == groups(tagged("Gardening")) == set()
    assert set(GROUPS.values()) == set(WEIGHTS) and len(GROUPS) == 12


def test_groups_are_weighted_and_not_prompts() -> None:
    prompts = [tagged("Math"), tagged("Math"), tagged("Editing"), tagged("Editing", "Coding")]
    prompts += [tagged("Planning"), tagged("Coding & Debugging", "Editing"), tagged("Others")]
    prompts += [tagged("Advice seeking", "Information seeking")]
    values = np.array([10.0, 30.0, 0.0, 8.0, 100.0, 40.0, -4.0, 60.0])
    found = by_task(values, [groups(prompt) for prompt in prompts])
    means = {
        "Math & Data Analysis": (10 + 30) / 2,
        "Creative Tasks": (0 + 8 + 40 - 4) / 4,
        "Planning & Reasoning": 100,
        "Coding & Debugging": 40,
        "Information/Advice seeking": 60,
    }
    total = sum(WEIGHTS[name] * mean for name, mean in means.items()) / sum(WEIGHTS.values())
    assert found is not None and found.value == pytest.approx(total) and found.n == 8
    assert found.low <= total <= found.high and found.low < found.high


def test_only_groups_that_occur_count() -> None:
    values = np.array([10.0, 50.0, 99.0])
    found = by_task(values, [groups(tagged("Math")), groups(tagged("Editing")), set()])
    assert found is not None and found.value == pytest.approx((10 * 1 + 50 * 0.5) / 1.5)
    assert (found.low, found.high, found.n) == (10, 50, 2)
    assert by_task(values, [set()] * 3) is None
