"""Pictures on the canvas of matplotlib: the same data gives the same bytes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

from magpie_hub.plots.shapes import Bars, Funnel, Map, Panel, Picture, Spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAIN, OTHER, QUIET = "#2a7ab8", "#d0601b", "#8a8f97"
"""Everybody tells blue from orange, and beside their hue they differ in form: what is compared with
is a line or a mark, not a bar."""
_FAINT = 0.2
_WIDTH = 7.2
_IN_A_ROW = 3
_METADATA = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}


def draw(pictures: Sequence[tuple[Picture, str]], folder: Path) -> None:
    """Each picture under its name, as PNG with two dots a pixel and as SVG."""
    import matplotlib
    from matplotlib.figure import Figure

    style = files("magpie_hub.plots").joinpath("magpie.mplstyle")
    folder.mkdir(parents=True, exist_ok=True)
    with as_file(style) as file, matplotlib.rc_context(fname=file), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        for picture, name in pictures:
            figure = Figure()
            _lay_out(figure, picture)
            # Once for both kinds: to lay out takes as long as to draw.
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
            for kind, metadata in _METADATA.items():
                figure.savefig(folder / f"{name}.{kind}", metadata=metadata)


def _lay_out(figure: Figure, picture: Picture) -> None:
    panels = picture.panels
    if isinstance(panels[0], Map):
        _map(figure, panels[0])
        return
    across = min(len(panels), _IN_A_ROW) if len(panels) != 4 else 2
    down = -(-len(panels) // across)
    figure.set_size_inches(_WIDTH, down * max(_height(panel) for panel in panels))
    slots = max(len(panel.labels) if isinstance(panel, Bars) else 0 for panel in panels)
    grid = list(figure.subplots(down, across, squeeze=False).flat)
    for axes, panel in zip(grid, panels, strict=False):
        if isinstance(panel, Bars):
            _bars(axes, panel, slots)
        elif isinstance(panel, Spread):
            _spread(axes, panel)
        elif isinstance(panel, Funnel):
            _funnel(axes, panel)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    if len(picture.names) > 1:
        _legend(figure, picture)


def _height(panel: Panel) -> float:
    """Inches."""
    if isinstance(panel, Bars):
        return 0.95 + 0.235 * len(panel.labels)
    if isinstance(panel, Funnel):
        return 0.5 + 0.33 * len(panel.steps)
    return 2.5


def _bars(axes: Axes, panel: Bars, slots: int) -> None:
    """Bars are as thick in all panels of a picture: each has as many ``slots``."""
    places = range(len(panel.labels))
    axes.barh(places, [100 * part for part in panel.parts], height=0.6, color=MAIN)
    if panel.others:
        axes.scatter(
            [100 * part for part in panel.others], places, marker="|", s=130, color=OTHER, lw=2.2
        )
    axes.set_yticks(places, panel.labels)
    axes.set_ylim(slots - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlim(0, 105 * max((*panel.parts, *(panel.others or ()), 0.05)))
    axes.xaxis.set_major_formatter("{x:g} %")
    axes.locator_params(axis="x", nbins=5)
    axes.set_title(panel.title)
    axes.set_xlabel("share of the rows")


def _spread(axes: Axes, panel: Spread) -> None:
    percent = [100 * part for part in panel.parts]
    axes.stairs(percent, panel.edges, fill=True, color=MAIN, lw=0)
    if panel.others:
        axes.stairs([100 * part for part in panel.others], panel.edges, color=OTHER, lw=1.4)
    if panel.ratios:
        axes.set_xscale("log")
        ticks = _whole(panel.edges)
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.set_xticks([], minor=True)
    else:
        axes.locator_params(axis="x", nbins=6)
    axes.set_xlim(panel.edges[0], panel.edges[-1])
    axes.set_ylim(0)
    axes.locator_params(axis="y", nbins=4)
    axes.yaxis.set_major_formatter("{x:g} %")
    axes.set_title(panel.title)
    axes.set_xlabel(panel.axis)
    axes.set_ylabel("share of the rows")


def _funnel(axes: Axes, panel: Funnel) -> None:
    places = range(len(panel.steps))
    rows = [count for _, count in panel.steps]
    last = len(rows) - 1
    axes.barh(places, rows, height=0.62, color=[QUIET] * last + [MAIN])
    axes.set_yticks(places, [label for label, _ in panel.steps])
    axes.invert_yaxis()
    axes.tick_params(axis="both", length=0)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set_xticks([])
    axes.set_xlim(0, 1.28 * max(rows))
    for place, count in zip(places, rows, strict=True):
        axes.annotate(
            f"{count:,}   {100 * count / max(rows[0], 1):.1f} %",
            (count, place),
            (5, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_title(panel.title)


def _map(figure: Figure, panel: Map) -> None:
    """A small map for each label, with all the others in grey: hues for a dozen labels could not
    be told apart."""
    across = 4
    down = -(-len(panel.groups) // across)
    figure.set_size_inches(_WIDTH, 0.1 + 1.86 * down)
    xs = [x for _, found, _ in panel.groups for x in found]
    ys = [y for _, _, found in panel.groups for y in found]
    grid = list(figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).flat)
    size = min(5.0, 4000 / max(len(xs), 1) + 0.6)
    for axes, (label, own_x, own_y) in zip(grid, panel.groups, strict=False):
        axes.scatter(xs, ys, s=size, color=QUIET, alpha=_FAINT, lw=0, rasterized=True)
        axes.scatter(own_x, own_y, s=1.6 * size, color=MAIN, lw=0, rasterized=True)
        axes.set_title(label, fontsize=8.5)
    for axes in grid:
        axes.set_axis_off()


def _legend(figure: Figure, picture: Picture) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    bars = isinstance(picture.panels[0], Bars)
    other = Line2D([], [], color=OTHER, lw=0 if bars else 1.4)
    if bars:
        other.set(marker="|", markersize=9, markeredgewidth=2.2)
    figure.legend(
        [Patch(color=MAIN, lw=0), other], picture.names, loc="outside upper right", ncols=2
    )


def _whole(edges: Sequence[float]) -> list[int]:
    """Round lengths to name on an axis that grows by ratios."""
    steps = [m * 10**p for p in range(8) for m in (1, 2, 5)]
    inside = [step for step in steps if edges[0] <= step <= edges[-1]]
    return inside if len(inside) < 7 else inside[::2]
