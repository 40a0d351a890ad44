"""Who gains and who loses: shares of people, and gains by group."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from coldstart.report.dots import Bar, Dot, bars, dots
from coldstart.report.run import Run, at_first, parts
from coldstart.report.table import (
    Line,
    Rows,
    Table,
    difference,
    difference_told,
    digits_of,
    plain,
)
from coldstart.report.wording import count, listed, number, percent, points, shots_told

__all__ = ["fates"]


def fates(run: Run) -> dict[str, Any] | None:
    """A chart of shares, and a chart and a table by each kind of group; None without findings."""
    gains = [row for row in parts(run.findings, "gains") if row.get("gain") is not None]
    groups = parts(run.findings, "groups")
    if not gains and not groups:
        return None
    kinds = dict.fromkeys(str(row.get("by")) for row in groups)
    return {
        "shares": _shares(run, gains) if gains else None,
        "groups": [
            _group(run, kind, [row for row in groups if str(row.get("by")) == kind], place)
            for place, kind in enumerate(kinds)
        ],
    }


def _shares(run: Run, rows: Rows) -> Markup:
    found, told = [], []
    for row in rows:
        where = shots_told(row.get("shots"))
        shares = [row.get(key) for key in ("gain", "unchanged", "lose")]
        gain, unchanged, lose = (percent(share, 0) for share in shares)
        told.append(f"with {where} {gain} gain, {unchanged} are unchanged and {lose} lose")
        found.append(Bar(where, *map(number, shares)))
    return bars("shares", f"Bars of {run.people} who gain and lose: {'; '.join(told)}.", found)


def _group(run: Run, kind: str, rows: Rows, place: int) -> dict[str, Any]:
    """The chart of the fewest shots, and the table of all."""
    shots, drawn = at_first(rows)
    return {
        "by": kind,
        "title": f"Gain in {run.metric} with {shots_told(shots)}, points",
        "chart": _chart(drawn, f"groups-{place}", f"Gain by {kind} with {shots_told(shots)}"),
        "table": _table(run, kind, rows),
    }


def _chart(rows: Rows, name: str, what: str) -> Markup:
    digits = digits_of(rows, "difference")
    told = [f"{row.get('group')} {difference_told(row, digits)}" for row in rows]
    found = []
    for row in rows:
        value, low, high = (number(row.get(key)) for key in ("difference", "ci_low", "ci_high"))
        told_as, clear = points(value, digits), difference(row, digits).strong
        found.append(Dot(str(row.get("group")), told_as, value, low, high, clear))
    return dots(name, f"{what}: {listed(told)}.", found, signed=True)


def _table(run: Run, kind: str, rows: Rows) -> Table:
    digits = digits_of(rows, "difference")
    lines = [
        Line(
            str(row.get("group")),
            [
                plain(count(row.get("shots"))),
                plain(count(row.get("users"))),
                plain(percent(row.get("baseline"), digits)),
                plain(percent(row.get("mean"), digits)),
                difference(row, digits),
            ],
        )
        for row in rows
    ]
    columns = ["group", "shots", run.people, "without a source", run.arm, "difference in points"]
    return Table(f"{run.metric} by {kind}", columns, lines)
