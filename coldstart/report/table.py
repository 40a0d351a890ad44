"""Tables of a report, as values that the template writes down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coldstart.report.wording import decimals, interval, number, percent, points

__all__ = [
    "Cell",
    "Line",
    "Rows",
    "Table",
    "difference",
    "difference_told",
    "digits_of",
    "plain",
    "share",
]

Rows = Sequence[Mapping[str, Any]]


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


def digits_of(rows: Iterable[Mapping[str, Any]], value: str) -> int:
    """Digits after the point that show what the intervals of some rows can tell."""
    return decimals((row.get(value), row.get("ci_low"), row.get("ci_high")) for row in rows)


def share(row: Mapping[str, Any], value: str, digits: int, *, strong: bool = False) -> Cell:
    """A share in percent with its interval."""
    limits = interval(row.get("ci_low"), row.get("ci_high"), digits)
    return Cell(percent(row.get(value), digits), limits, strong)


def difference(row: Mapping[str, Any], digits: int) -> Cell:
    """A difference in points with its interval; strong where zero is outside."""
    low, high = row.get("ci_low"), row.get("ci_high")
    clear = number(low) > 0 or number(high) < 0
    text = points(row.get("difference"), digits)
    return Cell(text, interval(low, high, digits, signed=True), clear)


def difference_told(row: Mapping[str, Any], digits: int) -> str:
    """The same in words."""
    cell = difference(row, digits)
    return f"{cell.text} points ({cell.small or 'no interval'})"


def plain(text: Any, *, word: bool = False) -> Cell:
    """A cell without more."""
    return Cell(str(text), word=word)
