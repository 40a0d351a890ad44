"""How good every arm is: over shots on the fixed truth, over levels of the log, and as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from coldstart.report import charts
from coldstart.report.run import Run, part, parts
from coldstart.report.table import Cell, Line, Table, difference, plain, share
from coldstart.report.wording import (
    NOTHING,
    count,
    decimals,
    listed,
    number,
    p_value,
    percent,
    points,
    ratio,
    shots_told,
)

__all__ = ["gains", "launch", "means", "mixed"]

Rows = Sequence[Mapping[str, Any]]


def means(run: Run) -> dict[str, Any]:
    """Curves of all arms over shots, and the table of their means."""
    rows = parts(run.findings, "curve")
    fixed = bool(rows)
    if not fixed:
        rows = [row for row in run.rows if row.get("metric") == run.metric_name]
        last = max((number(row.get("level")) for row in rows if row.get("level")), default=None)
        rows = [row for row in rows if row.get("level") in (None, last)]
    digits = decimals((row.get("mean"), row.get("ci_low"), row.get("ci_high")) for row in rows)
    return {
        "fixed": fixed,
        "chart": _curves(run, rows, digits) if _known(rows) else None,
        "table": _means_table(run, rows, digits) if rows else None,
        "reserved": run.findings.get("reserved"),
        "unavailable": [
            f"{arm} is not available: {why}" for arm, why in part(run.config, "unavailable").items()
        ],
        "smallest": _smallest(run),
        "others": _other_metrics(run),
    }


def gains(run: Run) -> dict[str, Any] | None:
    """The paired gain of the arm of the findings over shots; None without findings."""
    rows = parts(run.findings, "gains")
    if not rows:
        return None
    digits = decimals(
        (row.get("difference"), row.get("ci_low"), row.get("ci_high")) for row in rows
    )
    return {
        "chart": _gain_chart(run, rows, digits) if _known(rows, "difference") else None,
        "table": _gain_table(run, rows, digits),
        "comparisons": _comparisons(run),
    }


def launch(run: Run) -> dict[str, Any] | None:
    """How good arms are with a share of the target log, or with some anchors; None elsewhere."""
    rows = [
        row
        for row in run.rows
        if row.get("metric") == run.metric_name and row.get("level") is not None
    ]
    if not rows:
        return None
    shots = sorted({row["shots"] for row in rows if isinstance(row.get("shots"), int)})
    return {
        "anchors": run.protocol == "anchors",
        "charts": [_launch_chart(run, rows, k) for k in shots[:2]],
        "tables": [_launch_table(run, rows, k) for k in shots],
    }


def mixed(run: Run) -> dict[str, Any] | None:
    """New items among known ones: recall on the new, loss on the known, calibration."""
    rows = parts(run.values.get("mixed"), "rows")
    if not rows:
        return None
    titles = {
        "recall_new": "recall of new",
        "recall_known": "recall of known",
        "loss_known": "loss on known",
        "new_share": "share of new in lists",
        "truth_share": "share of new in the truth",
        "calibration": "calibration",
    }
    names = [name for name in titles if any(row.get(name) is not None for row in rows)]
    lines = [
        Line(
            str(row.get("arm")),
            [
                plain(count(row.get("shots"))),
                *(_mixed_cell(row, name) for name in names),
            ],
        )
        for row in rows
    ]
    caption = f"New items among known ones, lists of {run.n}; shares in percent"
    return {"table": Table(caption, ["arm", "shots", *(titles[name] for name in names)], lines)}


def _mixed_cell(row: Mapping[str, Any], name: str) -> Cell:
    limits = {"ci_low": row.get(f"{name}_low"), "ci_high": row.get(f"{name}_high")}
    value = row.get(name)
    if name == "calibration":
        known = number(value)
        return plain(NOTHING if known != known else f"{known:.2f}")
    return share({name: value, **limits}, name, 1)


def _role(run: Run, arm: str) -> str:
    baselines = {run.baseline(k) for k in run.shots}
    return "headline" if arm == run.arm else "baseline" if arm in baselines else "other"


def _lines(run: Run, rows: Rows, by: str) -> list[charts.Line]:
    """A line for every arm that was measured somewhere."""
    lines = []
    for arm in dict.fromkeys(str(row.get("arm")) for row in rows):
        own = sorted(
            (row for row in rows if str(row.get("arm")) == arm and row.get(by) is not None),
            key=lambda row: number(row[by]),
        )
        columns = [[number(row.get(key)) for row in own] for key in _COLUMNS]
        if _known(own):
            places = [number(row[by]) for row in own]
            lines.append(charts.Line(arm, _role(run, arm), places, *columns))
    return lines


_COLUMNS = ("mean", "ci_low", "ci_high")


def _known(rows: Iterable[Mapping[str, Any]], value: str = "mean") -> bool:
    return any(number(row.get(value)) == number(row.get(value)) for row in rows)


def _curves(run: Run, rows: Rows, digits: int) -> Markup:
    lines = _lines(run, rows, "shots")
    saved = part(run.findings, "saved").get("interactions")
    start = number(run.mean(run.arm, 0))
    guide = None
    if saved is not None and 0 < saved <= max(run.shots, default=0) and start == start:
        guide = (number(saved), start, f"equal at {count(saved)}")
    return charts.curves(
        "curves",
        _told(run, rows, digits),
        lines,
        title=f"{run.metric}, percent",
        x_title=f"interactions that {run.people} have in {run.catalogs[1]}",
        ticks=[(k, str(k)) for k in sorted({row["shots"] for row in rows})],
        guide=guide,
    )


def _told(run: Run, rows: Rows, digits: int) -> str:
    """The curves in words: every arm at every number of shots."""
    arms = dict.fromkeys(str(row.get("arm")) for row in rows)
    told = (
        f"{arm} "
        + listed(
            [
                f"{percent(row.get('mean'), digits)} at {count(row.get('shots'))}"
                for row in rows
                if str(row.get("arm")) == arm
            ]
        )
        for arm in arms
    )
    return f"Line chart of {run.metric} by number of interactions. {'; '.join(told)}."


def _means_table(run: Run, rows: Rows, digits: int) -> Table:
    return _table_by(
        run,
        rows,
        "shots",
        lambda k: f"{count(k)} shot{'s' * (k != 1)}",
        f"Mean {run.metric} in percent, with 95% intervals",
        digits,
    )


def _table_by(run: Run, rows: Rows, by: str, named: Any, caption: str, digits: int) -> Table:
    """Arms as lines, places as columns, the best of every column in bold."""
    places = sorted({row[by] for row in rows if row.get(by) is not None})
    found = {(str(row.get("arm")), row.get(by)): dict(row) for row in rows}
    arms = list(dict.fromkeys(arm for arm, _ in found))
    best = {
        place: max(
            (number(found.get((arm, place), {}).get("mean")) for arm in arms),
            key=lambda mean: -1.0 if mean != mean else mean,
        )
        for place in places
    }
    lines = []
    for arm in arms:
        cells = []
        for place in places:
            row = found.get((arm, place), {})
            cells.append(share(row, "mean", digits, strong=number(row.get("mean")) == best[place]))
        lines.append(Line(arm, cells, "learns from the source" if run.uses_source(arm) else ""))
    return Table(caption, ["arm", *map(named, places)], lines)


def _smallest(run: Run) -> str:
    """What could have been found, in words; empty where it was not reckoned."""
    found = part(run.findings, "smallest_detectable")
    if number(found.get("difference")) != number(found.get("difference")):
        return ""
    digits = decimals([(found["difference"], None, None)])
    times = f", {ratio(found['ratio'])} the baseline," if found.get("ratio") else ""
    return (
        f"With {run.tested} a true difference of {points(found['difference'], digits)[1:]} "
        f"points{times} is found with a probability of 80% "
        f"({shots_told(found.get('shots', 0))}, at the 5% level)."
    )


def _other_metrics(run: Run) -> list[Table]:
    """Tables of the other metrics, of rows that have no level."""
    names = dict.fromkeys(str(row.get("metric")) for row in run.rows)
    tables = []
    for name in names:
        rows = [row for row in run.rows if row.get("metric") == name and row.get("level") is None]
        if not rows:
            continue
        digits = decimals((row.get("mean"), row.get("ci_low"), row.get("ci_high")) for row in rows)
        caption = f"Mean {run.told(name)} in percent, of all who have something left to find"
        tables.append(_table_by(run, rows, "shots", _shots, caption, digits))
    return tables


def _shots(k: int) -> str:
    return f"{count(k)} shot{'s' * (k != 1)}"


def _gain_chart(run: Run, rows: Rows, digits: int) -> Markup:
    columns = [
        [number(row.get(key)) for row in rows]
        for key in ("shots", "difference", "ci_low", "ci_high")
    ]
    told = listed(
        [
            f"{points(row.get('difference'), digits)} points at {count(row.get('shots'))} "
            f"({difference(dict(row), digits).small or 'no interval'})"
            for row in rows
        ]
    )
    return charts.curves(
        "gains",
        f"Line chart of the gain of {run.arm} over the best arm without a source: {told}.",
        [charts.Line(run.arm, "headline", *columns)],
        title=f"gain in {run.metric}, points",
        x_title=f"interactions that {run.people} have in {run.catalogs[1]}",
        ticks=[(number(row.get("shots")), count(row.get("shots"))) for row in rows],
        zero=True,
    )


def _gain_table(run: Run, rows: Rows, digits: int) -> Table:
    lines = [
        Line(
            _shots(row["shots"]),
            [
                plain(row.get("baseline", NOTHING), word=True),
                difference(dict(row), digits),
                _ratio_cell(row),
                plain(_effect(row.get("effect"))),
                plain(p_value(row.get("p"))),
            ],
        )
        for row in rows
    ]
    columns = ["", "against", "difference in points", "ratio", "effect size", "p"]
    return Table(f"Gain of {run.arm} over the best arm without a source", columns, lines)


def _ratio_cell(row: Mapping[str, Any]) -> Cell:
    low, high = row.get("ratio_low"), row.get("ratio_high")
    limits = f"{ratio(low, low, high)} to {ratio(high, low, high)}" if low is not None else ""
    return Cell(ratio(row.get("ratio"), low, high), limits)


def _effect(value: Any) -> str:
    known = number(value)
    return NOTHING if known != known else f"{known:.2f}".replace("-", "\u2212")


def _comparisons(run: Run) -> Table | None:
    """Every arm against the best one without a source, in the main metric."""
    rows = [row for row in run.comparisons if row.get("metric") == run.metric_name]
    if not rows:
        return None
    digits = decimals(
        (row.get("difference"), row.get("ci_low"), row.get("ci_high")) for row in rows
    )
    level = any(row.get("level") is not None for row in rows)
    lines = [
        Line(
            str(row.get("arm")),
            [
                *([plain(_level(run, row.get("level")))] if level else []),
                plain(count(row.get("shots"))),
                plain(row.get("baseline"), word=True),
                difference(row, digits),
                plain(_effect(row.get("effect"))),
                plain(p_value(row.get("p_holm"))),
            ],
        )
        for row in rows
    ]
    columns = ["arm", *(["level"] if level else []), "shots", "against"]
    columns += ["difference in points", "effect size", "p (Holm)"]
    caption = f"Every arm against the best one without a source, {run.metric}"
    return Table(caption, columns, lines)


def _level(run: Run, level: Any) -> str:
    if level is None:
        return NOTHING
    return count(level) if run.protocol == "anchors" else percent(level, 0)


def _launch_chart(run: Run, rows: Rows, shots: int) -> Markup:
    own = [row for row in rows if row.get("shots") == shots]
    levels = sorted({number(row["level"]) for row in own})
    digits = decimals((row.get("mean"), row.get("ci_low"), row.get("ci_high")) for row in own)
    anchors = run.protocol == "anchors"
    told = "; ".join(
        f"{arm} "
        + listed(
            [
                f"{percent(row.get('mean'), digits)} at {_level(run, row['level'])}"
                for row in own
                if row.get("arm") == arm
            ]
        )
        for arm in dict.fromkeys(row.get("arm") for row in own)
    )
    what = "number of anchors" if anchors else "share of the target log"
    return charts.curves(
        f"launch-{shots}",
        f"Line chart of {run.metric} with {shots_told(shots)}, by {what}. {told}.",
        _lines(run, own, "level"),
        title=f"{run.metric} with {shots_told(shots)}, percent",
        x_title=f"{what}, logarithmic",
        ticks=[(level, _level(run, level)) for level in levels],
        log=True,
    )


def _launch_table(run: Run, rows: Rows, shots: int) -> Table:
    own = [row for row in rows if row.get("shots") == shots]
    digits = decimals((row.get("mean"), row.get("ci_low"), row.get("ci_high")) for row in own)
    caption = f"Mean {run.metric} in percent, with {shots_told(shots)}"
    return _table_by(run, own, "level", lambda level: _level(run, level), caption, digits)
