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

STRONG = ("popularity", "mean-prior")  # arms without a source that are seldom both weak


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
    told.append(_baselines(pool))
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


def _baselines(pool: Pool) -> Check:
    """Whether the arms without a source are worth beating."""
    without = [arm for arm in pool.arms if not pool.uses_source(arm)]
    missing = [arm for arm in STRONG if arm not in without]
    numbers = {"without_source": len(without)}
    if not missing:
        text = f"The source is compared with {', '.join(without)}, each tuned as hard."
        return Check("baselines", "ok", text, numbers)
    text = (
        f"{' and '.join(missing)} {'was' if len(missing) == 1 else 'were'} not run: without the "
        "usual arms that know no source a gain may be one over a weak rival."
    )
    return Check("baselines", "warning", text, numbers)


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
