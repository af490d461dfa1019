"""The filters of Magpie's own sets, by name, with their exact thresholds, in our columns.

Sources: the paper (arXiv 2406.08464, table 5; reward above tau1 = -12, reward difference above
tau2 = 0), the notebook ``data_filter.ipynb`` of its repository, and the cards of the sets on the
Hub. What they call input quality and difficulty is ``quality`` and ``difficulty`` here. All but one
of them then take the longest answers, which rewards truncation; here that is said by ``pick``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

_GOOD, _AVERAGE = "quality >= 'good'", "quality >= 'average'"
_EASY, _MEDIUM = "difficulty >= 'easy'", "difficulty >= 'medium'"
_UNIQUE = "min_neighbor_distance > 0"
_LIKED, _BETTER = "reward > -12", "reward_difference > 0"
_FIRST = "(min_neighbor_distance >= 0.05 OR nearest_id > id)"
"""Of two near neighbours the one that stands first; ids of a run sort by slot."""
_WHOLE = "NOT ENDS_WITH(query, ':')"
_SHORT = r"(category = 'Coding & Debugging' OR NOT query ~ '(?s)(\n.*){5}')"


class FilterPreset(NamedTuple):
    """``clauses`` are joined by AND; ``quotas`` hold where a config asks for ``rows``."""

    description: str
    clauses: tuple[str, ...]
    quotas: dict[str, Any] | None = None

    @property
    def where(self) -> str:
        return " AND ".join(self.clauses)


FILTERS: dict[str, FilterPreset] = {
    "magpie-air": FilterPreset(
        "the paper's Filter for Magpie-Air", (_GOOD, _MEDIUM, _UNIQUE, _BETTER)
    ),
    "magpie-pro": FilterPreset("the paper's Filter for Magpie-Pro", (_AVERAGE, _UNIQUE, _LIKED)),
    "magpie-pro-2": FilterPreset(
        "the paper's Filter2 for Magpie-Pro", (_GOOD, _EASY, _UNIQUE, _LIKED)
    ),
    "magpie-pro-3": FilterPreset("the paper's Filter3 for Magpie-Pro", (_UNIQUE, _LIKED)),
    "magpie-pro-4": FilterPreset(
        "the paper's Filter4 for Magpie-Pro", (_GOOD, _EASY, _UNIQUE, _BETTER)
    ),
    "magpie-pro-5": FilterPreset(
        "the paper's Filter5 for Magpie-Pro", (_GOOD, _EASY, _UNIQUE, _LIKED)
    ),
    "magpie-pro-6": FilterPreset(
        "the paper's Filter6 for Magpie-Pro",
        (_EASY, _UNIQUE, _LIKED),
        {"by": "difficulty", "shares": {"easy": 0.5, "> easy": 0.5}},
    ),
    "notebook": FilterPreset(
        "the filter of Magpie's notebook", (_GOOD, "reward > -10", _WHOLE, _FIRST)
    ),
    "card-pro": FilterPreset(
        "the filter of Magpie-Pro-300K-Filtered's card",
        (_AVERAGE, "reward >= -10", _WHOLE, _FIRST),
    ),
    "card": FilterPreset(
        "the filter of the cards of Qwen2, Qwen2.5, Phi-3 and Gemma-2",
        (_GOOD, "reward >= -10", _WHOLE, _FIRST),
    ),
    "card-llama-3": FilterPreset(
        "the filter of the cards of Llama 3.1 and 3.3",
        (_GOOD, "reward >= -10", _WHOLE, _FIRST, _SHORT),
    ),
}
