"""Standings: how the arms of a pool did on what was left to find, and against a baseline."""

from __future__ import annotations

import numpy as np

from coldstart.effects import effect_size
from coldstart.metrics import METRICS
from coldstart.pool import Pool
from coldstart.results import Comparison, Row
from coldstart.sitting import LEFT
from coldstart.statistics import holm

__all__ = ["comparisons_of", "rows_of"]


def rows_of(pool: Pool) -> list[Row]:
    """Every arm, metric and number of shots, by what was left to find."""
    rows = {}
    task = pool.sittings[0].task
    for k in pool.shots:
        counted = pool.counted(k, LEFT)
        values = np.hstack([pool.of_counted(arm, k, LEFT) for arm in pool.arms])
        found = (part.reshape(len(pool.arms), -1) for part in pool.summary(values, counted))
        for arm, *parts in zip(pool.arms, *found, strict=True):
            rows[arm, k] = [
                Row(
                    arm,
                    k,
                    name,
                    task.n,
                    float(mean),
                    float(low),
                    float(high),
                    pool.persons(counted),
                    pool.level,
                )
                for name, mean, low, high in zip(METRICS, *parts, strict=True)
            ]
            share, nan = pool.coverage(arm, k), float("nan")
            rows[arm, k].append(
                Row(arm, k, "coverage", task.n, share, nan, nan, pool.persons(counted), pool.level)
            )
    return [row for arm in pool.arms for k in pool.shots for row in rows[arm, k]]


def comparisons_of(pool: Pool) -> list[Comparison]:
    """Every arm against the arm without a source that was best on the validation people."""
    return [row for k in pool.shots for row in _compared(pool, k)]


def _compared(pool: Pool, shots: int) -> list[Comparison]:
    baseline = pool.baseline(shots)
    others = [arm for arm in pool.arms if arm != baseline]
    if baseline is None or not others:
        return []
    counted, n_metrics = pool.counted(shots, LEFT), len(METRICS)
    below = np.tile(pool.of_counted(baseline, shots, LEFT), len(others))
    above = np.hstack([pool.of_counted(arm, shots, LEFT) for arm in others])
    differences = above - below
    numbers = np.stack(
        [
            *pool.summary(differences, counted),
            pool.p_values(differences, counted),
            *pool.ratio(above, below, counted),
            effect_size(differences),
        ]
    ).reshape(8, len(others), n_metrics)
    rows = []
    for place, name in enumerate(METRICS):
        corrected = holm(numbers[3, :, place])
        for arm, found, p_holm in zip(
            others, numbers[:, :, place].T.tolist(), corrected, strict=True
        ):
            difference, low, high, p, ratio, ratio_low, ratio_high, effect = found
            rows.append(
                Comparison(
                    arm=arm,
                    baseline=baseline,
                    shots=shots,
                    metric=name,
                    n=pool.sittings[0].task.n,
                    difference=difference,
                    ci_low=low,
                    ci_high=high,
                    p=p,
                    p_holm=float(p_holm),
                    users=pool.persons(counted),
                    ratio=ratio,
                    ratio_low=ratio_low,
                    ratio_high=ratio_high,
                    effect=effect,
                    level=pool.level,
                )
            )
    return rows
