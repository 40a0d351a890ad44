"""What is served: how much of the catalog, how popular it is, and the lists of a few people."""

from __future__ import annotations

import math
from typing import Any

from markupsafe import Markup

from coldstart.report.dots import Dot, dots
from coldstart.report.run import Run, at_first, part, parts
from coldstart.report.table import Line, Rows, Table, plain
from coldstart.report.wording import count, listed, number, percent, shots_told

__all__ = ["examples", "lists"]


def lists(run: Run) -> dict[str, Any] | None:
    """Charts of coverage and popularity, and a table of both; None without findings."""
    rows = parts(run.findings, "lists")
    if not rows:
        return None
    shots, drawn = at_first(rows)
    return {
        "shots": shots_told(shots),
        "coverage": _coverage(run, drawn),
        "popularity": _popularity(run, drawn),
        "table": _table(run, rows),
    }


def examples(run: Run) -> list[dict[str, Any]]:
    """An entry for each person: what is known, what was taken, and the list of every arm."""
    people = []
    for one in parts(run.values, "examples"):
        served = []
        for arm in part(one, "lists"):
            items = parts(one["lists"], arm)
            hits = sum(bool(item.get("hit")) for item in items)
            served.append({"arm": str(arm), "ranked": items, "hits": hits})
        known = {key: _words(one.get(key)) for key in ("source", "given", "truth")}
        people.append({"person": str(one.get("person", "somebody")), "lists": served, **known})
    return people


def _words(values: Any) -> list[str]:
    return [str(value) for value in values] if isinstance(values, list | tuple) else []


def _coverage(run: Run, rows: Rows) -> Markup:
    found = [_dot(run, row, "coverage", percent(row.get("coverage"), 0)) for row in rows]
    return dots("coverage", f"Coverage: {_told(found)}.", found, half=True)


def _popularity(run: Run, rows: Rows) -> Markup:
    found = [_dot(run, row, "popularity", _percentile(row.get("popularity"))) for row in rows]
    truths = [number(row.get("truth_popularity")) for row in rows]
    truth = next(filter(math.isfinite, truths), math.nan)
    against = f" What was truly taken is at {_percentile(truth)}." * math.isfinite(truth)
    alt = f"Popularity percentile of lists: {_told(found)}.{against}"
    return dots("popularity", alt, found, reference=truth, half=True)


def _dot(run: Run, row: Any, key: str, text: str) -> Dot:
    arm = str(row.get("arm"))
    return Dot(arm, text, number(row.get(key)), strong=arm == run.arm)


def _told(found: list[Dot]) -> str:
    return listed([f"{dot.name} {dot.text}" for dot in found])


def _percentile(value: Any) -> str:
    return percent(value, 0).rstrip("%")


def _table(run: Run, rows: Rows) -> Table:
    lines = [
        Line(
            str(row.get("arm")),
            [
                plain(count(row.get("shots"))),
                plain(percent(row.get("coverage"))),
                plain(_percentile(row.get("popularity"))),
                plain(_percentile(row.get("truth_popularity"))),
            ],
        )
        for row in rows
    ]
    columns = ["arm", "shots", "coverage", "popularity", "popularity of the truth"]
    return Table(f"Coverage and popularity of lists of {run.n}", columns, lines)
