"""Who gains and who loses, what lists look like, and what is left without twins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from coldstart.report import charts
from coldstart.report.run import Run, part, parts
from coldstart.report.table import Line, Table, difference, plain
from coldstart.report.wording import (
    count,
    decimals,
    listed,
    number,
    percent,
    points,
    shots_told,
)

__all__ = ["examples", "fates", "lists", "without_twins"]

Rows = Sequence[Mapping[str, Any]]


def fates(run: Run) -> dict[str, Any] | None:
    """Shares of people who gain and lose, and gains by group; None without findings."""
    gains = [row for row in parts(run.findings, "gains") if row.get("gain") is not None]
    groups = parts(run.findings, "groups")
    if not gains and not groups:
        return None
    return {
        "shares": _shares(run, gains) if gains else None,
        "groups": _groups(run, groups) if groups else [],
    }


def lists(run: Run) -> dict[str, Any] | None:
    """How much of the catalog is listed, and how popular it is; None without findings."""
    rows = parts(run.findings, "lists")
    if not rows:
        return None
    first = min(number(row.get("shots")) for row in rows)
    own = [row for row in rows if row.get("shots") == first]
    return {
        "charts": [_coverage(run, own, int(first)), _popularity(run, own, int(first))],
        "table": _lists_table(run, rows),
    }


def without_twins(run: Run) -> dict[str, Any] | None:
    """Gains with cross-listed twins and without them; None where there are none."""
    found = part(run.findings, "without_twins")
    after = {row.get("shots"): row for row in parts(found, "gains")}
    before = parts(run.findings, "gains")
    if not after or not before:
        return None
    rows = [*before, *after.values()]
    digits = decimals(
        (row.get("difference"), row.get("ci_low"), row.get("ci_high")) for row in rows
    )
    lines = [
        Line(
            shots_told(row.get("shots")),
            [difference(row, digits), difference(after.get(row.get("shots"), {}), digits)],
        )
        for row in before
    ]
    caption = f"Gain of {run.arm} in {run.metric}, points"
    return {
        "columns": count(found.get("columns")),
        "table": Table(caption, ["", "all items", "without twins"], lines),
    }


def examples(run: Run) -> list[dict[str, Any]]:
    """Lists of a few people, an entry for each person."""
    people = []
    for one in parts(run.values, "examples"):
        served = [
            {"arm": str(arm), "items": parts({"items": items}, "items")}
            for arm, items in part(one, "lists").items()
        ]
        for each in served:
            each["hits"] = sum(bool(item.get("hit")) for item in each["items"])
        people.append(
            {
                "person": str(one.get("person", "somebody")),
                "lists": served,
                **{key: _words(one.get(key)) for key in ("source", "given", "truth")},
            }
        )
    return people


def _words(values: Any) -> list[str]:
    return [str(value) for value in values] if isinstance(values, list | tuple) else []


def _shares(run: Run, rows: Rows) -> Markup:
    told = "; ".join(
        f"with {shots_told(row.get('shots'))} {percent(row.get('gain'), 0)} gain, "
        f"{percent(row.get('unchanged'), 0)} are unchanged and {percent(row.get('lose'), 0)} lose"
        for row in rows
    )
    bars = [
        charts.Share(
            shots_told(row.get("shots")),
            *(number(row.get(key)) for key in ("gain", "unchanged", "lose")),
        )
        for row in rows
    ]
    return charts.shares("shares", f"Bars of {run.people} who gain and lose: {told}.", bars)


def _groups(run: Run, rows: Rows) -> list[dict[str, Any]]:
    """A chart and a table by activity, and one of each by popularity of items."""
    first = min(number(row.get("shots")) for row in rows)
    kinds = dict.fromkeys(str(row.get("by")) for row in rows)
    found = []
    for place, kind in enumerate(kinds):
        own = [row for row in rows if str(row.get("by")) == kind]
        drawn = [row for row in own if row.get("shots") == first]
        found.append(
            {
                "by": kind,
                "chart": _group_chart(run, kind, drawn, place, int(first)),
                "table": _group_table(run, kind, own),
            }
        )
    return found


def _group_chart(run: Run, kind: str, rows: Rows, place: int, shots: int) -> Markup:
    digits = decimals(
        (row.get("difference"), row.get("ci_low"), row.get("ci_high")) for row in rows
    )
    told = listed(
        [
            f"{row.get('group')} {points(row.get('difference'), digits)} points "
            f"({difference(dict(row), digits).small or 'no interval'})"
            for row in rows
        ]
    )
    return charts.dots(
        f"groups-{place}",
        f"Gain by {kind} with {shots_told(shots)}: {told}.",
        [
            charts.Dot(
                str(row.get("group")),
                points(row.get("difference"), digits),
                *(number(row.get(key)) for key in ("difference", "ci_low", "ci_high")),
                strong=bool(difference(dict(row), digits).strong),
            )
            for row in rows
        ],
        title=f"gain in {run.metric} with {shots_told(shots)}, points",
        signed=True,
    )


def _group_table(run: Run, kind: str, rows: Rows) -> Table:
    digits = decimals(
        (row.get("difference"), row.get("ci_low"), row.get("ci_high")) for row in rows
    )
    lines = [
        Line(
            str(row.get("group")),
            [
                plain(count(row.get("shots"))),
                plain(count(row.get("users"))),
                plain(percent(row.get("baseline"), digits)),
                plain(percent(row.get("mean"), digits)),
                difference(dict(row), digits),
            ],
        )
        for row in rows
    ]
    columns = ["group", "shots", run.people, "without a source", run.arm, "difference in points"]
    return Table(f"{run.metric} by {kind}", columns, lines)


def _coverage(run: Run, rows: Rows, shots: int) -> Markup:
    dots = [_dot(run, row, "coverage") for row in rows]
    told = listed([f"{dot.name} {dot.text}" for dot in dots])
    return charts.dots(
        "coverage",
        f"Share of the catalog that is in any list, with {shots_told(shots)}: {told}.",
        dots,
        title="share of the catalog in any list, percent",
    )


def _popularity(run: Run, rows: Rows, shots: int) -> Markup:
    dots = [_dot(run, row, "popularity") for row in rows]
    truth = next(
        (row["truth_popularity"] for row in rows if row.get("truth_popularity") is not None), None
    )
    told = listed([f"{dot.name} {dot.text}" for dot in dots])
    against = "" if truth is None else f" What was truly taken is at {100 * truth:.0f}."
    return charts.dots(
        "popularity",
        f"Mean popularity percentile of what is listed, with {shots_told(shots)}: {told}.{against}",
        dots,
        title="mean popularity percentile of what is listed",
        reference=None if truth is None else (100 * truth, "what was truly taken"),
    )


def _dot(run: Run, row: Mapping[str, Any], key: str) -> charts.Dot:
    arm = str(row.get("arm"))
    value = percent(row.get(key), 0)
    text = value if key == "coverage" else value.rstrip("%")
    return charts.Dot(arm, text, number(row.get(key)), strong=arm == run.arm)


def _lists_table(run: Run, rows: Rows) -> Table:
    lines = [
        Line(
            str(row.get("arm")),
            [
                plain(count(row.get("shots"))),
                plain(percent(row.get("coverage"))),
                *(
                    plain(percent(row.get(key), 0).rstrip("%"))
                    for key in ("popularity", "truth_popularity")
                ),
            ],
        )
        for row in rows
    ]
    columns = ["arm", "shots", "coverage", "popularity", "popularity of the truth"]
    return Table(f"Coverage and popularity of lists of {run.n}", columns, lines)
