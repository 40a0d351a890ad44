"""The investigation: what the people of an evaluation say of the arm that would be launched.

All of it is computed on one fixed truth: what the largest number of shots would give back is
reserved for everybody, so that numbers of shots differ by what is known, not by what there is to
find.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from coldstart.effects import effect_size, shares, smallest_detectable
from coldstart.findings import Findings, Gain, Graduation
from coldstart.groups import groups_of
from coldstart.pool import Pool
from coldstart.saved_interactions import saved
from coldstart.sentence import sentence
from coldstart.sitting import FIXED, TWINLESS
from coldstart.statistics import holm

__all__ = ["gains_of", "headline_arm", "investigate", "main_pool"]

LEVEL = 0.05
WORTHWHILE = 0.05  # a gain that would be worth having, as a share of what there is without a source
NORMAL = 1.959964  # standard errors from the mean to a limit of 95%


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


def main_pool(pools: Sequence[Pool], protocol: str) -> Pool:
    """The level that findings are about: of a launch its beginning, of anchors all there are."""
    return pools[-1] if protocol == "anchors" else pools[0]


def investigate(
    pools: Sequence[Pool], protocol: str, names: tuple[str, str], side: str
) -> Findings | None:
    """What the people of the main pool say of the headline arm, and what the others add; None
    where there is nothing to compare, or nobody with anything to find.

    `names` are those of source and target in words.
    """
    pool = main_pool(pools, protocol)
    arm, first, most = headline_arm(pool), pool.shots[0], pool.shots[-1]
    baseline, users = pool.baseline(first), pool.persons(pool.counted(most, FIXED))
    if arm is None or baseline is None or users < 2:
        return None
    gains, levels = gains_of(pool, arm, FIXED), _levels(pools, arm)
    fair = _gain(pool, arm, first, FIXED, baseline)
    curve = _curve(pool, FIXED)
    found = Findings(
        sentence="",
        answer=_whole_answer(protocol, levels, _answer(gains, fair)),
        protocol=protocol,
        level=pool.level,
        arm=arm,
        metric=pool.task.metric,
        n=pool.task.n,
        shots=pool.shots,
        reserved=most,
        users=users,
        left_out=len(np.unique(pool.people)) - users,
        curve=curve,
        gains=gains,
        fair=fair,
        saved=saved(pool, arm, {gain.shots: gain.baseline for gain in gains}),
        graduation=Graduation.of(gains),
        groups=groups_of(pool, arm, first, gains[0].baseline),
        lists=_lists(pool),
        levels=levels,
        without_twins=_without_twins(pool, arm),
        smallest_detectable=_smallest(gains[0], curve),
    )
    return replace(found, sentence=sentence(found, names[1], side))


def _levels(pools: Sequence[Pool], arm: str) -> list[dict[str, Any]]:
    """The gain at the fewest shots, for each level."""
    return [
        {"level": pool.level, **asdict(_over_strongest(pool, arm, pool.shots[0], FIXED))}
        for pool in pools
        if pool.level is not None and arm in pool.arms
    ]


def gains_of(pool: Pool, arm: str, truth: str) -> list[Gain]:
    """Of an arm over the strongest one without a source, at every number of shots."""
    return [_over_strongest(pool, arm, shots, truth) for shots in pool.shots]


def _over_strongest(pool: Pool, arm: str, shots: int, truth: str) -> Gain:
    return _gain(pool, arm, shots, truth, pool.strongest(shots, truth) or "")


def _gain(pool: Pool, arm: str, shots: int, truth: str, baseline: str) -> Gain:
    counted = pool.counted(shots, truth)
    above, below = (pool.main(one, shots, truth) for one in (arm, baseline))
    difference = above - below
    mean, low, high = pool.summary(difference, counted)
    ratio, ratio_low, ratio_high = pool.ratio(above, below, counted)
    gain, lose, unchanged = shares(difference)
    numbers = (mean, low, high, ratio, ratio_low, ratio_high, effect_size(difference))
    more = (pool.p_values(difference, counted), gain, lose, unchanged)
    return Gain(shots, baseline, *(float(number[0]) for number in (*numbers, *more)))


def _answer(gains: Sequence[Gain], fair: Gain) -> str:
    """Whether the arm gains at the fewest shots, by p values corrected over the numbers of shots.

    A gain must be one over the strongest arm without a source. That one was picked by the people
    who are tested, so a loss, and what is excluded, are read off the difference to the arm that
    other people picked (`fair`).
    """
    corrected = holm([gain.p for gain in gains])
    if corrected[0] <= LEVEL and gains[0].difference > 0:
        return "gain"
    if fair.p <= LEVEL and fair.difference < 0:
        return "loss"
    known = math.isfinite(fair.ratio_high)
    excluded = fair.ratio_high < 1 + WORTHWHILE if known else fair.ci_high <= 0
    return "no gain" if excluded else "undecided"


def _whole_answer(protocol: str, levels: Sequence[dict[str, Any]], main: str) -> str:
    """Of all levels together, by p values corrected over them; none of sampled negatives."""
    if protocol == "sampled":
        return "biased"
    corrected = holm([level["p"] for level in levels])
    certain = {
        level["difference"] > 0
        for level, p in zip(levels, corrected, strict=True)
        if p <= LEVEL and level["difference"]
    }
    if len(certain) == 2:
        return "depends"
    return main if not certain else ("gain" if certain.pop() else "loss")


def _curve(pool: Pool, truth: str) -> list[dict[str, Any]]:
    """Mean of every arm at every number of shots, with its limits."""
    rows = []
    for arm in pool.arms:
        for shots in pool.shots:
            counted = pool.counted(shots, truth)
            found = pool.summary(pool.main(arm, shots, truth), counted)
            mean, low, high = (float(part[0]) for part in found)
            rows.append(
                {
                    "arm": arm,
                    "shots": shots,
                    "mean": mean,
                    "ci_low": low,
                    "ci_high": high,
                    "users": pool.persons(counted),
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
        "gains": [asdict(gain) for gain in gains_of(pool, arm, TWINLESS)],
    }


def _smallest(gain: Gain, curve: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The gain that would have been seen with a power of 80%; `curve` has the baseline's mean."""
    smallest = float(smallest_detectable((gain.ci_high - gain.ci_low) / (2 * NORMAL)))
    (mean,) = (
        row["mean"] for row in curve if (row["arm"], row["shots"]) == (gain.baseline, gain.shots)
    )
    ratio = 1 + smallest / mean if mean > 0 else math.nan
    return {"shots": gain.shots, "difference": smallest, "ratio": ratio}
