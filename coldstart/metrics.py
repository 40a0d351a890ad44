"""Quality of ranked lists, one number per person.

A metric is a function of two arrays: `hits`, whether each place of a list holds a relevant column,
and `relevant`, how many relevant columns there are. It gives NaN, not 0, where there are none: such
a person cannot be served well or badly. A new metric is a function with `@_register`; the rest of
the package reads `METRICS`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix

__all__ = ["METRICS", "Metric", "coverage", "hit_rate", "hits", "metric", "mrr", "ndcg", "recall"]

Metric = Callable[[NDArray[np.bool_], NDArray[np.int64]], NDArray[np.float64]]

METRICS: dict[str, Metric] = {}


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
