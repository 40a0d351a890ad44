"""How numbers are said: shares in percent, differences in points, a dash where there is none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = [
    "NOTHING",
    "count",
    "decimals",
    "interval",
    "listed",
    "number",
    "p_value",
    "percent",
    "points",
    "ratio",
    "shots_told",
]

NOTHING = "–"
_MINUS = "\u2212"


def number(value: Any) -> float:
    """`value` as a float; NaN for what is missing or no number."""
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known else math.nan


def decimals(rows: Iterable[tuple[Any, Any, Any]]) -> int:
    """Digits after the point for shares in percent, from (value, low, high) of each: enough to see
    half of an interval, and of the values themselves where there are no intervals.
    """
    known = [tuple(map(number, row)) for row in rows]
    halves = sorted(50 * (high - low) for _, low, high in known if high > low)
    sizes = sorted(10 * abs(value) for value, _, _ in known if value)
    found = halves or sizes
    scale = found[len(found) // 2] if found else 1.0
    return min(max(math.ceil(-math.log10(scale / 2)), 1), 4) if scale > 0 else 1


def percent(value: Any, digits: int = 1) -> str:
    """Such as 5.0%."""
    return _rounded(100 * number(value), digits, unit="%")


def points(value: Any, digits: int = 1) -> str:
    """A difference of shares in percentage points, with its sign."""
    return _rounded(100 * number(value), digits, signed=True)


def ratio(value: Any, low: Any = None, high: Any = None) -> str:
    """How many times as much, with two digits after the point where one would hide the interval."""
    fine = number(high) - number(low) < 0.25 or abs(number(value) - 1) < 0.1
    return _rounded(number(value), 2 if fine else 1, unit="×")


def interval(low: Any, high: Any, digits: int = 1, *, signed: bool = False) -> str:
    """Two limits of shares in percent; empty where there are none."""
    limits = [100 * number(limit) for limit in (low, high)]
    if not all(map(math.isfinite, limits)):
        return ""
    return " to ".join(_rounded(limit, digits, signed=signed) for limit in limits)


def p_value(value: Any) -> str:
    """With two digits, and never zero."""
    known = number(value)
    if math.isnan(known):
        return NOTHING
    return "< 0.001" if known < 0.001 else f"{known:.3f}" if known < 0.1 else f"{known:.2f}"


def count(value: Any) -> str:
    """A number of things: 12,345, 3.4, or a dash."""
    known = number(value)
    if not math.isfinite(known):
        return NOTHING
    return f"{known:,.0f}" if known == int(known) else f"{known:,.1f}"


def shots_told(shots: Any) -> str:
    """So many interactions, in words."""
    return "no interactions" if shots == 0 else f"{count(shots)} interaction{'s' * (shots != 1)}"


def listed(words: Sequence[str]) -> str:
    """Such as "a, b and c"; empty for none."""
    *others, last = words or [""]
    return f"{', '.join(others)} and {last}" if others else last


def _rounded(value: float, digits: int, *, signed: bool = False, unit: str = "") -> str:
    if not math.isfinite(value):
        return NOTHING
    size = f"{abs(value):.{digits}f}"
    if not float(size):
        return f"{size}{unit}"
    return f"{_MINUS if value < 0 else '+' if signed else ''}{size}{unit}"
