"""The results of an evaluation or a benchmark as tables for a terminal."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from coldstart.catchup import CatchUp, Duel, Point
    from coldstart.results import Comparison, Results, Row
    from coldstart.side_by_side import Pair, SideBySide

__all__ = ["show", "show_catch_up", "show_side_by_side"]

NO_VERDICT = (
    "no verdict: that takes an arm that learns from the source, one that does not, and people with "
    "something left to find at the largest number of shots"
)
_LEVELS = " .:-=+*#"  # of a curve, from nothing to the best of both sides
_WIDTH = 60
_LEVEL = {"launch": "share of the target log:", "anchors": "people in both catalogs:"}
_INSTANT = 0.001  # seconds; a curve does not begin before


def show(results: Results) -> None:
    """Print the tables; where no terminal limits it, a line is as long as it must be."""
    config = results.config
    console = _console()
    verdict = NO_VERDICT if results.findings is None else results.findings["sentence"]
    console.print(verdict, soft_wrap=True)
    for line in results.warnings():
        console.print(line, soft_wrap=True)
    console.print(
        f"{config['metric']}@{config['n']} in percent with 95% intervals, "
        f"{_tested(config)}; * learns from the source"
    )
    levels: list[float | None] = [*results.levels()] or [None]
    for level in levels:
        if level is not None:
            console.print(f"{_LEVEL[config['protocol']]} {level:g}")
        console.print(_means(results, level))
    for sentence in results.unavailable():
        console.print(sentence, soft_wrap=True)
    if results.comparisons:
        console.print(
            "difference to the best arm without a source, in points, and ratio of means; effect in "
            f"standard deviations; p of {results.test}, corrected over arms (Holm)"
        )
        for level in levels:
            if level is not None:
                console.print(f"{_LEVEL[config['protocol']]} {level:g}")
            console.print(_differences(results, level))
    if results.mixed is not None:
        console.print(_mixed(results.mixed))


def _tested(config: Mapping[str, Any]) -> str:
    """How many were tested, and how often where that is more."""
    told = f"{config['test']} held-out {config['side']}"
    often = config.get("measured", config["test"])
    return told if often == config["test"] else f"{told}, measured {often} times"


def show_side_by_side(found: SideBySide) -> None:
    """Print two evaluations, arm by arm."""
    console = _console()
    one, other, both = found.people
    for name, verdict in zip(("first", "second"), found.verdicts, strict=True):
        console.print(f"{name}: {verdict}", soft_wrap=True)
    console.print(
        f"{found.metric} in percent of {both} people in both runs (of {one} and {other}), the "
        "second less the first with 95% intervals; p of sign flips, corrected (Holm)"
    )
    table = _empty_table(["arm", "level", "shots"], ["first", "second", "difference", "p"])
    for pair in found.pairs:
        level = "" if pair.level is None else f"{pair.level:g}"
        means = (f"{100 * mean:.2f}" for mean in (pair.first, pair.second))
        difference = _cell(pair.difference, pair, sign="+")
        p = "-" if math.isnan(pair.p_holm) else f"{pair.p_holm:.2g}"
        table.add_row(pair.arm, level, str(pair.shots), *means, difference, p)
    console.print(table)
    for note in found.notes:
        console.print(f"note: {note}", soft_wrap=True)


def show_catch_up(results: CatchUp) -> None:
    """Print seconds to quality, interactions to catch up, and a curve over time."""
    config, people = results.config, results.people
    console = _console()
    console.print(
        f"{config['metric']}@{config['n']} in percent with 95% intervals, {people['measured']} "
        f"held-out {config['side']} ({people['left_out']} with nothing left to find left out)"
    )
    console.print("seconds until 95% of the cold model's best quality")
    console.print(_duels(results))
    console.print(_caught_up(results), soft_wrap=True)
    for line in _curves(results):
        console.print(line, soft_wrap=True)


def _console() -> Console:
    from rich.console import Console

    width = None if sys.stdout.isatty() else 200
    return Console(file=sys.stdout, width=width, highlight=False, markup=False)


def _empty_table(left: Sequence[str], right: Sequence[str]) -> Table:
    """Words on the left, numbers on the right."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for column in left:
        table.add_column(column)
    for column in right:
        table.add_column(column, justify="right")
    return table


def _means(results: Results, level: float | None) -> Table:
    """Arms as rows, shots as columns, the best of every column in bold."""
    from rich.text import Text

    config = results.config
    rows = {
        (row.arm, row.shots): row
        for row in results.rows
        if (row.metric, row.level) == (config["metric"], level)
    }
    best = {
        k: max((rows[arm, k].mean for arm in config["arms"]), default=0.0) for k in config["shots"]
    }
    table = _empty_table(["arm"], ["1 shot" if k == 1 else f"{k} shots" for k in config["shots"]])
    for arm in config["arms"]:
        name = f"{arm} *" if config["uses_source"][arm] else arm
        line = [rows[arm, k] for k in config["shots"]]
        table.add_row(
            Text(name),
            *(
                Text(_cell(row.mean, row), style="bold" if row.mean == best[row.shots] else "")
                for row in line
            ),
        )
    return table


def _differences(results: Results, level: float | None) -> Table:
    """Every arm against the best one without a source, one section for each number of shots."""
    from rich.text import Text

    config = results.config
    table = _empty_table(["shots", "arm", "against"], ["difference", "ratio", "effect", "p"])
    for k in config["shots"]:
        for row in results.comparisons:
            if (row.shots, row.metric, row.level) == (k, config["metric"], level):
                difference = _cell(row.difference, row, sign="+")
                ratio, effect = _plain(row.ratio, ".2f"), _plain(row.effect, "+.2f")
                p = _plain(row.p_holm, ".2g")
                cells = str(k), row.arm, row.baseline, difference, ratio, effect, p
                table.add_row(*map(Text, cells))
        table.add_section()
    return table


def _mixed(found: Mapping[str, Any]) -> Table:
    """New rows beside known ones."""
    names = ("recall_new", "recall_known", "loss_known", "new_share", "truth_share")
    titles = ["recall of new", "recall of known", "loss of known", "share of places", "of truth"]
    table = _empty_table(["arm", "shots"], [*titles, "calibration"])
    for row in found["rows"]:
        cells = (f"{100 * row[name]:.1f}" for name in names)
        table.add_row(row["arm"], str(row["shots"]), *cells, f"{row['calibration']:.2f}")
    return table


def _plain(value: float, form: str) -> str:
    return "-" if math.isnan(value) else f"{value:{form}}"


def _duels(results: CatchUp) -> Table:
    """Both sides for each number of shots."""
    numbers = ["popularity", "cold at its best", "warm", "difference"]
    seconds = ["cold s", "warm s", "and source", "warm / cold"]
    table = _empty_table(["shots"], [*numbers, *seconds])
    for duel in results.duels:
        k = duel.shots
        popular = next(p for p in results.popularity if p.shots == k)
        cold = next(p for p in results.cold if (p.sweep, p.shots) == (duel.best_sweep, k))
        warm = next(p for p in results.warm if p.shots == k)
        table.add_row(
            str(k),
            _cell(popular.quality, popular),
            f"{_cell(cold.quality, cold)} {_model(cold)}",
            _cell(warm.quality, warm),
            _cell(duel.difference, duel, sign="+"),
            _number(duel.cold_seconds),
            _number(duel.warm_seconds, "never"),
            _number(duel.warm_and_source_seconds, "never"),
            _number(duel.ratio),
        )
    return table


def _model(point: Point) -> str:
    return f"sweep {point.sweep}" if point.sweep else "popularity"


def _number(value: float | None, otherwise: str = "-") -> str:
    return otherwise if value is None else f"{value:.2f}"


def _caught_up(results: CatchUp) -> str:
    needed, most = results.catch_up, max(results.config["shots"])
    return "interactions until the cold side is as good as the warm one without any: " + (
        f"more than {most}" if needed is None else str(needed)
    )


def _curves(results: CatchUp) -> list[str]:
    """The best quality so far over time, a line for each side and number of shots."""
    points = (*results.cold, *results.warm)
    ends = _span([point.seconds for point in points])
    top = max(point.quality for point in points) or 1.0
    lines = [
        f"quality after {ends[0]:.2g} to {ends[-1]:.2g} s, in equal ratios; "
        f"'{_LEVELS[-1]}' is {100 * top:.1f}"
    ]
    for k in results.config["shots"]:
        for name, side in (("cold", results.cold), ("warm", results.warm)):
            curve = _curve([point for point in side if point.shots == k], ends, top)
            lines.append(f"{name}, shots {k:>3} |{curve}|")
    return lines


def _span(seconds: Sequence[float]) -> list[float]:
    """Times from the first of `seconds` to the last, each the same multiple of the one before."""
    first, last = max(min(seconds), _INSTANT), max(*seconds, 2 * _INSTANT)
    ratio = (last / first) ** (1 / (_WIDTH - 1))
    return [*(first * ratio**place for place in range(_WIDTH - 1)), last]


def _curve(points: Sequence[Point], ends: Sequence[float], top: float) -> str:
    """One level for each time, that of the best quality until then."""
    best = [max((p.quality for p in points if p.seconds <= end), default=0.0) for end in ends]
    return "".join(_LEVELS[round((len(_LEVELS) - 1) * quality / top)] for quality in best)


def _cell(value: float, row: Row | Comparison | Point | Duel | Pair, *, sign: str = "") -> str:
    """A share in percent and its interval; a dash where nobody had anything left to find."""
    if math.isnan(value):
        return "-"
    return f"{100 * value:{sign}.1f} [{100 * row.ci_low:.1f},{100 * row.ci_high:.1f}]"
