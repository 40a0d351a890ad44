"""Quality of ranked lists, one number per person.

A metric is a function of two arrays: `hits`, whether each place of a list holds a relevant column,
and `relevant`, how many relevant columns there are. It gives NaN, not 0, where there are none: such
a person cannot be served well or badly. A new metric is a function with `@_register`; the rest of
the package reads `METRICS`. All of them are shares between 0 and 1, of a list of n places; places
that a shorter list leaves empty count as misses.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix

from coldstart.popularity import percentiles

__all__ = [
    *("METRICS", "Metric", "coverage", "hits", "metric", "popularity_bias"),
    *("average_precision", "f1", "first", "hit_rate", "mrr", "ndcg", "precision", "r_precision"),
    *("rbp", "recall"),
]

Metric = Callable[[NDArray[np.bool_], NDArray[np.int64]], NDArray[np.float64]]

METRICS: dict[str, Metric] = {}

_PERSISTENCE = 0.8  # the chance that a reader goes on from one place of a list to the next


def _register(function: Metric) -> Metric:
    """Enter a metric under its own name."""
    METRICS[function.__name__] = function
    return function


def metric(name: str) -> Metric:
    """Metric of that name.

    Raises
    ------
    ValueError
        If there is none; the message lists those there are.
    """
    if name not in METRICS:
        raise ValueError(f"unknown metric {name!r}: known are {', '.join(METRICS)}")
    return METRICS[name]


def hits(columns: NDArray[np.int64], truth: csr_matrix) -> NDArray[np.bool_]:
    """Which places of the lists hold a relevant column.

    Parameters
    ----------
    columns : int array of shape (n_people, n)
        Ranked column numbers, best first; -1 is padding and never a hit.
    truth : csr_matrix of shape (n_people, n_columns)
        Its stored entries are the relevant columns.

    Returns
    -------
    bool array of shape (n_people, n)

    Raises
    ------
    ValueError
        If the two do not have the same number of rows, or a column number is out of range.

    Examples
    --------
    >>> hits(np.array([[2, 0, -1]]), csr_matrix(np.array([[1, 1, 0]]))).tolist()
    [[False, True, False]]
    """
    n_people, n_columns = truth.shape
    if len(columns) != n_people:
        raise ValueError(f"{len(columns)} lists but {n_people} rows of truth: pass the same people")
    _check_range(columns, n_columns)
    people = np.arange(n_people, dtype=np.int64)
    listed = people[:, None] * n_columns + columns  # (n_people, n), numbers of matrix cells
    relevant = np.repeat(people, np.diff(truth.indptr)) * n_columns + truth.indices
    return np.isin(listed, relevant) & (columns >= 0)


def coverage(columns: NDArray[np.int64], n_columns: int) -> float:
    """Share of the `n_columns` of a catalog that stand in at least one of the lists."""
    _check_range(columns, n_columns)
    if n_columns == 0:
        return float("nan")
    return len(np.unique(columns[columns >= 0])) / n_columns


def popularity_bias(columns: NDArray[np.int64], counts: ArrayLike) -> NDArray[np.float64]:
    """Mean popularity percentile of what each list holds, (n_people,); NaN for an empty one.

    `counts` (n_columns,) says how many people have each column. It is 0.5 on average for lists that
    are drawn from the catalog at random, and near 1 for lists of bestsellers.

    Examples
    --------
    >>> popularity_bias(np.array([[0, 1], [2, -1], [-1, -1]]), [30, 10, 20]).round(2).tolist()
    [0.5, 0.5, nan]
    """
    shares = percentiles(counts)
    _check_range(columns, len(shares))
    listed = columns >= 0
    sums = np.append(shares, 0.0)[columns].sum(axis=1)  # -1 reads the 0 at the end
    return _where_relevant(sums, listed.sum(axis=1))


@_register
def ndcg(hits: NDArray[np.bool_], relevant: NDArray[np.int64]) -> NDArray[np.float64]:
    r"""Discounted gain of a list over that of the best list of its length.

    .. math:: \sum_{r \le n} \frac{hit_r}{\log_2(r + 1)} \Big/
              \sum_{r \le \min(n, relevant)} \frac{1}{\log_2(r + 1)}

    References
    ----------
    K. Järvelin, J. Kekäläinen (2002). Cumulated gain-based evaluation of IR techniques.
    """
    discounts = 1.0 / np.log2(np.arange(2, hits.shape[1] + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])  # (n + 1,), of 0 to n relevant columns
    return _where_relevant(hits @ discounts, ideal[np.minimum(relevant, hits.shape[1])])


@_register
def recall(hits: NDArray[np.bool_], relevant: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of the relevant columns that the list holds."""
    return _where_relevant(hits.sum(axis=1), relevant)


@_register
def mrr(hits: NDArray[np.bool_], relevant: NDArray[np.int64]) -> NDArray[np.float64]:
    """Reciprocal rank of the first hit; 0 for a list without one."""
    reciprocal = (hits / np.arange(1, hits.shape[1] + 1)).max(axis=1, initial=0.0)
    return _where_relevant(reciprocal, relevant > 0)


@_register
def hit_rate(hits: NDArray[np.bool_], relevant: NDArray[np.int64]) -> NDArray[np.float64]:
    """1 for a list with a hit, 0 for one without."""
    return _where_relevant(hits.any(axis=1), relevant > 0)


@_register
def precision(hits: NDArray[np.bool_], relevant: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of the n places that hold a relevant column."""
    return _where_relevant(hits.mean(axis=1), relevant > 0)


def average_precision(hits: NDArray[np.bool_], relevant: NDArray[np.int64]) -> NDArray[np.float64]:
    r"""Precision at each hit, summed up, over the number of relevant columns.

    .. math:: \frac{1}{relevant} \sum_{r \le n} hit_r \, \frac{hit_1 + \dots + hit_r}{r}

    Under the name "map", after its mean over people. Relevant columns that the list has no place
    for count as missed: it is below 1 for everybody who has more than n.
    """
    precisions = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
    return _where_relevant((precisions * hits).sum(axis=1), relevant)


METRICS["map"] = average_precision


@_register
def f1(hits: NDArray[np.bool_], relevant: NDArray[np.int64]) -> NDArray[np.float64]:
    """Harmonic mean of precision and recall."""
    both = np.where(relevant > 0, hits.shape[1] + relevant, 0)
    return _where_relevant(2 * hits.sum(axis=1), both)


@_register
def r_precision(hits: NDArray[np.bool_], relevant: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of the first places, as many as there are relevant columns, that hold one.

    Places beyond the n of the list are misses.
    """
    early = np.arange(hits.shape[1]) < relevant[:, None]
    return _where_relevant((hits & early).sum(axis=1), relevant)


@_register
def rbp(hits: NDArray[np.bool_], relevant: NDArray[np.int64]) -> NDArray[np.float64]:
    r"""Rank-biased precision: hits per place that a reader looks at.

    .. math:: (1 - p) \sum_{r \le n} p^{r - 1} \, hit_r, \qquad p = 0.8

    A reader goes on to the next place with probability p, so a list of n hits has 1 - p^n.

    References
    ----------
    A. Moffat, J. Zobel (2008). Rank-biased precision for measurement of retrieval effectiveness.
    """
    looks = (1 - _PERSISTENCE) * _PERSISTENCE ** np.arange(hits.shape[1])
    return _where_relevant(hits @ looks, relevant > 0)


@_register
def first(hits: NDArray[np.bool_], relevant: NDArray[np.int64]) -> NDArray[np.float64]:
    """1 where the first place holds a relevant column, 0 where it does not."""
    return _where_relevant(hits[:, 0], relevant > 0)


def _where_relevant(gain: ArrayLike, best: ArrayLike) -> NDArray[np.float64]:
    """Gain over the best possible one, NaN where nothing could be gained."""
    gain, best = np.asarray(gain), np.asarray(best)
    share = np.full(gain.shape, np.nan)
    np.divide(gain, best, out=share, where=best > 0)
    return share


def _check_range(columns: NDArray[np.int64], n_columns: int) -> None:
    if columns.size and not -1 <= columns.min() <= columns.max() < n_columns:
        raise ValueError(
            f"column numbers must lie in 0..{n_columns - 1} (or be -1, padding), "
            f"got {columns.min()}..{columns.max()}"
        )
