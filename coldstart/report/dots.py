"""Rows of a chart: dots with whiskers, and bars of shares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coldstart.report.frame import LONGEST, framed, named_rows, scaled, width_of
from coldstart.report.svg import COLOURS, drawn
from coldstart.report.wording import percent

__all__ = ["Bar", "Dot", "bars", "dots"]

_ROOM = 110  # pixels that names may take beside the rows of a narrow chart


@dataclass(frozen=True)
class Dot:
    """A share or a difference of shares with its interval, what it is of, and how it is said."""

    name: str
    text: str
    value: float
    low: float = math.nan
    high: float = math.nan
    strong: bool = True


@dataclass(frozen=True)
class Bar:
    """Who gains, is unchanged and loses, as shares of people."""

    name: str
    gain: float
    unchanged: float
    lose: float


def dots(
    name: str,
    alt: str,
    rows: Sequence[Dot],
    *,
    signed: bool = False,
    reference: float = math.nan,
    half: bool = False,
) -> Markup:
    """A dot and its whiskers for every row, with the number at its right.

    Parameters
    ----------
    signed : bool
        Whether values are differences: zero is drawn as a line, and always in sight.
    reference : float
        A share that is drawn as a dashed line.
    half : bool
        Whether the chart stands beside another: it is small on wide pages, too.
    """
    names = [row.name for row in rows]
    width = width_of(names, LONGEST)

    def beside(wide: bool) -> bool:
        return wide or width < _ROOM

    def draw(figure: Figure, wide: bool) -> None:
        axes = framed(figure, 20 + width if beside(wide) else 4, 60, 6, 26)
        _draw_dots(axes, rows, 0 if beside(wide) else 0.2)
        named_rows(axes, names, beside=beside(wide), above=0.22)
        scaled(axes, along="x", signed=signed)
        if signed:
            axes.axvline(0, color=COLOURS["ink"], linewidth=1, zorder=1.5)
        if math.isfinite(reference):
            axes.axvline(100 * reference, color=COLOURS["ink"], linewidth=1, dashes=(4, 3))

    return drawn(
        name, alt, lambda wide: 40 + (30 if beside(wide) else 46) * len(rows), draw, half=half
    )


def bars(name: str, alt: str, rows: Sequence[Bar]) -> Markup:
    """A bar for every row, of who gains, is unchanged and loses."""
    names = [row.name for row in rows]
    width = width_of(names, LONGEST)

    def draw(figure: Figure, wide: bool) -> None:
        axes = framed(figure, 20 + width if wide else 2, 2, 26, 4)
        axes.set_xlim(0, 1)
        axes.axis("off")
        for place, row in enumerate(rows):
            _draw_bar(axes, row, place if wide else place + 0.18, wide)
        named_rows(axes, names, beside=wide, above=0.26)
        for x, align, text, colour in _HEADS:
            axes.annotate(
                text,
                (x, 1),
                (0, 8),
                xycoords="axes fraction",
                textcoords="offset pixels",
                ha=align,
                color=COLOURS[colour],
                weight="bold",
            )

    return drawn(name, alt, lambda wide: 32 + (42 if wide else 60) * len(rows), draw)


_HEADS = (
    (0, "left", "gain", "accent"),
    (0.5, "center", "unchanged", "muted"),
    (1, "right", "lose", "warn"),
)


def _draw_dots(axes: Axes, rows: Sequence[Dot], down: float) -> None:
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="x", length=0)
    for place, row in enumerate(rows):
        colour = COLOURS["accent" if row.strong else "muted"]
        at = place + down
        if row.low <= row.high:
            axes.plot([100 * row.low, 100 * row.high], [at, at], color=colour, linewidth=2)
        axes.plot([100 * row.value], [at], "o", color=colour, markersize=8, clip_on=False)
        axes.annotate(
            row.text,
            (1, at),
            (56, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset pixels",
            ha="right",
            va="center",
            weight="bold" if row.strong else "normal",
        )


def _draw_bar(axes: Axes, row: Bar, at: float, wide: bool) -> None:
    """Its parts from left to right, with the percentage in those that have room."""
    start = 0.0
    for share, colour, text in (
        (row.gain, "accent", "paper"),
        (row.unchanged, "soft", "ink"),
        (row.lose, "warn", "paper"),
    ):
        if not share > 0:
            continue
        height = 0.66 if wide else 0.46
        axes.barh(at, share, height, start, color=COLOURS[colour], linewidth=0)
        if share > (0.04 if wide else 0.09):
            axes.text(
                start + share / 2,
                at,
                percent(share, 0),
                ha="center",
                va="center",
                color=COLOURS[text],
                weight="bold",
            )
        start += share
