"""Interactions saved: how many of them the best arm without a source needs to catch up."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from coldstart.findings import Saved
from coldstart.pool import Pool
from coldstart.sitting import FIXED
from coldstart.statistics import resampled_means

__all__ = ["saved"]

RESAMPLES = 2000

Floats = NDArray[np.float64]


def saved(pool: Pool, arm: str, baselines: Mapping[int, str]) -> Saved:
    """Read off the curves on the fixed truth."""
    shots = np.array(pool.shots, float)
    first, last = pool.shots[0], pool.shots[-1]
    columns = [pool.main(arm, first, FIXED)]
    columns += [pool.main(baselines[k], k, FIXED) for k in pool.shots]
    columns.append(np.ones_like(columns[0]))
    # sums of each person, who may be there once with every seed, and how often that is
    sums = _summed(np.hstack(columns), pool.people[pool.counted(last, FIXED)])
    drawn = resampled_means(sums, RESAMPLES, np.random.default_rng(pool.seed))
    whole = np.vstack([sums.mean(axis=0), drawn])
    means = whole[:, :-1] / whole[:, -1:]  # (1 + RESAMPLES, 1 + n_shots)
    needed = np.array([_caught_up(shots, row[1:], row[0]) for row in means])
    rising = np.sort(needed[1:])  # some may be infinite: nothing lies between them
    limits = (rising[round(share * (RESAMPLES - 1))] for share in (0.025, 0.975))
    point, low, high = (None if np.isinf(x) else float(x) for x in (needed[0], *limits))
    caught = last if point is None else min(k for k in pool.shots if k >= point)
    return Saved(point, low, high, last if point is None else None, baselines[caught])


def _summed(values: Floats, people: NDArray[np.int64]) -> Floats:
    """Sums (n_people, n_columns) of the values (n, n_columns) of each person."""
    numbers = np.unique(people, return_inverse=True)[1]
    if len(people) == numbers.max() + 1:
        return values
    return np.stack([np.bincount(numbers, column) for column in values.T], axis=1)


def _caught_up(shots: Floats, curve: Floats, wanted: float) -> float:
    """Where a curve over shots first reaches what is wanted; infinite where it does not."""
    reached = np.flatnonzero(curve >= wanted)
    if not len(reached):
        return float("inf")
    place = int(reached[0])
    if not place:
        return float(shots[0])
    below, above = curve[place - 1], curve[place]
    part = (wanted - below) / (above - below)
    return float(shots[place - 1] + part * (shots[place] - shots[place - 1]))
