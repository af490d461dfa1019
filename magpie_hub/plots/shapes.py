"""What a picture shows, as data: it can be drawn, compared and put into words."""

from __future__ import annotations

from dataclasses import dataclass

MANY = 8
"""Labels that a panel of unordered labels shows; the others are one more bar."""


@dataclass(frozen=True)
class Bars:
    """A share for each label, and beside it that in the rows compared with, where there are
    any."""

    title: str
    labels: tuple[str, ...]
    parts: tuple[float, ...]
    others: tuple[float, ...] | None


@dataclass(frozen=True)
class Spread:
    """The share of rows between each two ``edges``; ``ratios``: the axis grows by them."""

    title: str
    axis: str
    edges: tuple[float, ...]
    parts: tuple[float, ...]
    others: tuple[float, ...] | None
    ratios: bool = False


@dataclass(frozen=True)
class Funnel:
    """Rows behind each step, from all to those of a config."""

    title: str
    steps: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Map:
    """Questions in the plane, by label: ``x`` and ``y`` have one place each."""

    groups: tuple[tuple[str, tuple[float, ...], tuple[float, ...]], ...]


Panel = Bars | Spread | Funnel | Map


@dataclass(frozen=True)
class Picture:
    """``names`` are those of the rows drawn and of those compared with."""

    key: str
    alt: str
    panels: tuple[Panel, ...]
    names: tuple[str, ...] = ()
