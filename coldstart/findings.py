"""Findings: whether the gain is real, for whom, and from how many interactions on it is over.

All of it is computed on one fixed truth: what the largest number of shots would give back is
reserved for everybody, so that numbers of shots differ by what is known, not by what there is to
find.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldstart.effects import effect_size, shares, smallest_detectable
from coldstart.groups import groups_of
from coldstart.hygiene import Check, checks, size_check, time_check
from coldstart.interactions import Interactions
from coldstart.metrics import METRICS
from coldstart.pool import Pool
from coldstart.protocols import Hiding, Temporal
from coldstart.saved_interactions import Saved, saved
from coldstart.sentence import sentence
from coldstart.sitting import FIXED, TWINLESS, Sitting
from coldstart.statistics import holm

__all__ = [
    "Findings",
    "Gain",
    "Graduation",
    "all_checks",
    "find_gains",
    "headline_arm",
    "investigate",
]

LEVEL = 0.05


@dataclass(frozen=True)
class Gain:
    """How much better the people were served than by the best arm without a source.

    `ratio` is that of the means, `effect` the mean difference in standard deviations, and `gain`,
    `lose` and `unchanged` are shares of the people. `p` is of paired randomisation.
    """

    shots: int
    baseline: str
    difference: float
    ci_low: float
    ci_high: float
    ratio: float
    ratio_low: float
    ratio_high: float
    effect: float
    p: float
    gain: float
    lose: float
    unchanged: float


@dataclass(frozen=True)
class Graduation:
    """From how many interactions on the prior does not help any more.

    `helps_until` is the largest tested number up to which the lower limit is above 0 everywhere
    (None: not even without any), `shots` the next tested one, None where it helps at all of them,
    which is `more_than`.
    """

    shots: int | None
    helps_until: int | None
    more_than: int | None

    @classmethod
    def of(cls, gains: Sequence[Gain]) -> Graduation:
        """Read off the gains, by rising shots."""
        until = None
        for gain in gains:
            if not gain.ci_low > 0:
                return cls(gain.shots, until, None)
            until = gain.shots
        return cls(None, until, until)


@dataclass(frozen=True)
class Findings:
    """What an evaluation found of one arm with a source; the other fields are plain values."""

    sentence: str
    answer: str
    protocol: str
    arm: str
    metric: str
    n: int
    shots: tuple[int, ...]
    reserved: int
    users: int
    curve: list[dict[str, Any]]
    gains: list[Gain]
    saved: Saved
    graduation: Graduation
    groups: list[dict[str, Any]]
    lists: list[dict[str, Any]]
    levels: list[dict[str, Any]]
    without_twins: dict[str, Any] | None
    smallest_detectable: dict[str, float]

    @property
    def shown(self) -> list[str]:
        """Arms whose lists are worth looking at: the baseline of the fewest shots, and the arm."""
        return list(dict.fromkeys([self.gains[0].baseline, self.arm]))

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``results.json``."""
        baseline = {str(gain.shots): gain.baseline for gain in self.gains}
        return {**asdict(self), "baseline": baseline}


def headline_arm(pool: Pool) -> str | None:
    """The arm with a source that findings are about: "auto", else the warm one, else any, that was
    best for the validation people at the fewest shots.
    """
    using = [arm for arm in pool.arms if pool.uses_source(arm)]
    if "auto" in using:
        return "auto"
    warm = [arm for arm in using if arm.startswith("warm:")]
    first = pool.shots[0]
    return max(warm or using, key=lambda arm: pool.validation(arm, first), default=None)


def investigate(
    pools: Sequence[Pool], protocol: str, names: tuple[str, str], side: str
) -> Findings | None:
    """What the people of the first pool say of the headline arm, and what the others add; None
    where there is nothing to compare, or nobody with anything to find.

    `names` are those of source and target in words.
    """
    pool = pools[0]
    arm = headline_arm(pool)
    task = pool.sittings[0].task
    if arm is None or pool.baseline(pool.shots[0]) is None:
        return None
    if pool.counted(pool.shots[-1], FIXED).sum() < 2:
        return None
    gains = find_gains(pool, arm, FIXED)
    found = Findings(
        sentence="",
        answer=_answer(gains),
        protocol=protocol,
        arm=arm,
        metric=task.metric,
        n=task.n,
        shots=pool.shots,
        reserved=pool.shots[-1],
        users=int(pool.counted(pool.shots[-1], FIXED).sum()),
        curve=_curve(pool, FIXED),
        gains=gains,
        saved=saved(pool, arm, {gain.shots: gain.baseline for gain in gains}),
        graduation=Graduation.of(gains),
        groups=groups_of(pool, arm, gains[0].shots, gains[0].baseline),
        lists=_lists(pool),
        levels=_levels(pools, arm),
        without_twins=_without_twins(pool, arm),
        smallest_detectable=_smallest(pool, arm, gains[0].baseline),
    )
    return replace(found, sentence=sentence(found, names[1], side))


def _levels(pools: Sequence[Pool], arm: str) -> list[dict[str, Any]]:
    """The gain at the fewest shots, for each level."""
    return [
        {"level": pool.level, **asdict(_gain(pool, arm, pool.shots[0], FIXED))}
        for pool in pools
        if pool.level is not None and arm in pool.arms
    ]


def find_gains(pool: Pool, arm: str, truth: str) -> list[Gain]:
    """Of an arm over the best one without a source, at every number of shots."""
    return [_gain(pool, arm, shots, truth) for shots in pool.shots]


def _gain(pool: Pool, arm: str, shots: int, truth: str) -> Gain:
    baseline = pool.baseline(shots) or ""
    counted = pool.counted(shots, truth)
    above, below = (_main(pool, one, shots, truth) for one in (arm, baseline))
    difference = above - below
    mean, low, high = pool.summary(difference, counted)
    ratio, ratio_low, ratio_high = pool.ratio(above, below)
    gain, lose, unchanged = shares(difference)
    numbers = (mean, low, high, ratio, ratio_low, ratio_high, effect_size(difference))
    more = (pool.p_values(difference, counted), gain, lose, unchanged)
    return Gain(shots, baseline, *(float(number[0]) for number in (*numbers, *more)))


def _main(pool: Pool, arm: str, shots: int, truth: str) -> NDArray[np.float64]:
    """The metric (n_counted, 1) that arms are compared by."""
    place = list(METRICS).index(pool.sittings[0].task.metric)
    return pool.of_counted(arm, shots, truth)[:, [place]]


def _answer(gains: Sequence[Gain]) -> str:
    """By p values corrected over the numbers of shots, and what is excluded at the fewest."""
    corrected = holm([gain.p for gain in gains])
    if corrected[0] <= LEVEL:
        return "gain" if gains[0].difference > 0 else "loss"
    first = gains[0]
    excluded = math.isfinite(first.ratio_high) and first.ratio_high < 1 + WORTHWHILE
    return "no gain" if excluded or first.difference <= 0 else "undecided"


WORTHWHILE = 0.05  # a gain that would be worth having, as a share of what there is without a source


def _curve(pool: Pool, truth: str) -> list[dict[str, Any]]:
    """Mean of every arm at every number of shots, with its limits."""
    rows = []
    for arm in pool.arms:
        for shots in pool.shots:
            counted = pool.counted(shots, truth)
            found = pool.summary(_main(pool, arm, shots, truth), counted)
            mean, low, high = (float(part[0]) for part in found)
            rows.append(
                {
                    "arm": arm,
                    "shots": shots,
                    "mean": mean,
                    "ci_low": low,
                    "ci_high": high,
                    "users": int(counted.sum()),
                    "uses_source": pool.uses_source(arm),
                }
            )
    return rows


def _lists(pool: Pool) -> list[dict[str, Any]]:
    """How much of the catalog is listed, and how popular that is, beside the truth."""
    truth = pool.truth_popularity()
    return [
        {
            "arm": arm,
            "shots": shots,
            "coverage": pool.coverage(arm, shots, FIXED),
            "popularity": pool.popularity(arm, shots),
            "truth_popularity": truth,
        }
        for arm in pool.arms
        for shots in pool.shots
    ]


def _without_twins(pool: Pool, arm: str) -> dict[str, Any] | None:
    """The same where cross-listed columns are neither listed nor right; None without any."""
    if (pool.shots[0], TWINLESS) not in pool.served(arm)[0].lists:
        return None
    if pool.counted(pool.shots[-1], TWINLESS).sum() < 2:
        return None
    return {
        "columns": len(pool.sittings[0].twins),
        "curve": _curve(pool, TWINLESS),
        "gains": [asdict(gain) for gain in find_gains(pool, arm, TWINLESS)],
    }


def _smallest(pool: Pool, arm: str, baseline: str) -> dict[str, float]:
    """The gain that would have been seen with a power of 80%, at the fewest shots."""
    shots = pool.shots[0]
    above, below = (_main(pool, one, shots, FIXED) for one in (arm, baseline))
    counted = pool.counted(shots, FIXED)
    _, low, high = pool.summary(above - below, counted)
    error = (high - low) / (2 * NORMAL)
    smallest = float(smallest_detectable(error)[0])
    mean = float(below.mean())
    ratio = 1 + smallest / mean if mean > 0 else math.nan
    return {"shots": shots, "difference": smallest, "ratio": ratio}


NORMAL = 1.959964  # standard errors from the mean to a limit of 95%


def all_checks(
    pools: Sequence[Pool],
    protocols: Sequence[Hiding],
    source: Interactions,
    target: Interactions,
    found: Findings | None,
) -> list[Check]:
    """What is to be said of the data and of this test of them."""
    sitting = pools[0].sittings[0]
    told = checks(source, target, side=sitting.task.side)
    times = _test_times(sitting, protocols[0], source, target)
    told += filter(None, [time_check(sitting.split.source, times)])
    if found is not None:
        gain = found.gains[0]
        below = _main(pools[0], gain.baseline, gain.shots, FIXED)
        told.append(
            size_check(
                found.users,
                f"{found.metric}@{found.n}",
                float(below.mean()),
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
    if target.timestamps is None:
        return None
    rows = np.repeat(np.arange(len(target.users)), np.diff(target.user_items.indptr))
    theirs = target.timestamps[np.isin(rows, sitting.split.test.held.rows)]
    if isinstance(protocol, Temporal):
        return theirs[theirs >= protocol.cuts(source, target)[0]]
    return theirs
