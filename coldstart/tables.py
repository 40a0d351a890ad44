"""The results of an evaluation as tables for a terminal."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from coldstart.results import Comparison, Results, Row

__all__ = ["show"]


def show(results: Results) -> None:
    """Print the tables; where no terminal limits it, a line is as long as it must be."""
    from rich.console import Console

    config = results.config
    width = None if sys.stdout.isatty() else 200
    console = Console(file=sys.stdout, width=width, highlight=False, markup=False)
    console.print(
        f"{config['metric']}@{config['n']} in percent with 95% intervals, "
        f"{config['test']} held-out {config['side']}; * learns from the source"
    )
    console.print(_means(results))
    if results.comparisons:
        console.print(
            "difference to the best arm without a source, in points; "
            "p of sign flips, corrected over arms (Holm)"
        )
        console.print(_differences(results))


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


def _means(results: Results) -> Table:
    """Arms as rows, shots as columns, the best of every column in bold."""
    from rich.text import Text

    config = results.config
    rows = {(row.arm, row.shots): row for row in results.rows if row.metric == config["metric"]}
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


def _differences(results: Results) -> Table:
    """Every arm against the best one without a source, one section for each number of shots."""
    from rich.text import Text

    config = results.config
    table = _empty_table(["shots", "arm", "against"], ["difference", "p"])
    for k in config["shots"]:
        for row in results.comparisons:
            if (row.shots, row.metric) == (k, config["metric"]):
                difference = _cell(row.difference, row, sign="+")
                p = "-" if math.isnan(row.p_holm) else f"{row.p_holm:.2g}"
                cells = str(k), row.arm, row.baseline, difference, p
                table.add_row(*map(Text, cells))
        table.add_section()
    return table


def _cell(value: float, row: Row | Comparison, *, sign: str = "") -> str:
    """A share in percent and its interval; a dash where nobody had anything left to find."""
    if math.isnan(value):
        return "-"
    return f"{100 * value:{sign}.1f} [{100 * row.ci_low:.1f},{100 * row.ci_high:.1f}]"
