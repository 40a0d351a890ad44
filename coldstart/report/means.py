"""How good every arm is: over shots on the fixed truth, over levels of the log, and as tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from coldstart.report.curves import Curve, curves
from coldstart.report.dots import Dot, dots
from coldstart.report.run import Run, at_first, part, parts
from coldstart.report.table import Line, Rows, Table, digits_of, share
from coldstart.report.wording import count, interval, listed, number, percent, shots_told

__all__ = ["every_metric", "launch", "means"]


def means(run: Run) -> dict[str, Any]:
    """Curves of all arms over shots, and the table of their means."""
    fixed = parts(run.findings, "curve")
    rows = fixed or run.rows_of(run.metric_name)
    known = any(math.isfinite(number(row.get("mean"))) for row in rows)
    where = run.at_level(0 if fixed else -1)
    caption = f"Mean {run.metric} in percent{where}, with 95% intervals"
    return {
        "fixed": bool(fixed),
        "title": f"{run.metric}{where}, percent",
        "legend": _legend(run, rows),
        "chart": _over_shots(run, rows) if known else None,
        "table": _table(run, rows, "shots", _shots, caption) if rows else None,
        "reserved": run.findings.get("reserved"),
        "unavailable": [
            f"{arm} is not available: {why}" for arm, why in part(run.config, "unavailable").items()
        ],
    }


def every_metric(run: Run) -> list[Table]:
    """A table for each metric, of all who have something left to find."""
    tables = []
    for name in dict.fromkeys(str(row.get("metric")) for row in run.rows):
        caption = f"Mean {run.told(name)} in percent{run.at_level(-1)}"
        tables.append(_table(run, run.rows_of(name), "shots", _shots, caption))
    return tables


def launch(run: Run) -> dict[str, Any] | None:
    """How good arms are with a share of the target log, or with some anchors: a curve of the fewest
    shots, and a table for each number of them. None elsewhere.
    """
    rows = [row for row in run.rows if row.get("level") is not None]
    rows = [row for row in rows if row.get("metric") == run.metric_name]
    if not rows:
        return None
    first, drawn = at_first(rows)
    return {
        "anchors": run.protocol == "anchors",
        "title": f"{run.metric} with {shots_told(first)}, percent",
        "chart": _over_levels(run, drawn, first),
        "tables": [_levels(run, rows, k) for k in sorted({row["shots"] for row in rows})],
    }


def _legend(run: Run, rows: Rows) -> str:
    """What the marks of the chart over shots are."""
    if len({row.get("shots") for row in rows}) < 2:
        return "Whiskers are 95% intervals."
    bold = f" Bold are {run.arm} and, dashed, the best way without a source." if run.arm else ""
    return f"Bands are 95% intervals.{bold}"


def _over_shots(run: Run, rows: Rows) -> Markup:
    """Curves, or dots where all is at one number of shots."""
    alt = f"Chart of {run.metric} by number of interactions. {_told(rows, 'shots', count)}."
    places = sorted({row["shots"] for row in rows if row.get("shots") is not None})
    if len(places) < 2:
        return dots("curves", alt, _dots(run, rows))
    return curves(
        "curves",
        alt,
        _curves(run, rows, "shots"),
        x_title="interactions known in the target",
        ticks=[(k, str(k)) for k in places],
        guide=_guide(run),
    )


def _dots(run: Run, rows: Rows) -> list[Dot]:
    digits = digits_of(rows, "mean")
    found = []
    for row in rows:
        arm, text = str(row.get("arm")), percent(row.get("mean"), digits)
        mean, low, high = (number(row.get(key)) for key in ("mean", "ci_low", "ci_high"))
        found.append(Dot(arm, text, mean, low, high, arm == run.arm))
    return found


def _guide(run: Run) -> tuple[float, float, str] | None:
    """Where the best arm without a source is as good as the one of the findings without any."""
    saved = part(run.findings, "saved").get("interactions")
    start = number(run.mean(run.arm, 0))
    if saved is None or not 0 < saved <= max(run.shots, default=0) or math.isnan(start):
        return None
    return number(saved), start, f"equal at {count(saved)}"


def _over_levels(run: Run, rows: Rows, shots: Any) -> Markup:
    what = "number of anchors" if run.protocol == "anchors" else "share of the target log"
    told = _told(rows, "level", run.level_told)
    levels = sorted({number(row["level"]) for row in rows})
    return curves(
        "launch",
        f"Line chart of {run.metric} with {shots_told(shots)}, by {what}. {told}.",
        _curves(run, rows, "level"),
        x_title=f"{what}, logarithmic",
        ticks=[(level, run.level_told(level)) for level in levels],
        log=True,
    )


def _levels(run: Run, rows: Rows, shots: Any) -> Table:
    own = [row for row in rows if row["shots"] == shots]
    caption = f"Mean {run.metric} in percent, with {shots_told(shots)}"
    return _table(run, own, "level", run.level_told, caption)


def _curves(run: Run, rows: Rows, by: str) -> list[Curve]:
    """A curve for every arm that was measured somewhere; places tell those of one role apart."""
    named = [row.get("baseline") for row in parts(run.findings, "levels")]
    baselines = named if by == "level" else [run.baseline(k) for k in run.shots]
    found: list[Curve] = []
    for arm in dict.fromkeys(str(row.get("arm")) for row in rows):
        own = [row for row in rows if str(row.get("arm")) == arm and row.get(by) is not None]
        own.sort(key=lambda row: number(row[by]))
        x, y, low, high = (
            [number(row.get(key)) for row in own] for key in (by, "mean", "ci_low", "ci_high")
        )
        role = "headline" if arm == run.arm else "baseline" if arm in baselines else "other"
        if any(map(math.isfinite, y)):
            place = sum(curve.role == role for curve in found)
            found.append(Curve(arm, role, place, x, y, low, high))
    return found


def _told(rows: Rows, by: str, named: Callable[[Any], str]) -> str:
    """Curves in words: the mean of every arm at every place."""
    digits = digits_of(rows, "mean")
    told: dict[str, list[str]] = {}
    for row in rows:
        mean = percent(row.get("mean"), digits)
        limits = interval(row.get("ci_low"), row.get("ci_high"), digits)
        said = f"{mean} ({limits})" if limits else mean
        told.setdefault(str(row.get("arm")), []).append(f"{said} at {named(row.get(by))}")
    return "; ".join(f"{arm} {listed(each)}" for arm, each in told.items())


def _table(run: Run, rows: Rows, by: str, named: Callable[[Any], str], caption: str) -> Table:
    """Arms as lines, places as columns, the best of every column in bold."""
    digits = digits_of(rows, "mean")
    places = sorted({row[by] for row in rows if row.get(by) is not None})
    found = {(str(row.get("arm")), row.get(by)): row for row in rows}
    best = {place: _best(rows, by, place) for place in places}
    lines = []
    for arm in dict.fromkeys(arm for arm, _ in found):
        own: Sequence[Mapping[str, Any]] = [found.get((arm, place), {}) for place in places]
        cells = [
            share(row, "mean", digits, strong=number(row.get("mean")) == best[place])
            for row, place in zip(own, places, strict=True)
        ]
        lines.append(Line(arm, cells, "uses the source" if run.uses_source(arm) else ""))
    return Table(caption, ["arm", *map(named, places)], lines)


def _best(rows: Rows, by: str, place: Any) -> float:
    known = (number(row.get("mean")) for row in rows if row.get(by) == place)
    return max((mean for mean in known if math.isfinite(mean)), default=math.nan)


def _shots(k: Any) -> str:
    return f"{count(k)} shot{'s' * (k != 1)}"
