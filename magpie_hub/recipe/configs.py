"""The configs of a release: which rows each has, and in which splits."""

from __future__ import annotations

import difflib
import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from magpie_hub import schema
from magpie_hub.recipe.part import Part

By = Literal["category", "difficulty", "language"]
Pick = Literal["order", "random", "length_controlled", "longest"]

_COMPARED = re.compile(r"(>=|<=|>|<)\s*(.+)")


class Quotas(Part):
    """The shares of ``rows`` that labels get; what they leave is for the others. Labels with an
    order may also be compared: ``"> easy": 0.5``."""

    by: By
    shares: dict[str, float] = Field(min_length=1)

    @model_validator(mode="after")
    def _labels_that_exist(self) -> Quotas:
        given: dict[str, str] = {}
        for key in self.shares:
            for label in self.labels(key):
                if label in given:
                    raise ValueError(f"'{label}' has a share under '{given[label]}' and '{key}'")
                given[label] = key
        if min(self.shares.values()) < 0 or sum(self.shares.values()) > 1 + 1e-9:
            raise ValueError("shares are not negative and add up to 1 at most")
        return self

    def labels(self, key: str) -> tuple[str, ...]:
        """The labels that a key of ``shares`` stands for."""
        known = schema.column(self.by).labels
        if not known:
            if not re.fullmatch(r"[a-z]{2,3}", key):
                raise ValueError(f"'{key}' is no language; write an ISO 639 code such as 'en'")
            return (key,)
        compared = _COMPARED.fullmatch(key) if schema.column(self.by).ordered else None
        sign, label = compared.groups() if compared else ("=", key)
        if label not in known:
            close = difflib.get_close_matches(label, known, n=1)
            hint = f"did you mean '{close[0]}'" if close else ", ".join(known)
            raise ValueError(f"'{label}' is no {self.by}; {hint}")
        at = known.index(label)
        first, last = {
            "=": (at, at),
            ">=": (at, len(known) - 1),
            ">": (at + 1, len(known) - 1),
            "<=": (0, at),
            "<": (0, at - 1),
        }[sign]
        if first > last:
            raise ValueError(f"no {self.by} is {key}")
        return known[first : last + 1]


class ConfigSpec(Part):
    """A config of the release: the rows for which ``where`` holds, a polars SQL expression, and of
    them, where ``rows`` is given, exactly so many, or with ``at_most`` fewer where there are fewer.

    ``pick`` says which: the first in ``order``, ``random`` ones by ``seed``, the ``longest``
    answers, or (``length_controlled``) from each category and each tenth of its lengths a
    proportional part, the best by ``order``. ``splits`` are the shares of rows kept out of `train`.
    A ``preset`` is written out when a recipe is read."""

    preset: str | None = Field(None, exclude=True)
    where: str | None = None
    rows: int | None = Field(None, ge=1)
    at_most: bool = False
    pick: Pick | None = None
    order: str | None = None
    seed: int = Field(0, ge=0)
    quotas: Quotas | None = None
    columns: tuple[str, ...] = ()
    splits: dict[str, float] = Field(default_factory=dict)
    description: str | None = None

    @field_validator("preset")
    @classmethod
    def _written_out(cls, value: str | None) -> str | None:
        if value is not None:
            raise ValueError("a preset is named in a recipe that is read from YAML")
        return value

    @field_validator("columns")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if twice := next((name for name in value if value.count(name) > 1), None):
            raise ValueError(f"'{twice}' stands here twice")
        return value

    @field_validator("splits")
    @classmethod
    def _shares(cls, value: dict[str, float]) -> dict[str, float]:
        for name in value:
            if not re.fullmatch(r"[A-Za-z]\w*(\.\w+)*", name, re.ASCII):
                raise ValueError(f"'{name}' is no split: write a word such as test")
        if "train" in value:
            raise ValueError("train is what the other splits leave; name only those")
        if any(share <= 0 for share in value.values()) or sum(value.values()) >= 1:
            raise ValueError("shares are above 0, and leave some rows for train")
        return value

    @model_validator(mode="after")
    def _one_way_to_pick(self) -> ConfigSpec:
        if self.rows is None:
            given = ("at_most", "pick", "order", "seed", "quotas")
            if name := next((name for name in given if getattr(self, name)), None):
                raise ValueError(f"`{name}` picks rows; say how many with `rows`")
            return self
        if self.pick is None and self.order is None:
            raise ValueError(
                f"say which {self.rows} rows: `order: reward DESC`, or `pick: length_controlled`, "
                "`random` or `longest`"
            )
        if self.pick == "order" and self.order is None:
            raise ValueError("`pick: order` needs an `order`, such as reward DESC")
        if self.pick in ("random", "longest") and self.order is not None:
            raise ValueError(f"`pick: {self.pick}` takes no `order`; drop one of them")
        if self.seed and self.pick != "random":
            raise ValueError("`seed` is for `pick: random`")
        return self
