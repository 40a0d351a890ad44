"""Conditions: what is to be said of the data of an evaluation, and of the test that it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coldstart.findings import Findings
from coldstart.hygiene import Check, checks, size_check, time_check
from coldstart.interactions import Interactions
from coldstart.pool import Pool
from coldstart.protocols import Hiding, Launch, Temporal
from coldstart.sitting import Sitting

__all__ = ["conditions"]


def conditions(
    pool: Pool,
    protocol: Hiding,
    source: Interactions,
    target: Interactions,
    found: Findings | None,
) -> list[Check]:
    """What is to be said of the data and of this test of them."""
    sitting = pool.sittings[0]
    told = checks(source, target, side=sitting.task.side)
    times = _test_times(sitting, protocol, source, target)
    told += filter(None, [time_check(sitting.split.source, times)])
    if found is not None:
        gain = found.gains[0]
        told.append(
            size_check(
                found.users,
                f"{found.metric}@{found.n}",
                found.mean(gain.baseline, gain.shots),
                gain.difference,
                gain.ci_low,
                gain.ci_high,
                found.smallest_detectable["difference"],
            )
        )
    return told


def _test_times(
    sitting: Sitting, protocol: Hiding, source: Interactions, target: Interactions
) -> NDArray[np.int64] | None:
    """When what was to be found took place; None where nobody knows."""
    if target.timestamps is None or isinstance(protocol, Launch):
        return None
    rows = np.repeat(np.arange(len(target.users)), np.diff(target.user_items.indptr))
    theirs = target.timestamps[np.isin(rows, sitting.split.test.held.rows)]
    if isinstance(protocol, Temporal):
        return theirs[theirs >= protocol.cuts(source, target)[0]]
    return theirs
