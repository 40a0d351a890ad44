"""What the source adds, person by person: paired differences, ratios, effect sizes, p values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from markupsafe import Markup

from coldstart.report.curves import Curve, curves
from coldstart.report.run import Run, part, parts
from coldstart.report.table import (
    Cell,
    Line,
    Rows,
    Table,
    difference,
    difference_told,
    digits_of,
    plain,
)
from coldstart.report.wording import (
    NOTHING,
    count,
    decimals,
    listed,
    number,
    p_value,
    points,
    ratio,
    shots_told,
)

__all__ = ["comparisons", "gains", "over_levels", "without_twins"]


def gains(run: Run) -> dict[str, Any] | None:
    """The paired gain of the arm of the findings over shots; None without findings."""
    rows = parts(run.findings, "gains")
    if not rows:
        return None
    return {
        "chart": _over_shots(run, rows),
        "table": _table(run, rows, "shots", "interactions", count),
        "smallest": _smallest(run),
    }


def over_levels(run: Run) -> dict[str, Any] | None:
    """The same over levels, at the fewest shots; None where there are none."""
    rows = parts(run.findings, "levels")
    if not rows:
        return None
    what = "anchors" if run.protocol == "anchors" else "share of the log"
    return {
        "chart": _over_levels(run, rows, what),
        "table": _table(run, rows, "level", what, run.level_told),
    }


def comparisons(run: Run) -> Table | None:
    """Every arm against the best one without a source, in the main metric."""
    rows = [row for row in run.comparisons if row.get("metric") == run.metric_name]
    if not rows:
        return None
    digits = digits_of(rows, "difference")
    levels = any(row.get("level") is not None for row in rows)
    lines = []
    for row in rows:
        level = [plain(run.level_told(row.get("level")))] if levels else []
        told = [
            plain(count(row.get("shots"))),
            plain(row.get("baseline"), word=True),
            difference(row, digits),
            plain(_effect(row.get("effect"))),
            plain(p_value(row.get("p_holm"))),
        ]
        lines.append(Line(str(row.get("arm")), [*level, *told]))
    columns = ["arm", *(["level"] if levels else []), "shots", "against"]
    columns += ["difference in points", "effect size", "p (Holm)"]
    return Table(f"{run.metric} of every arm against the best without a source", columns, lines)


def without_twins(run: Run) -> dict[str, Any] | None:
    """Gains with cross-listed twins and without them; None where there are none."""
    found = part(run.findings, "without_twins")
    after = {row.get("shots"): row for row in parts(found, "gains")}
    before = parts(run.findings, "gains")
    if not after or not before:
        return None
    digits = digits_of([*before, *after.values()], "difference")
    lines = []
    for row in before:
        shots = row.get("shots")
        cells = [difference(each, digits) for each in (row, after.get(shots, {}))]
        lines.append(Line(count(shots), cells))
    caption = f"Gain of {run.arm} in {run.metric}, points"
    return {
        "columns": number(found.get("columns")),
        "table": Table(caption, ["interactions", "all items", "without twins"], lines),
    }


def _over_shots(run: Run, rows: Rows) -> Markup | None:
    return _chart(
        run,
        rows,
        "shots",
        name="gains",
        told=shots_told,
        x_title="interactions known in the target",
        ticks=[(number(row.get("shots")), count(row.get("shots"))) for row in rows],
    )


def _over_levels(run: Run, rows: Rows, what: str) -> Markup | None:
    return _chart(
        run,
        rows,
        "level",
        name="level-gains",
        told=run.level_told,
        x_title=f"{what}, logarithmic",
        ticks=[(number(row.get("level")), run.level_told(row.get("level"))) for row in rows],
        log=True,
    )


def _chart(
    run: Run, rows: Rows, by: str, *, name: str, told: Callable[[Any], str], **settings: Any
) -> Markup | None:
    """The curve of one arm; None where there are no two points of it."""
    x, y, low, high = (
        [number(row.get(key)) for row in rows] for key in (by, "difference", "ci_low", "ci_high")
    )
    if sum(map(math.isfinite, y)) < 2:
        return None
    digits = digits_of(rows, "difference")
    said = listed([f"{difference_told(row, digits)} at {told(row.get(by))}" for row in rows])
    alt = f"Line chart of the gain of {run.arm} over the best arm without a source: {said}."
    line = Curve(run.arm, "headline", 0, x, y, low, high)
    return curves(name, alt, [line], signed=True, **settings)


def _table(run: Run, rows: Rows, by: str, title: str, told: Callable[[Any], str]) -> Table:
    digits = digits_of(rows, "difference")
    lines = [
        Line(
            told(row.get(by)),
            [
                plain(row.get("baseline") or NOTHING, word=True),
                difference(row, digits),
                _ratio(row),
                plain(_effect(row.get("effect"))),
                plain(p_value(row.get("p"))),
            ],
        )
        for row in rows
    ]
    columns = [title, "against", "difference in points", "ratio", "effect size", "p"]
    return Table(f"Gain of {run.arm} in {run.metric}", columns, lines)


def _ratio(row: Any) -> Cell:
    low, high = row.get("ratio_low"), row.get("ratio_high")
    limits = "" if low is None else f"{ratio(low, low, high)} to {ratio(high, low, high)}"
    return Cell(ratio(row.get("ratio"), low, high), limits)


def _effect(value: Any) -> str:
    known = number(value)
    return NOTHING if math.isnan(known) else f"{known:.2f}".replace("-", "\u2212")


def _smallest(run: Run) -> str:
    """What could have been found, in words; empty where it was not reckoned."""
    found = part(run.findings, "smallest_detectable")
    size = number(found.get("difference"))
    if math.isnan(size):
        return ""
    told = points(size, decimals([(size, None, None)]))[1:]
    times = number(found.get("ratio"))
    said = "" if math.isnan(times) else f", {ratio(times)} the quality without a source,"
    return (
        f"With {run.tested} and {shots_told(found.get('shots', 0))}, a true difference of "
        f"{told} points{said} is found with a probability of 80% at the 5% level."
    )
