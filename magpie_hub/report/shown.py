"""The rows that the page shows, as columns of JSON: fates, labels, numbers, texts, places."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from magpie_hub.report.columns import Label, Number, shown
from magpie_hub.report.rows import KEPT_FATE, Fate, Walk, fates_in_order, told
from magpie_hub.report.sources import FAILED, PENDING, ROLES, Turn

VALUES = 30
"""A label has so many values at most; the rest are one."""
OTHER = "other"
DETAIL = 160
TEXT = 1200
"""Characters of an answer that are shown where there is room; of a question half as many."""
_TITLES = {
    KEPT_FATE: "Kept",
    PENDING: "Not finished yet",
    FAILED: "Failed: the engine gave up",
    ("choose", "margin"): "Answers too much alike in score",
}
Texts = Mapping[str, Sequence[Turn]]


def title(fate: Fate) -> str:
    """For people; a clause of a filter stands as it is."""
    reason = fate[1]
    plain = reason.replace(" ", "").replace(":", "").isalpha()
    return _TITLES.get(fate) or (reason[:1].upper() + reason[1:] if plain else clean(reason))


def fates(found: Walk, further: Mapping[Fate, int]) -> list[dict[str, Any]]:
    """All fates, kept first; ``further`` are known by their number alone."""
    counts = found.fates + Counter(further)
    drawn = Counter(zip(found.sample["stage"], found.sample["reason"], strict=True))
    return [
        {
            "kept": fate == KEPT_FATE,
            "stage": fate[0],
            "reason": clean(fate[1]),
            "title": title(fate),
            "of": counts[fate],
            "shown": drawn[fate],
        }
        for fate in fates_in_order(counts, counts)
    ]


def rows(found: Walk, there: Sequence[str], listed: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Everything of the rows shown but their texts and places; ``listed`` are the fates."""
    sample = found.sample
    codes = {(each["stage"], each["reason"]): code for code, each in enumerate(listed)}
    made = zip(sample["stage"], sample["reason"], strict=True)
    labels, numbers = shown(there if len(sample) else ())
    return {
        "count": len(sample),
        "how": told(found),
        "fates": list(listed),
        "fate": [codes[stage, clean(reason)] for stage, reason in made],
        "detail": [clean(detail or "")[:DETAIL] for detail in sample["detail"]],
        "ids": sample["id"].to_list(),
        "labels": [each for label in labels if (each := _label(label, found))],
        "numbers": [each for number in numbers if (each := _number(number, sample))],
        "roles": list(ROLES),
    }


def _label(label: Label, found: Walk) -> dict[str, Any] | None:
    counts = found.counts.get(label.name, {True: Counter(), False: Counter()})
    both = counts[True] + counts[False]
    ranked = [value for value, _ in sorted(both.items(), key=lambda each: (-each[1], str(each[0])))]
    values = [value for value in ranked if value is not None]
    told_apart = len(values) > 1 or counts[True][None]
    if not values or not (told_apart or label.always):
        return None
    if label.values:
        values = [value for value in label.values if value in both]
    elif label.name == "turns":
        values.sort(key=int)
    elif len(values) > VALUES:
        values = values[: VALUES - 1]
    place = {value: code for code, value in enumerate(values)}
    rest = None if len(place) == len([v for v in both if v is not None]) else len(values)
    if rest is not None:
        values.append(OTHER)

    def code(value: str | None) -> int:
        return -1 if value is None else place.get(value, rest or 0)

    sample = found.sample[label.name]
    every = {
        name: [_total(counts[kept], at, place, rest) for at in range(len(values))]
        for name, kept in (("kept", True), ("rejected", False))
    }
    if label.several:
        codes: list[Any] = [sorted({code(v) for v in each or [None]}) for each in sample.to_list()]
    else:
        codes = [code(value) for value in sample.to_list()]
    return {
        "name": label.name,
        "title": label.title,
        "values": [clean(value) for value in values],
        "ordered": bool(label.values) or label.name == "turns",
        "multi": label.several,
        "codes": codes,
        "all": every | {"unlabelled": [counts[True][None], counts[False][None]]},
    }


def _total(counts: Counter[str | None], at: int, place: Mapping[str, int], rest: int | None) -> int:
    """Of all rows, those whose value has the code ``at``."""
    if at != rest:
        return next(counts[value] for value, code in place.items() if code == at)
    return sum(n for value, n in counts.items() if value is not None and value not in place)


def _number(number: Number, sample: pl.DataFrame) -> dict[str, Any] | None:
    values = sample[number.name].fill_nan(None)
    if values.n_unique() - bool(values.null_count()) < 2:
        return None
    return {
        "name": number.name,
        "title": number.title,
        "unit": number.unit,
        "values": [short(value) for value in values.to_list()],
        "log": number.log,
    }


def texts(ids: Sequence[str], said: Texts, limit: int) -> list[list[list[Any]]]:
    """Of each row its turns as role, text and how many characters were cut off."""
    return [
        [
            _turn(role, text, limit if "assistant" in role or role in _PAIR else limit // 2)
            for role, text in said.get(name, ())
        ]
        for name in ids
    ]


_PAIR = ("chosen", "rejected")


def _turn(role: str, text: str, limit: int) -> list[Any]:
    return [ROLES.index(role), clean(text[:limit]), max(len(text) - limit, 0)]


def places(
    ids: Sequence[str], at: Mapping[str, tuple[float, float]] | None
) -> tuple[list[float | None], list[float | None]] | tuple[None, None]:
    """The coordinates of the rows shown, null where one is not on the map; no map, no lists."""
    found = [at.get(name) for name in ids] if at else []
    if not any(found):
        return None, None
    x, y = ([None if each is None else round(each[axis], 3) for each in found] for axis in (0, 1))
    return x, y


def short(value: float | None) -> float | None:
    """Four digits; a whole number as one."""
    if value is None or value != value or abs(value) == float("inf"):
        return None
    if value == int(value) and abs(value) < 1e15:
        return int(value)
    return float(f"{value:.4g}")


def clean(text: str) -> str:
    """Without lone surrogates, which no file can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")
