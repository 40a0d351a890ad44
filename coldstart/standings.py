"""Standings: how the arms of a pool did on what was left to find, and against a baseline."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
                    pool.task.n,
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
                Row(
                    arm,
                    k,
                    "coverage",
                    pool.task.n,
                    share,
                    nan,
                    nan,
                    pool.persons(counted),
                    pool.level,
                )
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
    numbers, users = (
        _numbers(pool, shots, baseline, others),
        pool.persons(pool.counted(shots, LEFT)),
    )
    rows = []
    for place, metric in enumerate(METRICS):
        theirs = {name: values[:, place] for name, values in numbers.items()}
        theirs["p_holm"] = holm(theirs["p"])
        rows += [
            Comparison(
                arm=arm,
                baseline=baseline,
                shots=shots,
                metric=metric,
                n=pool.task.n,
                users=users,
                level=pool.level,
                **{name: float(values[row]) for name, values in theirs.items()},
            )
            for row, arm in enumerate(others)
        ]
    return rows


def _numbers(
    pool: Pool, shots: int, baseline: str, others: list[str]
) -> dict[str, NDArray[np.float64]]:
    """What is told of the differences of `others` to the baseline, each (n_others, n_metrics)."""
    counted = pool.counted(shots, LEFT)
    below = np.tile(pool.of_counted(baseline, shots, LEFT), len(others))
    above = np.hstack([pool.of_counted(arm, shots, LEFT) for arm in others])
    differences = above - below
    difference, low, high = pool.summary(differences, counted)
    ratio, ratio_low, ratio_high = pool.ratio(above, below, counted)
    told = {
        "difference": difference,
        "ci_low": low,
        "ci_high": high,
        "p": pool.p_values(differences, counted),
        "ratio": ratio,
        "ratio_low": ratio_low,
        "ratio_high": ratio_high,
        "effect": effect_size(differences),
    }
    return {name: values.reshape(len(others), -1) for name, values in told.items()}
