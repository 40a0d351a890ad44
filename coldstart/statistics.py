"""Resampled people and signs: a person is the unit, whatever was averaged within one.

Every function takes a matrix of people by columns (a column is an arm, a metric, a paired
difference) and treats its columns at once: the columns share their resamples, so they stay paired.
Memory is bounded, for resamples are drawn in blocks.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from coldstart.threads import one_blas_thread

__all__ = [
    *("ROUNDING", "Rng", "bca_limits", "bootstrap_interval", "check_confidence"),
    *("holm", "people_by_columns", "resampled_means", "sign_flip_p"),
]

Rng = int | np.random.Generator | None
"""Seed or generator of what is drawn."""

ROUNDING = 1e-12  # sums closer than this share of the absolute sum are ties
_DRAWS_PER_BLOCK = 1 << 18
_SIGNS_PER_BLOCK = 1 << 20  # cheaper: a bit each, a float64 when they are summed up


def bootstrap_interval(
    values: ArrayLike, *, confidence: float = 0.95, resamples: int = 2000, rng: Rng = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Bias-corrected and accelerated bootstrap interval of the mean over people.

    With G the distribution of the resampled means :math:`m^*`, each limit is

    .. math:: G^{-1}\Big(\Phi\Big(z_0 + \frac{z_0 + z}{1 - a (z_0 + z)}\Big)\Big), \quad
              z_0 = \Phi^{-1}\big(P(m^* < m) + \tfrac12 P(m^* = m)\big), \quad
              a = \frac{\sum_i (x_i - m)^3}{6 \big(\sum_i (x_i - m)^2\big)^{3/2}}

    with z the normal quantile of that limit. The acceleration a is the jackknife's, which for a
    mean has this closed form: one pass over the people, however many there are.

    Parameters
    ----------
    values : array of shape (n_people, n_columns)
        One number per person and column.
    confidence : float
        Nominal coverage of the interval, between 0 and 1.
    resamples : int
        Number of bootstrap samples of the people.
    rng : int or numpy.random.Generator, optional
        Seed or generator of the resamples.

    Returns
    -------
    low, high : float64 arrays of shape (n_columns,)
        Limits. Both are the mean where a column is constant, and NaN where it holds a value that is
        not finite or there are fewer than two people.

    References
    ----------
    B. Efron (1987). Better bootstrap confidence intervals.

    Examples
    --------
    >>> values = np.random.default_rng(0).exponential(size=(200, 1))
    >>> low, high = bootstrap_interval(values, rng=0)
    >>> bool(low[0] < values.mean() < high[0])
    True
    """
    check_confidence(confidence)
    _check_resamples(resamples)
    values = people_by_columns(values)
    low = np.full(values.shape[1], np.nan)
    high = low.copy()
    if len(values) < 2:
        return low, high
    usable = np.flatnonzero(np.isfinite(values).all(axis=0))
    low[usable] = high[usable] = values[:, usable].mean(axis=0)
    varying = usable[np.ptp(values[:, usable], axis=0) > 0]
    values = values[:, varying]
    means = resampled_means(values, resamples, np.random.default_rng(rng))
    mean, tie = values.mean(axis=0), ROUNDING * np.abs(values).mean(axis=0)
    low[varying], high[varying] = bca_limits(means, mean, values - mean, tie, confidence)
    return low, high


def sign_flip_p(
    differences: ArrayLike, *, resamples: int = 9999, rng: Rng = None
) -> NDArray[np.float64]:
    r"""Two-sided p of the paired randomisation test on the mean.

    If the two arms of a pair were exchangeable, each person's difference could as well have come
    with the other sign. With :math:`s` random signs, one per person,

    .. math:: p = \frac{1 + \#\{|\sum_i s_i d_i| \ge |\sum_i d_i|\}}{1 + resamples}

    Parameters
    ----------
    differences : array of shape (n_people, n_columns)
        One paired difference per person and column.
    resamples : int
        Number of random sign vectors; p is never below 1 / (1 + resamples).
    rng : int or numpy.random.Generator, optional
        Seed or generator of the signs.

    Returns
    -------
    float64 array of shape (n_columns,)
        1 where all differences are zero; NaN where one is not finite or there are no people.

    References
    ----------
    E. J. G. Pitman (1937). Significance tests which may be applied to samples from any populations.

    Examples
    --------
    >>> gains = np.array([[3.0, 0.0], [2.0, 0.0], [1.0, 0.0], [4.0, 0.0]])
    >>> sign_flip_p(gains, resamples=999, rng=0).round(1).tolist()
    [0.1, 1.0]
    """
    _check_resamples(resamples)
    differences = people_by_columns(differences)
    p = np.full(differences.shape[1], np.nan)
    if len(differences):
        usable = np.isfinite(differences).all(axis=0)
        p[usable] = _sign_flip_p(differences[:, usable], resamples, np.random.default_rng(rng))
    return p


def holm(p: ArrayLike) -> NDArray[np.float64]:
    r"""P values adjusted for their number by Holm's step-down procedure.

    The i-th smallest of m becomes :math:`\max_{j \le i} \min(1, (m - j + 1) p_{(j)})`: rejecting
    what falls below a level errs on any true hypothesis at most that often.

    Parameters
    ----------
    p : array of shape (n_tests,)
        P values; NaN is a test that was not made, which stays NaN and does not count.

    Returns
    -------
    float64 array of shape (n_tests,)

    References
    ----------
    S. Holm (1979). A simple sequentially rejective multiple test procedure.

    Examples
    --------
    >>> holm([0.25, 0.03125, 0.125]).tolist()
    [0.25, 0.09375, 0.25]
    """
    p = np.asarray(p, dtype=np.float64)
    if p.ndim != 1:
        raise ValueError(f"p must have shape (tests,), got {p.shape}")
    impossible = p[(p < 0) | (p > 1)]
    if len(impossible):
        raise ValueError(f"p values must lie between 0 and 1, got {impossible[0]}")
    made = np.flatnonzero(~np.isnan(p))
    rising = made[np.argsort(p[made], kind="stable")]
    factors = np.arange(len(made), 0, -1)
    adjusted = np.full_like(p, np.nan)
    adjusted[rising] = np.minimum(1.0, np.maximum.accumulate(factors * p[rising]))
    return adjusted


def resampled_means(
    values: NDArray[np.float64], resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Column means of `resamples` draws of the people with replacement, (resamples, n_columns)."""
    n_people = len(values)
    means = np.empty((resamples, values.shape[1]))
    with one_blas_thread():
        for start, stop in _blocks(resamples, n_people, _DRAWS_PER_BLOCK):
            drawn = rng.integers(n_people, size=(stop - start, n_people))
            drawn += n_people * np.arange(stop - start)[:, None]  # a range of cells per resample
            times = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
            means[start:stop] = times.astype(np.float64) @ values / n_people
    return means


def bca_limits(
    replicates: NDArray[np.float64],
    estimate: NDArray[np.float64],
    influence: NDArray[np.float64],
    tie: NDArray[np.float64],
    confidence: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Quantiles of resampled estimates at the two corrected levels, each (n_columns,).

    `replicates` is (resamples, n_columns); `influence` (n_people, n_columns) says how the estimate
    moves with each person's weight, up to a factor; `tie` is how far apart equal estimates can be.
    """
    below = (replicates < estimate - tie).mean(axis=0)
    not_above = (replicates <= estimate + tie).mean(axis=0)
    edge = 0.5 / len(replicates)  # all on one side: half a resample is taken to be beyond
    bias = ndtri(np.clip((below + not_above) / 2, edge, 1 - edge))  # z_0
    acceleration = (influence**3).sum(axis=0) / (6 * (influence**2).sum(axis=0) ** 1.5)  # a
    tail = (1 - confidence) / 2
    shifted = bias + ndtri([[tail], [1 - tail]])  # z_0 + z, (2, n_columns)
    levels = ndtr(bias + shifted / (1 - acceleration * shifted))
    low, high = (
        np.array(
            [np.quantile(column, level) for column, level in zip(replicates.T, side, strict=True)]
        )
        for side in levels
    )
    return low, high


def _sign_flip_p(
    differences: NDArray[np.float64], resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """P of columns that are finite, (n_columns,)."""
    n_people, total = len(differences), differences.sum(axis=0)
    reached = np.abs(total) - ROUNDING * np.abs(differences).sum(axis=0)
    as_far = np.zeros(differences.shape[1], dtype=np.int64)
    with one_blas_thread():
        for start, stop in _blocks(resamples, n_people, _SIGNS_PER_BLOCK):
            positive = _random_bits(stop - start, n_people, rng)  # (1 + s) / 2
            flipped = 2 * (positive.astype(np.float64) @ differences) - total  # sum of s d
            as_far += (np.abs(flipped) >= reached).sum(axis=0)
    return (1 + as_far) / (1 + resamples)


def _random_bits(rows: int, columns: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Fair zeros and ones (rows, columns): all eight bits of each random byte are used."""
    drawn = np.frombuffer(rng.bytes(rows * -(-columns // 8)), np.uint8)
    return np.unpackbits(drawn.reshape(rows, -1), axis=1, count=columns)


def _blocks(resamples: int, n_people: int, draws: int) -> Iterator[tuple[int, int]]:
    """Limits of blocks of resamples that draw a bounded number of people in all."""
    size = max(1, draws // n_people)
    for start in range(0, resamples, size):
        yield start, min(start + size, resamples)


def people_by_columns(values: ArrayLike) -> NDArray[np.float64]:
    """The values as a matrix of numbers, once they are known to be one."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2:
        raise ValueError(f"expected an array of shape (people, columns), got shape {values.shape}")
    return values


def check_confidence(confidence: float) -> None:
    """Refuse what is no share, a percentage above all."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")


def _check_resamples(resamples: int) -> None:
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")
