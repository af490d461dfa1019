"""WildBench's means over groups of tasks, by which its leaderboard ranks.

Groups and weights are those of ``leaderboard/data_dir/_create_tables.py`` in the repository
allenai/WildBench.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from magpie_hub.evidence.evaluate.logistic import Floats
from magpie_hub.evidence.evaluate.prompts import Prompt
from magpie_hub.evidence.evaluate.winrates import draws
from magpie_hub.evidence.resampling import Interval, interval

WEIGHTS = {
    "Creative Tasks": 0.5,
    "Planning & Reasoning": 1.25,
    "Math & Data Analysis": 1.0,
    "Information/Advice seeking": 0.75,
    "Coding & Debugging": 1.25,
}
GROUPS: Mapping[str, str] = {
    "Information seeking": "Information/Advice seeking",
    "Advice seeking": "Information/Advice seeking",
    "Creative Writing": "Creative Tasks",
    "Editing": "Creative Tasks",
    "Brainstorming": "Creative Tasks",
    "Role playing": "Creative Tasks",
    "Others": "Creative Tasks",
    "Coding & Debugging": "Coding & Debugging",
    "Reasoning": "Planning & Reasoning",
    "Planning": "Planning & Reasoning",
    "Math": "Math & Data Analysis",
    "Data Analysis": "Math & Data Analysis",
}
"""Of each tag."""


def groups(prompt: Prompt) -> set[str]:
    """Of its first tag and of the others; none where it has no tag that is known."""
    tags = [prompt.row.get("primary_tag"), *(prompt.row.get("secondary_tags") or ())]
    return {GROUPS[tag] for tag in tags if tag in GROUPS}


def by_task(values: Floats, of: Sequence[set[str]], *, seed: int = 0) -> Interval | None:
    """The weighted mean of the groups' means; a prompt counts in each of its groups ``of``. Only
    groups that occur count; None where none does."""
    weights = np.array(list(WEIGHTS.values()))
    within = np.array([[group in each for group in WEIGHTS] for each in of], np.float64)
    if not within.any():
        return None

    def mean(counts: Floats) -> Floats:
        prompts = counts @ within
        there = prompts > 0
        means = np.divide(counts @ (within * values[:, None]), prompts, where=there, out=prompts)
        shares = np.where(there, weights, 0.0)
        with np.errstate(invalid="ignore"):
            return np.asarray((means * shares).sum(axis=1) / shares.sum(axis=1))

    [value] = mean(np.ones((1, len(values))))
    return interval(float(value), mean(draws(len(values), seed)), int(within.any(axis=1).sum()))
