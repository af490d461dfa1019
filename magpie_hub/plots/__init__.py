"""The pictures of a release, from what its data files say: drawn when it is built, into its
``assets/``, and shown on its card.

A picture is named by what it shows, so that the card of an older version never shows a newer
one's.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from magpie_hub.plots.shapes import MANY, Bars, Funnel, Map, Picture, Spread
from magpie_hub.release import Manifest
from magpie_hub.release.facts import LENGTHS, Facts, Histogram, Point, Share

ASSETS = "assets"
FEWEST = 50
"""Rows of the largest config: of fewer a table says it better."""
POINTS = 4000
"""Of the map; the others would hide each other."""
KEYS = ("funnel", "categories", "labels", "lengths", "scores", "map")
INSTALL = (
    "the card has no pictures; `pip install 'magpie-hub[plots]'` has the next build draw them."
)

_AXES = {
    "query_tokens": ("Question", "tokens of the first question"),
    "response_tokens": ("Answer", "tokens of all answers of a row"),
    "thinking_tokens": ("Thinking", "tokens of thinking"),
    "reward": ("Reward", "score by the reward model"),
    "margin": ("Margin", "score of chosen minus rejected"),
    "pass_rate": ("Agreement", "share of answers that agree"),
    "min_neighbor_distance": ("Nearest question", "squared L2 distance"),
}


def missing() -> bool:
    """Whether what draws is not installed."""
    return find_spec("matplotlib") is None


def pictures(manifest: Manifest, known: Facts, points: Sequence[Point] = ()) -> tuple[Picture, ...]:
    """All that can be drawn, in the order of ``KEYS``; ``points`` are questions in the plane with
    their categories."""
    if max(config.rows for config in manifest.configs.values()) < FEWEST:
        return ()
    found = (
        _funnel(manifest, known),
        _shares(manifest, known, "categories", ("category",)),
        _shares(manifest, known, "labels", ("difficulty", "quality", "language")),
        _spreads(manifest, known, "lengths", LENGTHS),
        _spreads(manifest, known, "scores", [name for name in _AXES if name not in LENGTHS]),
        _map(points),
    )
    return tuple(picture for picture in found if picture)


def write(found: Iterable[Picture], folder: Path) -> None:
    """Draw them into ``folder``, PNG and SVG."""
    from magpie_hub.plots.drawing import draw

    draw([(picture, name(picture)) for picture in found], folder)


def alts(manifest: Manifest, known: Facts) -> dict[str, str]:
    """By key, what each picture of the release shows; that of the map is always there, since its
    points are not in the release."""
    said = {picture.key: picture.alt for picture in pictures(manifest, known)}
    return {key: said.get(key, _MAP) for key in KEYS if key in said or key == "map"}


def shown(manifest: Manifest) -> dict[str, str]:
    """By key, the PNG of each picture in the release."""
    found = {}
    for name in manifest.files:
        key = name.removeprefix(f"{ASSETS}/").partition("-")[0]
        if name.startswith(f"{ASSETS}/") and name.endswith(".png") and key in KEYS:
            found[key] = name
    return {key: found[key] for key in KEYS if key in found}


def name(picture: Picture) -> str:
    """With a digest of what is drawn, and of how."""
    digest = hashlib.sha256(repr((picture.panels, picture.names)).encode())
    for source in ("drawing.py", "magpie.mplstyle"):
        digest.update(files("magpie_hub.plots").joinpath(source).read_bytes())
    return f"{picture.key}-{digest.hexdigest()[:10]}"


def _funnel(manifest: Manifest, known: Facts) -> Picture:
    name = known.configs[0]
    config = manifest.configs[name]
    pool = max(each.rows for each in manifest.configs.values())
    counts = list(config.funnel)
    came = counts[0].before if counts else pool
    steps = [("questions sampled", manifest.slots), ("answered rows", came)]
    steps += [(_short(count.clause), count.kept) for count in counts]
    if steps[-1][1] != config.rows:
        steps.append((f"rows of {name}", config.rows))
    alt = "; ".join(f"{label}: {rows:,}" for label, rows in steps)
    panel = Funnel(f"From a sampled question to a row of “{name}”", tuple(steps))
    return Picture("funnel", f"What was left after each step. {alt}.", (panel,))


def _shares(manifest: Manifest, known: Facts, key: str, columns: Sequence[str]) -> Picture | None:
    default = known.configs[0]
    panels, said = [], []
    for column in columns:
        if shares := _several(column, known):
            labels, parts, others = zip(*shares, strict=True)
            panels.append(
                Bars(column.capitalize(), labels, parts, others if _both(known) else None)
            )
            top = sorted(zip(labels, parts, strict=True), key=lambda each: -each[1])[:3]
            said.append(
                f"{column} " + ", ".join(f"{label} {100 * part:.0f} %" for label, part in top)
            )
    if not panels:
        return None
    alt = f"Shares of the rows of {default} by label, largest first: {'; '.join(said)}."
    return Picture(key, alt, tuple(panels), _names(manifest, known))


def _several(column: str, known: Facts) -> list[tuple[str, float, float]]:
    """The labels with their shares in the two configs compared, the rare ones together; none where
    all rows have the same."""
    at = [known.index(name) for name in known.compared]
    found: list[Share] = [
        each for each in known.shares.get(column, ()) if any(each.rows[i] for i in at)
    ]
    if len(found) < 2:
        return []
    if column == "language" and len(found) > MANY:
        rest = [tuple(each.parts[i] for each in found[MANY - 1 :]) for i in (at[0], at[-1])]
        kept = [(e.label, e.parts[at[0]], e.parts[at[-1]]) for e in found[: MANY - 1]]
        return [*kept, (f"{len(found) - MANY + 1} more", sum(rest[0]), sum(rest[1]))]
    if column in ("difficulty", "quality"):
        found = list(known.shares[column])
    return [(each.label, each.parts[at[0]], each.parts[at[-1]]) for each in found]


def _names(manifest: Manifest, known: Facts) -> tuple[str, ...]:
    return tuple(f"{name}: {manifest.configs[name].rows:,} rows" for name in known.compared)


def _both(known: Facts) -> bool:
    return len(known.compared) > 1


def _spreads(manifest: Manifest, known: Facts, key: str, columns: Iterable[str]) -> Picture | None:
    default = known.configs[0]
    panels, said = [], []
    for column in columns:
        histogram = known.histograms.get(column)
        if histogram and sum(histogram.counts[0]):
            title, axis = _AXES[column]
            shares = [_normal(counts) for counts in histogram.counts]
            panels.append(
                Spread(
                    title,
                    axis,
                    histogram.edges,
                    shares[0],
                    shares[1] if _both(known) else None,
                    ratios=column in LENGTHS and _wide(histogram),
                )
            )
            if deciles := known.spreads[column][0]:
                median = f"{deciles[5]:,.0f}" if column in LENGTHS else f"{deciles[5]:,.2f}"
                said.append(f"{column} has the median {median}")
    if not panels:
        return None
    alt = f"How the values are spread over the rows of {default}: {'; '.join(said)}."
    return Picture(key, alt, tuple(panels), _names(manifest, known))


def _wide(histogram: Histogram) -> bool:
    return histogram.edges[-1] > 4 * histogram.edges[0]


def _normal(counts: tuple[int, ...]) -> tuple[float, ...]:
    whole = max(sum(counts), 1)
    return tuple(count / whole for count in counts)


_MAP = (
    "A map of the questions, where those that are alike lie near each other: one panel for each "
    "category, its questions in blue and all the others in grey."
)


def _map(points: Sequence[Point]) -> Picture | None:
    if len(points) < FEWEST:
        return None
    groups = defaultdict[str, list[tuple[float, float]]](list)
    for x, y, label in points:
        groups[label or "no category"].append((x, y))
    drawn = tuple(
        (label, tuple(x for x, _ in groups[label]), tuple(y for _, y in groups[label]))
        for label in sorted(groups, key=lambda each: (-len(groups[each]), each))
    )
    return Picture("map", _MAP, (Map(drawn),))


def _short(clause: str) -> str:
    clause = " ".join(clause.split())
    return clause if len(clause) <= 46 else f"{clause[:45]}…"
