"""Intervals of means over people and of their ratios, for few people and for very many.

Up to `MOST_RESAMPLED` people are resampled. Beyond, closed forms say the same to the second order,
and cost one pass over the people.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from coldstart.statistics import (
    ROUNDING,
    Rng,
    bca_limits,
    bootstrap_interval,
    check_confidence,
    people_by_columns,
    resampled_means,
)

__all__ = ["MOST_RESAMPLED", "interval", "ratio_of_means", "studentised_interval"]

MOST_RESAMPLED = 5000  # people
_ROUNDS = 100  # of an iteration that needs a handful
_CONVERGED = 1e-10
_ENDLESS, _VAST = 1e300, 1e200  # stands for an infinite ratio, and what is interpolated from one

Limits = tuple[NDArray[np.float64], NDArray[np.float64]]


def interval(
    values: ArrayLike, *, confidence: float = 0.95, resamples: int = 2000, rng: Rng = None
) -> Limits:
    """Interval of the mean over people: `bootstrap_interval` for up to 5,000 of them,
    `studentised_interval` for more.

    Parameters
    ----------
    values : array of shape (n_people, n_columns)
    confidence : float
        Nominal coverage, between 0 and 1.
    resamples : int
    rng : int or numpy.random.Generator, optional
        For the bootstrap.

    Returns
    -------
    low, high : float64 arrays of shape (n_columns,)
        Both are the mean where a column is constant, and NaN where it holds a value that is not
        finite or there are fewer than two people.
    """
    values = people_by_columns(values)
    if len(values) > MOST_RESAMPLED:
        return studentised_interval(values, confidence=confidence)
    return bootstrap_interval(values, confidence=confidence, resamples=resamples, rng=rng)


def studentised_interval(values: ArrayLike, *, confidence: float = 0.95) -> Limits:
    r"""Student's interval of the mean over people, moved for the skewness of the values.

    With the skewness g, the standard error s of the mean and the t quantile q of n - 1 degrees of
    freedom, the limits are

    .. math:: m + s \Big(\frac{g (1 + 2 q^2)}{6 \sqrt n} \pm q\Big)

    It is as wide as Student's, and misses skewed means on both sides alike, to the second order. In
    simulations of values that are zero for 99 people in 100 it does so closer than the interval
    that transforms the statistic by a cubic.

    Parameters and returned limits are those of `interval`.

    References
    ----------
    N. J. Johnson (1978). Modified t tests and confidence intervals for asymmetrical populations.

    P. Hall (1983). Inverting an Edgeworth expansion.

    Examples
    --------
    >>> values = np.random.default_rng(0).exponential(size=(9000, 1))
    >>> low, high = studentised_interval(values)
    >>> bool(high[0] - values.mean() > values.mean() - low[0])
    True
    """
    check_confidence(confidence)
    values = people_by_columns(values)
    n_people = len(values)
    low = np.full(values.shape[1], np.nan)
    high = low.copy()
    if n_people < 2:
        return low, high
    usable = np.flatnonzero(np.isfinite(values).all(axis=0))
    mean = values[:, usable].mean(axis=0)
    centred = values[:, usable] - mean
    centred[:, np.ptp(values[:, usable], axis=0) == 0] = 0.0
    square, cube = (centred**2).mean(axis=0), (centred**3).mean(axis=0)
    low[usable], high[usable] = _moved_limits(mean, square, cube, n_people, confidence)
    return low, high


def ratio_of_means(
    above: ArrayLike,
    below: ArrayLike,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    rng: Rng = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """``mean(above) / mean(below)`` over the same people, with its interval.

    Up to 5,000 people are resampled, both of their values together, and the limits are those of the
    BCa bootstrap. For more, they are the ratios r for which the `studentised_interval` of
    ``above - r below`` reaches 0.

    Parameters
    ----------
    above, below : arrays of shape (n_people, n_columns)
    confidence : float
        Nominal coverage, between 0 and 1.
    resamples : int
    rng : int or numpy.random.Generator, optional
        For the bootstrap.

    Returns
    -------
    ratio, low, high : float64 arrays of shape (n_columns,)
        All are NaN where a value is not finite or there are no people, or the mean below is 0; the
        limits also where the interval of the mean below reaches 0: then any ratio may be.

    References
    ----------
    E. C. Fieller (1954). Some problems in interval estimation.

    Examples
    --------
    >>> below = np.random.default_rng(0).exponential(size=(300, 1))
    >>> [float(part[0].round(6)) for part in ratio_of_means(1.5 * below, below, rng=0)]
    [1.5, 1.5, 1.5]
    """
    over, under = people_by_columns(above), people_by_columns(below)
    if over.shape != under.shape:
        raise ValueError(
            f"above has shape {over.shape} but below {under.shape}: pass the same people and "
            "columns in both"
        )
    ratio, low, high = np.full((3, over.shape[1]), np.nan)
    if not len(over):
        return ratio, low, high
    usable = np.flatnonzero(np.isfinite(over).all(axis=0) & np.isfinite(under).all(axis=0))
    mean = under[:, usable].mean(axis=0)
    usable, mean = usable[mean != 0], mean[mean != 0]
    # a mean below zero would turn the sides round: with both signs changed the ratio is the same
    over, under = over[:, usable] * np.sign(mean), under[:, usable] * np.sign(mean)
    ratio[usable] = over.mean(axis=0) / under.mean(axis=0)
    rng = np.random.default_rng(rng)
    least, _ = interval(under, confidence=confidence, resamples=resamples, rng=rng)
    known = least > 0
    over, under, known = over[:, known], under[:, known], usable[known]
    if len(over) > MOST_RESAMPLED:
        low[known], high[known] = _ratios_that_reach_zero(over, under, confidence)
    else:
        low[known], high[known] = _resampled_ratios(over, under, confidence, resamples, rng)
    return ratio, low, high


def _moved_limits(
    mean: NDArray[np.float64],
    square: NDArray[np.float64],
    cube: NDArray[np.float64],
    n_people: int,
    confidence: float,
) -> Limits:
    """The limits of `studentised_interval` from the mean and the central moments (n_columns,)."""
    quantile = stdtrit(n_people - 1, (1 + confidence) / 2)
    error = np.sqrt(square / (n_people - 1))
    skewness = cube / np.where(square > 0, square, 1.0) ** 1.5
    middle = mean + error * skewness * (1 + 2 * quantile**2) / (6 * np.sqrt(n_people))
    return middle - quantile * error, middle + quantile * error


def _resampled_ratios(
    above: NDArray[np.float64],
    below: NDArray[np.float64],
    confidence: float,
    resamples: int,
    rng: np.random.Generator,
) -> Limits:
    """BCa limits of the ratios of columns whose mean below is positive."""
    ratio = above.mean(axis=0) / below.mean(axis=0)
    influence = above - ratio * below
    rounding = ROUNDING * (np.abs(above) + np.abs(ratio * below)).mean(axis=0)
    tie = rounding / below.mean(axis=0)
    varying = np.abs(influence).mean(axis=0) > rounding
    low, high = ratio.copy(), ratio.copy()
    both = np.hstack([above[:, varying], below[:, varying]])
    over, under = np.hsplit(resampled_means(both, resamples, rng), 2)
    # where nobody with anything below was drawn, no ratio is too large
    replicates = np.divide(over, under, out=np.full_like(over, _ENDLESS), where=under != 0)
    limits = bca_limits(replicates, ratio[varying], influence[:, varying], tie[varying], confidence)
    low[varying], high[varying] = (np.where(part > _VAST, np.inf, part) for part in limits)
    return low, high


def _ratios_that_reach_zero(
    above: NDArray[np.float64], below: NDArray[np.float64], confidence: float
) -> Limits:
    """Ratios r at which a limit of ``above - r below`` is 0, by a fixed-point iteration.

    What a limit is above 0, over the mean below, is how far r has to move: the step is exact but
    for the standard error, which changes little with r. The moments of the difference are
    polynomials in r.
    """
    n_people = len(above)
    means = above.mean(axis=0), below.mean(axis=0)
    a, b = above - means[0], below - means[1]
    aa, ab, bb = (np.mean(part, axis=0) for part in (a * a, a * b, b * b))
    aaa, aab, abb, bbb = (np.mean(part, axis=0) for part in (a**3, a * a * b, a * b * b, b**3))
    found = []
    for side in (0, 1):
        r = means[0] / means[1]
        for _ in range(_ROUNDS):
            square = np.maximum(aa - 2 * r * ab + r**2 * bb, 0)
            cube = aaa - 3 * r * aab + 3 * r**2 * abb - r**3 * bbb
            mean = means[0] - r * means[1]
            step = _moved_limits(mean, square, cube, n_people, confidence)[side] / means[1]
            r = r + step
            if (np.abs(step) <= _CONVERGED * np.abs(r)).all():
                break
        found.append(r)
    return found[0], found[1]
