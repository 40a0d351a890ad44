"""A matplotlib figure as SVG inside a page: its colours are the page's, its text is text."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

__all__ = ["COLOURS", "SIZES", "drawn"]

SIZES = {"wide": 848, "narrow": 350}  # in pixels; the page shows one of them

# A variable of the style sheet, and the colour that stands for it until the figure is written.
_VARIABLES = (
    *("ink", "muted", "line", "paper", "accent", "warn", "soft"),
    *(f"series-{place}" for place in range(1, 7)),
)
COLOURS = {name: f"#0000{place:02x}" for place, name in enumerate(_VARIABLES, 1)}

_STYLE: Any = {  # of matplotlib, whose stubs know no other mapping than its own
    "svg.fonttype": "none",
    "font.size": 12,
    "axes.labelsize": 12,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "text.parse_math": False,
    "text.color": COLOURS["ink"],
    "axes.edgecolor": COLOURS["line"],
    "axes.facecolor": "none",
    "axes.labelcolor": COLOURS["muted"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": COLOURS["line"],
    "grid.linewidth": 1,
    "xtick.color": COLOURS["line"],
    "ytick.color": COLOURS["line"],
    "xtick.labelcolor": COLOURS["muted"],
    "ytick.labelcolor": COLOURS["muted"],
    "xtick.major.size": 4,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "lines.linewidth": 1.25,
    "lines.markersize": 5,
}
_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"


def drawn(
    name: str,
    alt: str,
    height: Callable[[bool], float],
    draw: Callable[[Figure, bool], None],
    *,
    half: bool = False,
) -> Markup:
    """One chart in both sizes; `draw` fills a figure and is told whether it is the wide one.

    Parameters
    ----------
    name : str
        Unique on the page.
    alt : str
        What the chart says, for those who do not see it.
    height : callable
        In pixels, of the wide and of the narrow chart.
    half : bool
        Whether the narrow one is all there is to be.
    """
    pictures = []
    for size, width in SIZES.items():
        wide = size == "wide"
        if wide and half:
            continue
        with _style(f"{name}-{size}"):
            figure = Figure(figsize=(width / 72, height(wide) / 72), dpi=72, facecolor="none")
            draw(figure, wide)
            pictures.append(_inline(figure, f"{name}-{size}", alt, "half" if half else size))
    return Markup("\n").join(pictures)


@contextmanager
def _style(salt: str) -> Iterator[None]:
    """Settings of matplotlib, the same whatever the caller's are; letters that its own font lacks
    are no matter, as the browser brings its own.
    """
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        mpl.rcdefaults()
        mpl.rcParams.update({**_STYLE, "svg.hashsalt": salt})
        yield


def _inline(figure: Figure, name: str, alt: str, size: str) -> Markup:
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    root = ElementTree.fromstring(file.getvalue())
    for child in list(root):
        if child.tag == f"{_SVG}metadata" or child.find(f"{_SVG}style") is not None:
            root.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        _adapt(element, name)
    _, _, width, height = root.attrib["viewBox"].split()
    root.attrib = {
        "class": f"chart {size}",
        "role": "img",
        "aria-label": alt,
        "viewBox": f"0 0 {float(width):g} {float(height):g}",
    }
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # escaped by it


def _adapt(element: ElementTree.Element, name: str) -> None:
    """Ids become unique on the page, colours variables, and the font is the page's."""
    known = dict(element.attrib)
    if _LINK in known:
        known["href"] = known.pop(_LINK)
    if element.tag == "g":
        known.pop("id", None)  # nothing refers to it
    for key, value in known.items():
        if key == "id":
            known[key] = f"{name}-{value}"
        elif key == "href":
            known[key] = f"#{name}-{value[1:]}"
        else:
            known[key] = value.replace("url(#", f"url(#{name}-")
    if "style" in known:
        known["style"] = _coloured(known["style"])
    if "d" in known:
        known["d"] = " ".join(known["d"].split())
    element.attrib = known
    element.tail = "\n" if element.tail else None
    if element.tag != "text" and element.text is not None and not element.text.strip():
        element.text = None


def _coloured(style: str) -> str:
    """Colours by their variables, and of a font its size and weight alone."""
    for name, colour in COLOURS.items():
        style = style.replace(colour, f"var(--{name})")
    style = re.sub(r"font-family: [^;]*;?\s*", "", style)
    return re.sub(r"font: (?:(\d+) )?([\d.]+px)[^;]*", _weighted, style)


def _weighted(found: re.Match[str]) -> str:
    weight, size = found.groups()
    return f"font-size: {size}" + (f"; font-weight: {weight}" if weight else "")
