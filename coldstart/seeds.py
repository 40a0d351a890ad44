"""Several seeds as a second level: the same people, or some of them, measured more than once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

from coldstart.intervals import interval
from coldstart.statistics import ROUNDING, Rng, check_confidence, people_by_columns, sign_flip_p

__all__ = ["TwoLevel", "two_level"]


@dataclass(frozen=True, eq=False)
class TwoLevel:
    """Means over people and seeds with what is known of them, each (n_columns,).

    `freedom` are the degrees of freedom behind `standard_error`, those of the people alone where
    there is one seed.
    """

    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    p: NDArray[np.float64]
    standard_error: NDArray[np.float64]
    freedom: NDArray[np.float64]
    n_seeds: int


def two_level(
    values: ArrayLike,
    people: ArrayLike,
    seeds: ArrayLike,
    *,
    confidence: float = 0.95,
    rng: Rng = None,
) -> TwoLevel:
    r"""Mean over people, averaged over seeds, for other people and other seeds than these.

    A value is the sum of an effect of its seed, one of its person, who may recur in other seeds,
    and a rest. The mean of S seed means has the variance

    .. math:: c + \max(b, w) / S

    with c the covariance of two seed means through the people they share, b the variance of the
    seed means as observed and w the part of it that the sampling of people explains. Interval and p
    are Student's, with the degrees of freedom of Satterthwaite: for the second term S - 1 where b
    counts, and otherwise, as for the first, the number of people less 1. In simulations intervals
    of 95% cover in 92 to 97% of the cases with three seeds, however much they vary, in 94 to 97%
    with five, and with two in 87 to 97%.

    With one seed the interval is `intervals.interval` and p that of `sign_flip_p`: then the seed is
    taken as it is.

    Parameters
    ----------
    values : array of shape (n_rows, n_columns)
        A row for each person in each seed.
    people, seeds : arrays of shape (n_rows,)
        Whose row it is, and from which seed.
    confidence : float
        Nominal coverage, between 0 and 1.
    rng : int or numpy.random.Generator, optional
        For what is resampled with one seed.

    Returns
    -------
    TwoLevel
        NaN in columns with a value that is not finite.

    Raises
    ------
    ValueError
        If a person has two rows in one seed, or the lengths differ.

    References
    ----------
    F. E. Satterthwaite (1946). An approximate distribution of estimates of variance components.

    Examples
    --------
    >>> values = np.random.default_rng(0).normal(1.0, size=(600, 1))
    >>> found = two_level(values, np.arange(600) % 200, np.repeat([0, 1, 2], 200))
    >>> bool(found.low[0] < 1.0 < found.high[0])
    True
    """
    check_confidence(confidence)
    values = people_by_columns(values)
    person, seed = _numbered(people, seeds, len(values))
    n_seeds = int(seed.max(initial=-1)) + 1
    usable = np.flatnonzero(np.isfinite(values).all(axis=0))
    known = values[:, usable]
    found = np.full((6, values.shape[1]), np.nan)  # in the order of the fields
    if n_seeds < 2:
        found[:, usable] = _once(known, confidence, np.random.default_rng(rng))
    else:
        found[:, usable] = _student(known, person, seed, confidence)
    mean, low, high, p, error, freedom = found
    return TwoLevel(mean, low, high, p, error, freedom, n_seeds)


def _student(
    values: NDArray[np.float64],
    person: NDArray[np.int64],
    seed: NDArray[np.int64],
    confidence: float,
) -> tuple[NDArray[np.float64], ...]:
    """What `TwoLevel` has of columns that are finite; p is 1 where the mean is 0 to rounding."""
    means, variance, freedom = _variance(values, person, seed)
    mean, error = means.mean(axis=0), np.sqrt(variance)
    width = stdtrit(freedom, (1 + confidence) / 2) * error
    distance = np.full_like(mean, np.inf)  # where nothing varies
    np.divide(np.abs(mean), error, out=distance, where=error > 0)
    nothing = np.abs(mean) <= ROUNDING * np.abs(values).mean(axis=0)
    p = np.where(nothing, 1.0, 2 * stdtr(freedom, -distance))
    return mean, mean - width, mean + width, p, error, freedom


def _variance(
    values: NDArray[np.float64], person: NDArray[np.int64], seed: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Seed means (n_seeds, n_columns), the variance of their mean and its degrees of freedom."""
    n_people, n_seeds = person.max() + 1, seed.max() + 1
    sizes = np.bincount(seed)[:, None]
    means = _sums(values, seed, n_seeds) / sizes
    parts = (values - means[seed]) / sizes[seed]  # what a row moves its seed's mean by
    own = _sums(parts**2, seed, n_seeds) * sizes / np.maximum(sizes - 1, 1)  # sampling variances
    joint = (_sums(parts, person, n_people) ** 2).sum(axis=0) * n_people / max(1, n_people - 1)
    covariance = np.maximum((joint - own.sum(axis=0)) / (n_seeds * (n_seeds - 1)), 0.0)  # c
    sampled = own.mean(axis=0) - covariance  # w
    observed = means.var(axis=0, ddof=1)  # b
    between = np.maximum(observed, sampled) / n_seeds
    variance = covariance + between
    of_people = max(1.0, n_people - 1.0)
    of_seeds = np.where(observed > sampled, n_seeds - 1.0, of_people)
    spread = between**2 / of_seeds + covariance**2 / of_people
    freedom = np.full(len(variance), of_people)
    np.divide(variance**2, spread, out=freedom, where=spread > 0)
    return means, variance, freedom


def _once(
    values: NDArray[np.float64], confidence: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], ...]:
    """What `TwoLevel` has of finite columns of people who were measured once."""
    n_people, n_columns = values.shape
    low, high = interval(values, confidence=confidence, rng=rng)
    p = sign_flip_p(values, rng=rng)
    mean, error = np.full((2, n_columns), np.nan)
    if n_people:
        mean = values.mean(axis=0)
    if n_people > 1:
        error = values.std(axis=0, ddof=1) / np.sqrt(n_people)
    return mean, low, high, p, error, np.full(n_columns, max(0.0, n_people - 1))


def _numbered(
    people: ArrayLike, seeds: ArrayLike, n_rows: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of person and seed of each row, once nobody stands in a seed twice."""
    labels = {"people": np.asarray(people), "seeds": np.asarray(seeds)}
    for name, given in labels.items():
        if given.shape != (n_rows,):
            raise ValueError(
                f"{name} has shape {given.shape}, expected ({n_rows},): pass one label per row"
            )
    person, seed = (np.unique(part, return_inverse=True)[1] for part in labels.values())
    pairs, counts = np.unique(np.stack([person, seed]), axis=1, return_counts=True)
    twice = np.flatnonzero(counts > 1)
    if len(twice):
        who = labels["people"][np.flatnonzero(person == pairs[0, twice[0]])[0]]
        raise ValueError(
            f"person {who!r} has more than one row in a seed: average them, or tell the people "
            "apart"
        )
    return person, seed


def _sums(
    values: NDArray[np.float64], group: NDArray[np.int64], n_groups: int
) -> NDArray[np.float64]:
    """Sums of the rows of each group, (n_groups, n_columns)."""
    columns = [np.bincount(group, weights=column, minlength=n_groups) for column in values.T]
    return np.stack(columns, axis=1) if columns else np.empty((n_groups, 0))
