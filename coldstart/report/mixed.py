"""New items among known ones in every list: recall on the new, loss on the known, calibration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from coldstart.report.run import Run, parts
from coldstart.report.table import Cell, Line, Table, plain, share
from coldstart.report.wording import NOTHING, count, number

__all__ = ["mixed"]

_TITLES = {
    "recall_new": "recall of new",
    "recall_known": "recall of known",
    "loss_known": "loss on known",
    "new_share": "new in lists",
    "truth_share": "new in the truth",
    "calibration": "calibration",
}


def mixed(run: Run) -> Table | None:
    """A line for every arm and number of shots; None where that protocol was not run."""
    rows = parts(run.values.get("mixed"), "rows")
    names = [name for name in _TITLES if any(row.get(name) is not None for row in rows)]
    if not names:
        return None
    lines = [
        Line(
            str(row.get("arm")),
            [plain(count(row.get("shots"))), *(_cell(row, name) for name in names)],
        )
        for row in rows
    ]
    caption = f"New {run.people} among known ones, lists of {run.n}; shares in percent"
    return Table(caption, ["arm", "shots", *(_TITLES[name] for name in names)], lines)


def _cell(row: Mapping[str, Any], name: str) -> Cell:
    if name == "calibration":
        known = number(row[name]) if name in row else math.nan
        return plain(NOTHING if math.isnan(known) else f"{known:.2f}")
    limits = {"ci_low": row.get(f"{name}_low"), "ci_high": row.get(f"{name}_high")}
    return share({name: row.get(name), **limits}, name, 1)
