"""The charts of a report: curves over shots or levels, and dots with whiskers, bars of shares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coldstart.report.svg import COLOURS, drawn
from coldstart.report.wording import percent

__all__ = ["Dot", "Line", "Share", "curves", "dots", "shares"]

_MARKERS = "sD^vPX"
_DASHES = [(4, 2), (1, 1.5), (6, 2, 1, 2), (8, 3), (3, 1, 1, 1, 1, 1), (2, 2)]
_LETTER = 7.2  # pixels of a letter, at most, on average


@dataclass(frozen=True)
class Line:
    """One arm over shots or levels; shares, NaN where nothing is known.

    `role` is "headline", "baseline" or "other".
    """

    name: str
    role: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


@dataclass(frozen=True)
class Dot:
    """A share or difference of shares with its interval, what it is of, and its text."""

    name: str
    text: str
    value: float
    low: float = math.nan
    high: float = math.nan
    strong: bool = True


@dataclass(frozen=True)
class Share:
    """Who gains, is unchanged and loses, as shares of people."""

    name: str
    gain: float
    unchanged: float
    lose: float


def curves(
    name: str,
    alt: str,
    lines: Sequence[Line],
    *,
    title: str,
    x_title: str,
    ticks: Sequence[tuple[float, str]],
    log: bool = False,
    zero: bool = False,
    guide: tuple[float, float, str] | None = None,
) -> Markup:
    """Lines with bands of their intervals, each named at its right end.

    Parameters
    ----------
    ticks : sequence of (place, text)
        Of the horizontal axis.
    log : bool
        Whether that axis is logarithmic.
    zero : bool
        Whether values are differences: zero is drawn as a line, and always in sight.
    guide : tuple of (place, height, text) or None
        A dotted line from the left at that height to that place, and down to its text.
    """
    longest = max((len(_short(line.name)) for line in lines), default=0) if len(lines) > 1 else 0

    def draw(figure: Figure, wide: bool) -> None:
        axes = _axes(figure, 46, 24 + _LETTER * longest, 34, 48)
        axes.set_xscale("log") if log else None
        for place, line in enumerate(lines):
            _draw_line(axes, line, place)
        axes.set_xticks([place for place, _ in ticks], [text for _, text in ticks])
        axes.set_xticks([], minor=True)
        axes.set_xlabel(x_title)
        _scale(axes, signed=zero)
        if zero:
            axes.axhline(0, color=COLOURS["ink"], linewidth=1)
        _headed(axes, title)
        if guide is not None:
            _guide(axes, *guide)
        if len(lines) > 1:
            _name_ends(axes, lines)

    return drawn(name, alt, lambda wide: 400 if wide else 340, draw)


def dots(
    name: str,
    alt: str,
    rows: Sequence[Dot],
    *,
    title: str,
    signed: bool = False,
    reference: tuple[float, str] | None = None,
) -> Markup:
    """A dot and its whiskers for every row, with the number beside it."""
    longest = max((len(row.name) for row in rows), default=0)

    def draw(figure: Figure, wide: bool) -> None:
        axes = _axes(figure, 20 + _LETTER * longest if wide else 8, 64, 34, 30)
        _draw_dots(axes, rows, wide)
        _scale(axes, signed=signed, along="x")
        if signed:
            axes.axvline(0, color=COLOURS["ink"], linewidth=1)
        if reference is not None:
            axes.axvline(reference[0], color=COLOURS["muted"], linewidth=1, dashes=(3, 2))
        heading = title if reference is None else f"{title}; dashed: {reference[1]}"
        _headed(axes, heading)

    return drawn(name, alt, lambda wide: 74 + (30 if wide else 46) * len(rows), draw)


def shares(name: str, alt: str, rows: Sequence[Share]) -> Markup:
    """A bar for every number of shots, of who gains, is unchanged and loses."""
    longest = max((len(row.name) for row in rows), default=0)

    def draw(figure: Figure, wide: bool) -> None:
        axes = _axes(figure, 20 + _LETTER * longest if wide else 8, 8, 30, 8)
        axes.set_xlim(0, 1)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.axis("off")
        for place, row in enumerate(rows):
            _draw_shares(axes, place, row, wide)
        for x, align, text, colour in (
            (0, "left", "gain", "accent"),
            (0.5, "center", "unchanged", "muted"),
            (1, "right", "lose", "warn"),
        ):
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

    return drawn(name, alt, lambda wide: 44 + (44 if wide else 62) * len(rows), draw)


def _axes(figure: Figure, left: float, right: float, top: float, bottom: float) -> Axes:
    """Axes with margins in pixels."""
    width, height = figure.get_size_inches() * 72
    return figure.add_axes(
        (
            left / width,
            bottom / height,
            (width - left - right) / width,
            (height - top - bottom) / height,
        )
    )


def _draw_line(axes: Axes, line: Line, place: int) -> None:
    """Its band, and the line with a mark at each place; other arms are thin."""
    other = line.role == "other"
    series = COLOURS[f"series-{place % 6 + 1}"]
    colour = {"headline": COLOURS["accent"], "baseline": COLOURS["ink"]}.get(line.role, series)
    front = {"headline": 4, "baseline": 3.5}.get(line.role, 2.5)
    axes.fill_between(
        line.x,
        [100 * y for y in line.low],
        [100 * y for y in line.high],
        color=colour,
        alpha=0.07 if other else 0.16,
        linewidth=0,
        zorder=front - 1,
    )
    style: dict[str, Any] = {"headline": {}, "baseline": {"dashes": (5, 2)}}.get(
        line.role, {"dashes": _DASHES[place % len(_DASHES)]}
    )
    mark = {"headline": "o", "baseline": "s"}.get(line.role, _MARKERS[place % len(_MARKERS)])
    axes.plot(
        line.x,
        [100 * y for y in line.y],
        color=colour,
        marker=mark,
        markersize=4.5 if other else 6.5,
        markeredgewidth=0,
        linewidth=1.25 if other else 2.5,
        zorder=front,
        clip_on=False,
        **style,
    )


def _name_ends(axes: Axes, lines: Sequence[Line]) -> None:
    """Names right of the last places, moved apart where they would meet."""
    ends = [(line, *_end(line)) for line in lines]
    ends = sorted((end for end in ends if math.isfinite(end[2])), key=lambda end: end[2])
    low, high = axes.get_ylim()
    pixel = (high - low) / (axes.get_position().height * axes.figure.get_size_inches()[1] * 72)  # type: ignore[union-attr]
    right = axes.get_xlim()[1]
    heights = _apart([y for _, _, y in ends], 15 * pixel, low, high)
    for (line, x, y), height in zip(ends, heights, strict=True):
        strong = line.role != "other"
        axes.annotate(
            _short(line.name),
            (x, y),
            (right, height),
            annotation_clip=False,
            va="center",
            color=COLOURS[{"headline": "accent", "baseline": "ink"}.get(line.role, "muted")],
            weight="bold" if strong else "normal",
            arrowprops={
                "arrowstyle": "-",
                "color": COLOURS["line"],
                "shrinkA": 1,
                "shrinkB": 4,
                "relpos": (0, 0.5),
            },
        )


def _end(line: Line) -> tuple[float, float]:
    """The last place at which something is known, and the percent there."""
    known = [(x, 100 * y) for x, y in zip(line.x, line.y, strict=True) if math.isfinite(y)]
    return known[-1] if known else (math.nan, math.nan)


def _apart(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Ascending heights at least `gap` apart, near those wanted and between the limits."""
    places: list[float] = []
    for y in wanted:
        places.append(max(y, places[-1] + gap) if places else max(y, low))
    limit = high
    for place in range(len(places) - 1, -1, -1):
        places[place] = min(places[place], limit)
        limit = places[place] - gap
    return places


def _draw_dots(axes: Axes, rows: Sequence[Dot], wide: bool) -> None:
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="x", length=0)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks([])
    drawn_at = 0.0 if wide else 0.18
    for place, row in enumerate(rows):
        colour = COLOURS["accent" if row.strong else "muted"]
        axes.plot(
            [100 * row.low, 100 * row.high], [place + drawn_at] * 2, color=colour, linewidth=2
        )
        axes.plot([100 * row.value], [place + drawn_at], "o", color=colour, markersize=8)
        axes.annotate(
            row.name,
            (0, place if wide else place - 0.22),
            (-12 if wide else 0, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset pixels",
            ha="right" if wide else "left",
            va="center",
        )
        axes.annotate(
            row.text,
            (1, place + drawn_at),
            (58, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset pixels",
            ha="right",
            va="center",
            weight="bold",
        )


def _draw_shares(axes: Axes, place: int, row: Share, wide: bool) -> None:
    parts = (
        (row.gain, "accent", "paper", None),
        (row.unchanged, "soft", "ink", None),
        (row.lose, "warn", "paper", None),
    )
    start, at = 0.0, place if wide else place + 0.16
    for share, colour, text, hatch in parts:
        if not share > 0:
            continue
        axes.barh(
            at,
            share,
            left=start,
            height=0.62 if wide else 0.48,
            color=COLOURS[colour],
            edgecolor=COLOURS["paper"],
            linewidth=1.5,
            hatch=hatch,
        )
        if share > (0.06 if wide else 0.12):
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
    axes.annotate(
        row.name,
        (0, place if wide else place - 0.24),
        (-12 if wide else 0, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset pixels",
        ha="right" if wide else "left",
        va="center",
    )


def _scale(axes: Axes, *, signed: bool, along: str = "y") -> None:
    """Few ticks, with as many digits as they need; differences have their sign."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis = axes.yaxis if along == "y" else axes.xaxis
    axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value, signed)))


def _tick(value: float, signed: bool) -> str:
    text = f"{abs(value):.4g}" if abs(value) > 1e-9 else "0"
    sign = "\u2212" if value < 0 else "+" if signed else ""
    return text if text == "0" else f"{sign}{text}"


def _headed(axes: Axes, text: str) -> None:
    """What is drawn, at the top left of the figure."""
    axes.annotate(
        text,
        (0, 1),
        (8, -6),
        xycoords="figure fraction",
        textcoords="offset pixels",
        va="top",
        color=COLOURS["muted"],
    )


def _guide(axes: Axes, place: float, height: float, text: str) -> None:
    low = axes.get_ylim()[0]
    left = axes.get_xlim()[0]
    style: dict[str, Any] = {"color": COLOURS["accent"], "linewidth": 1.25, "dashes": (1, 2)}
    axes.plot([left, place, place], [100 * height, 100 * height, low], **style)
    axes.set_xlim(left=left)
    axes.set_ylim(bottom=low)
    axes.annotate(
        text,
        (place, low),
        (5, 5),
        textcoords="offset pixels",
        color=COLOURS["accent"],
    )


def _short(name: str) -> str:
    return name if len(name) <= 16 else f"{name[:15]}…"
