"""Curves with bands: arms over numbers of interactions, or over levels of a log."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coldstart.report.frame import framed, scaled, short, width_of
from coldstart.report.svg import COLOURS, drawn

__all__ = ["Curve", "curves"]

_LONGEST = 16  # letters of a name beside its curve
_APART = 15  # pixels between names
_MARKERS = "sD^vPX"
_DASHES = ((4, 2), (1, 1.5), (6, 2, 1, 2), (8, 3), (3, 1, 1, 1, 1, 1), (2, 2))


@dataclass(frozen=True)
class Curve:
    """One arm at ascending places; shares, NaN where nothing is known.

    `role` is "headline", "baseline" or "other", which are thinner; `place` tells those of one role
    apart.
    """

    name: str
    role: str
    place: int
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]

    @property
    def colour(self) -> str:
        """That of its role, or of its place among the others."""
        named = {"headline": "accent", "baseline": "ink"}
        return COLOURS[named.get(self.role, f"series-{self.place % 6 + 1}")]

    @property
    def front(self) -> int:
        """How far in front it is drawn."""
        return {"headline": 6, "baseline": 5}.get(self.role, 4)

    def ends(self) -> tuple[float, float]:
        """The last place at which something is known, and the percent there."""
        known = [(x, 100 * y) for x, y in zip(self.x, self.y, strict=True) if math.isfinite(y)]
        return known[-1] if known else (math.nan, math.nan)


def curves(
    name: str,
    alt: str,
    lines: Sequence[Curve],
    *,
    x_title: str,
    ticks: Sequence[tuple[float, str]],
    log: bool = False,
    signed: bool = False,
    guide: tuple[float, float, str] | None = None,
) -> Markup:
    """Lines with bands of their intervals; where there are several, each named at its right end.

    Parameters
    ----------
    ticks : sequence of (place, text)
        Of the horizontal axis.
    log : bool
        Whether that axis is logarithmic.
    signed : bool
        Whether values are differences: zero is drawn as a line, and always in sight.
    guide : tuple of (place, height, text) or None
        A dotted line from the left at that height to that place, and down to its text.
    """
    named = [line.name for line in lines] if len(lines) > 1 else []

    def draw(figure: Figure, _: bool) -> None:
        axes = framed(figure, 46, 24 + width_of(named, _LONGEST), 14, 46)
        if log:
            axes.set_xscale("log")
        for line in lines:
            _draw(axes, line)
        axes.set_xticks([place for place, _ in ticks], [text for _, text in ticks])
        axes.set_xticks([], minor=True)
        axes.set_xlabel(x_title)
        scaled(axes, along="y", signed=signed)
        if signed:
            axes.axhline(0, color=COLOURS["ink"], linewidth=1)
        if guide is not None:
            _draw_guide(axes, *guide)
        if named:
            _name_ends(axes, lines)

    return drawn(name, alt, lambda wide: 380 if wide else 320, draw)


def _draw(axes: Axes, line: Curve) -> None:
    """The band, and the line with a mark at each place."""
    other = line.role == "other"
    low, y, high = ([100 * share for share in part] for part in (line.low, line.y, line.high))
    alpha = 0.07 if other else 0.16
    axes.fill_between(line.x, low, high, color=line.colour, alpha=alpha, linewidth=0, zorder=2)
    marker, dashes = _style(line)
    (drawn_line,) = axes.plot(
        line.x,
        y,
        color=line.colour,
        marker=marker,
        markersize=4.5 if other else 6.5,
        markeredgewidth=0,
        linewidth=1.25 if other else 2.5,
        zorder=line.front,
        clip_on=False,
    )
    if dashes:
        drawn_line.set_dashes(dashes)


def _style(line: Curve) -> tuple[str, tuple[float, ...] | None]:
    """Mark and dashes, by which a line is told without its colour."""
    if line.role == "headline":
        return "o", None
    if line.role == "baseline":
        return ("s", (5, 2)) if not line.place else ("D", (2, 1.5))
    return _MARKERS[line.place % len(_MARKERS)], _DASHES[line.place % len(_DASHES)]


def _name_ends(axes: Axes, lines: Sequence[Curve]) -> None:
    """Names right of the last places, moved apart where they would meet."""
    ends = [(line, *line.ends()) for line in lines]
    ends = sorted((end for end in ends if math.isfinite(end[2])), key=lambda end: end[2])
    low, high = axes.get_ylim()
    pixel = (high - low) / axes.bbox.height
    heights = _apart([y for _, _, y in ends], _APART * pixel, low, high)
    right = axes.get_xlim()[1]
    for (line, x, y), height in zip(ends, heights, strict=True):
        axes.annotate(
            short(line.name, _LONGEST),
            (x, y),
            (right, height),
            annotation_clip=False,
            va="center",
            color=line.colour,
            weight="normal" if line.role == "other" else "bold",
            arrowprops={
                "arrowstyle": "-",
                "color": line.colour,
                "linewidth": 0.75,
                "shrinkA": 1,
                "shrinkB": 4,
                "relpos": (0, 0.5),
            },
        )


def _apart(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Ascending heights at least `gap` apart, near those wanted and between the limits where there
    is room for all.
    """
    heights: list[float] = []
    for y in wanted:
        heights.append(max(y, heights[-1] + gap) if heights else max(y, low))
    for place in range(len(heights) - 1, -1, -1):
        limit = heights[place + 1] - gap if place + 1 < len(heights) else high
        heights[place] = min(heights[place], limit)
    return heights


def _draw_guide(axes: Axes, place: float, height: float, text: str) -> None:
    (low, high), (left, right) = axes.get_ylim(), axes.get_xlim()
    axes.plot(
        [left, place, place],
        [100 * height, 100 * height, low],
        color=COLOURS["accent"],
        linewidth=1.25,
        dashes=(1, 2),
        zorder=3,
    )
    axes.set(xlim=(left, right), ylim=(low, high))
    late = place > (left + right) / 2
    axes.annotate(
        text,
        (place, low),
        (-6 if late else 6, 6),
        textcoords="offset pixels",
        ha="right" if late else "left",
        color=COLOURS["accent"],
    )
