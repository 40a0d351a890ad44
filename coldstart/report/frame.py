"""What the charts of a report share: margins in pixels, quiet scales, names beside rows."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from coldstart.report.svg import COLOURS

__all__ = ["LONGEST", "framed", "named_rows", "scaled", "short", "width_of"]

LONGEST = 40  # letters of a name beside a row
_LETTER = 7.2  # pixels of a letter, on average and at most


def framed(figure: Figure, left: float, right: float, top: float, bottom: float) -> Axes:
    """Axes with these margins, in pixels."""
    width, height = figure.bbox.size
    across, up = (width - left - right) / width, (height - top - bottom) / height
    return figure.add_axes((left / width, bottom / height, across, up))


def scaled(axes: Axes, *, along: str, signed: bool) -> None:
    """Few ticks, with the digits that they need; differences have their sign."""
    axis = axes.yaxis if along == "y" else axes.xaxis
    axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value, signed)))


def named_rows(axes: Axes, names: list[str], *, beside: bool, above: float) -> None:
    """Names beside their rows, or so much of a row above them where there is no room."""
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks([])
    for place, name in enumerate(names):
        axes.annotate(
            short(name, LONGEST),
            (0, place if beside else place - above),
            (-12 if beside else 0, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset pixels",
            ha="right" if beside else "left",
            va="center",
            zorder=5,
            bbox={"facecolor": COLOURS["paper"], "edgecolor": "none", "pad": 1},
        )


def width_of(names: list[str], longest: int) -> float:
    """Pixels that the longest of some names takes."""
    return _LETTER * max((len(short(name, longest)) for name in names), default=0)


def short(name: str, longest: int) -> str:
    """At most so many letters of a name."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def _tick(value: float, signed: bool) -> str:
    text = f"{abs(value):.4g}" if abs(value) > 1e-9 else "0"
    sign = "\u2212" if value < 0 else "+" if signed else ""
    return text if text == "0" else f"{sign}{text}"
