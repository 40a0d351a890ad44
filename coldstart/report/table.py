"""Tables of a report, as values that the template writes down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from coldstart.report.wording import interval, percent, points

__all__ = ["Cell", "Line", "Table", "difference", "plain", "share"]


@dataclass(frozen=True)
class Cell:
    """A number or a word, what stands below it in small letters, and whether it is the best."""

    text: str
    small: str = ""
    strong: bool = False
    word: bool = False


@dataclass(frozen=True)
class Line:
    """A row: what it is of, and its cells."""

    head: str
    cells: Sequence[Cell]
    mark: str = ""


@dataclass(frozen=True)
class Table:
    """A caption, the titles of all columns, and rows."""

    caption: str
    columns: Sequence[str]
    lines: Sequence[Line]


def share(row: dict[str, Any], value: str, digits: int, *, strong: bool = False) -> Cell:
    """A share in percent with its interval."""
    limits = interval(row.get("ci_low"), row.get("ci_high"), digits)
    return Cell(percent(row.get(value), digits), limits, strong)


def difference(row: dict[str, Any], digits: int) -> Cell:
    """A difference in points with its interval; strong where zero is outside."""
    low, high = row.get("ci_low"), row.get("ci_high")
    clear = low is not None and high is not None and (low > 0 or high < 0)
    text = points(row.get("difference"), digits)
    return Cell(text, interval(low, high, digits, signed=True), clear)


def plain(text: Any, *, word: bool = False) -> Cell:
    """A cell without more."""
    return Cell(str(text), word=word)
