"""The best n columns of every row of a score matrix, without those already seen."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix

from coldstart.threads import run_blocks

__all__ = ["recommend_rows", "row_sizes", "top_n"]

EPS = float(np.finfo(np.float32).eps)
TINY = float(np.finfo(np.float32).tiny)
_SCORES_PER_BLOCK = 1 << 20
_FEWEST_QUERIES = 16  # in one matrix product


def top_n(
    scores: ArrayLike,
    n: int,
    *,
    seen: csr_matrix | None = None,
    order: ArrayLike | None = None,
    num_threads: int = 0,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rank the columns of every row by falling score and keep the first n.

    The list of a row never holds a seen column, nor one whose score is NaN or -inf. Equal scores
    are ranked by rising `order`, so the result is defined for ties too and does not depend on the
    number of threads.

    Parameters
    ----------
    scores : array of shape (n_rows, n_columns)
        The higher, the better; read as float32 and never changed.
    n : int
        Length of the lists, at least 1; it may exceed the number of columns.
    seen : sparse matrix of shape (n_rows, n_columns), optional
        Its stored entries, whatever their values, are the columns a row must not get.
    order : array of shape (n_columns,), optional
        A permutation of the column numbers: of equal scores the one with the smaller `order[j]`
        comes first. By default the smaller column number does.
    num_threads : int
        Threads to use; 0 means every core.

    Returns
    -------
    columns : int64 array of shape (n_rows, n)
        Column numbers, best first; -1 where a row has fewer than n columns to offer.
    values : float32 array of shape (n_rows, n)
        Their scores; -inf where the column is -1.

    Raises
    ------
    ValueError
        If a shape does not fit, n is below 1 or `order` is not a permutation.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_matrix
    >>> seen = csr_matrix(np.array([[0, 1, 0]]))
    >>> columns, values = top_n(np.array([[0.5, 0.9, 0.7]]), 2, seen=seen)
    >>> columns.tolist()
    [[2, 0]]
    """
    scores = np.ascontiguousarray(scores, dtype=np.float32)
    if scores.ndim != 2:
        raise ValueError(f"scores must have shape (rows, columns), got {scores.shape}")
    n_rows, n_columns = scores.shape
    nothing = np.empty((n_rows, 0), np.float32), np.empty((n_columns, 0), np.float32)
    sizes = np.zeros(n_columns, np.float32)
    return _ranked(lambda rows: scores[rows], *nothing, n, seen, order, 1, num_threads, sizes)


def recommend_rows(
    queries: ArrayLike,
    catalog: ArrayLike,
    n: int,
    *,
    seen: csr_matrix | None = None,
    order: ArrayLike | None = None,
    sizes: NDArray[np.float32] | None = None,
    num_threads: int = 0,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """`top_n` of ``queries @ catalog.T``, of which only some blocks exist at a time.

    A product in float32 finds what may enter a list; float64 decides, rounded to float32. So what
    a query gets depends neither on the number of threads, nor on who else is asked for, nor on the
    BLAS, many of which sum up equal columns in different orders.

    Parameters
    ----------
    queries : array of shape (n_rows, d)
    catalog : array of shape (n_columns, d)
    n, seen, order, num_threads
        As in `top_n`.
    sizes : array of shape (n_columns,), optional
        `row_sizes` of the catalog, where the caller has them already.

    Returns
    -------
    columns, values
        As in `top_n`.
    """
    queries, catalog = (np.ascontiguousarray(part, np.float32) for part in (queries, catalog))
    if queries.ndim != 2 or queries.shape[1:] != catalog.shape[1:]:
        raise ValueError(
            f"queries and catalog must be equally wide, got {queries.shape} and {catalog.shape}"
        )

    def scores(rows: slice) -> NDArray[np.float32]:
        with np.errstate(invalid="ignore", over="ignore"):  # what is no number is ranked nowhere
            return np.asarray(queries[rows] @ catalog.T)

    sizes = row_sizes(catalog) if sizes is None else sizes
    return _ranked(scores, queries, catalog, n, seen, order, _FEWEST_QUERIES, num_threads, sizes)


def _ranked(
    scores: Callable[[slice], NDArray[np.float32]],
    queries: NDArray[np.float32],
    catalog: NDArray[np.float32],
    n: int,
    seen: csr_matrix | None,
    order: ArrayLike | None,
    fewest: int,
    num_threads: int,
    sizes: NDArray[np.float32],
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Lists of all rows, a block of at least `fewest` at a time.

    `scores` gives those of some rows (b, m): the products of `queries` (n, d) and `catalog` (m, d)
    in float32, or any scores where these are of no width.
    """
    shape = len(queries), len(catalog)
    indptr, indices = _seen_columns(seen, shape)
    order = _tie_order(order, shape[1])
    columns, values = _padding(shape[0], n)
    query_sizes = row_sizes(queries)
    largest = sizes.max(initial=0)

    def rank(start: int, stop: int) -> None:
        rows = slice(start, stop)
        factors = queries[rows], catalog, query_sizes[rows], sizes, largest
        limits = indptr[start : stop + 1]
        _rank_rows(scores(rows), *factors, limits, indices, order, columns[rows], values[rows])

    block = max(fewest, _SCORES_PER_BLOCK // max(1, shape[1]))
    run_blocks(rank, shape[0], block=block, num_threads=num_threads)
    return columns, values


def _padding(n_rows: int, n: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Lists (n_rows, n) of columns and values that nothing has entered yet."""
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    shape = n_rows, n
    return np.full(shape, -1, np.int64), np.full(shape, -np.inf, np.float32)


def _seen_columns(
    seen: csr_matrix | None, shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Row limits and sorted column numbers of `seen`; no columns at all without it."""
    if seen is None:
        return np.zeros(shape[0] + 1, dtype=np.int64), np.empty(0, dtype=np.int32)
    if seen.shape != shape:
        raise ValueError(f"scores has shape {shape} but seen {seen.shape}: they must be equal")
    seen = csr_matrix(seen)
    if not seen.has_sorted_indices:
        seen = seen.sorted_indices()
    return seen.indptr.astype(np.int64), seen.indices.astype(np.int32, copy=False)


def row_sizes(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Euclidean norms (n,)."""
    with np.errstate(over="ignore"):
        squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
        return np.asarray(np.sqrt(squares), np.float32)


def _tie_order(order: ArrayLike | None, n_columns: int) -> NDArray[np.int64]:
    """`order` as an array, once it is known to be a permutation of the columns."""
    if order is None:
        return _natural_order(n_columns)
    order = np.ascontiguousarray(order)
    if not np.array_equal(np.sort(order), np.arange(n_columns)):
        raise ValueError(f"order must be a permutation of the {n_columns} column numbers")
    return order.astype(np.int64, copy=False)


@lru_cache(maxsize=2)  # users and items
def _natural_order(n_columns: int) -> NDArray[np.int64]:
    """Column numbers, kept: writing them anew is work that one list can feel."""
    return np.arange(n_columns)


@njit(cache=True, nogil=True)
def _rank_rows(
    scores: NDArray[np.float32],
    queries: NDArray[np.float32],
    catalog: NDArray[np.float32],
    query_sizes: NDArray[np.float32],
    sizes: NDArray[np.float32],
    largest: np.float32,
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    order: NDArray[np.int64],
    columns: NDArray[np.int64],
    values: NDArray[np.float32],
) -> None:
    """Fill `columns` and `values`, which come filled with -1 and -inf.

    `scores` (b, m) are products of `queries` (b, d) and `catalog` (m, d) in float32: those in
    float64 decide among what may be one of the best. `query_sizes` (b,) and `sizes` (m,) are
    Euclidean norms, `largest` is the largest of `sizes`; where that times the size of a query is
    zero, as it is for factors of no width, scores are taken as they are.
    """
    near, rounding = np.empty(scores.shape[1], np.int32), np.float32((queries.shape[1] + 4) * EPS)
    for row in range(len(scores)):
        best, best_values, size = columns[row], values[row], query_sizes[row]
        seen = indices[indptr[row] : indptr[row + 1]]
        count = _best(
            scores[row], rounding, size, sizes, largest, seen, order, best, best_values, near
        )
        if size * largest != 0:
            limit = best_values[0]
            best[:], best_values[:] = -1, -np.inf
            for column in near[:count]:
                error = _error(rounding, size * sizes[column])
                if scores[row, column] + error < limit:
                    continue
                score = _product(queries[row], catalog[column]) if error != 0 else np.float32(0)
                if _beats(score, column, best_values[0], best[0], order):
                    _sift(score, column, best_values, best, best.size, order)
        _sort(best, best_values, order)


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _product(x: NDArray[np.float32], y: NDArray[np.float32]) -> Any:
    """The scalar product in float64, rounded."""
    total = 0.0
    for j in range(x.size):
        total += np.float64(x[j]) * np.float64(y[j])
    return np.float32(total)


@njit(cache=True, nogil=True, inline="always")
def _error(rounding: Any, size: Any) -> Any:
    """Of a product in float32, where `size` is that of the norms.

    Nothing that is summed up on the way is larger than it: where it overflows, scores say nothing.
    """
    return rounding * size + np.float32(TINY) if size != 0 else size


@njit(cache=True, nogil=True)
def _best(
    scores: NDArray[np.float32],
    rounding: Any,
    size: Any,
    sizes: NDArray[np.float32],
    largest: Any,
    seen: NDArray[np.int32],
    order: NDArray[np.int64],
    columns: NDArray[np.int64],
    values: NDArray[np.float32],
    near: NDArray[np.int32],
) -> int:
    """Make the lists of one row a heap of the best lower bounds, the last in rank at the root.

    A column enters if its score less its error beats that one, which few do. `near` gets those
    that would if an error were to their favour; returns how many. One comparison dismisses the
    rest, and the pointer into the seen columns moves only for those few.
    """
    count, place, widest = 0, 0, _error(rounding, size * largest)
    limit = values[0] - widest
    for column in range(scores.size):
        score = scores[column]
        if score < limit:
            continue
        error = _error(rounding, size * sizes[column])
        most = score + error
        if most <= values[0] and not _beats(most, column, values[0], columns[0], order):
            continue
        while place < seen.size and seen[place] < column:
            place += 1
        if place < seen.size and seen[place] == column:
            continue
        near[count] = column
        count += 1
        if _beats(score - error, column, values[0], columns[0], order):
            _sift(score - error, column, values, columns, columns.size, order)
            limit = values[0] - widest
    return count


@njit(cache=True, nogil=True)
def _sort(
    columns: NDArray[np.int64], values: NDArray[np.float32], order: NDArray[np.int64]
) -> None:
    """Turn a heap into a list, best first: the root is the last of those left."""
    for end in range(columns.size - 1, 0, -1):
        score, column = values[end], columns[end]
        values[end], columns[end] = values[0], columns[0]
        _sift(score, column, values, columns, end, order)


@njit(cache=True, nogil=True, inline="always")
def _beats(score: Any, column: int, other_score: Any, other: int, order: NDArray[np.int64]) -> bool:
    """Whether a column ranks before another; only a score above -inf beats padding (-1)."""
    if score == other_score:
        return column >= 0 and other >= 0 and bool(order[column] < order[other])
    return bool(score > other_score)


@njit(cache=True, nogil=True)
def _sift(
    score: Any,
    column: int,
    values: NDArray[np.float32],
    columns: NDArray[np.int64],
    size: int,
    order: NDArray[np.int64],
) -> None:
    """Put a column in the place of the root of a heap of `size`, and let it sink to its own."""
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        other = child + 1
        if other < size and _beats(
            values[child], columns[child], values[other], columns[other], order
        ):
            child = other
        if not _beats(score, column, values[child], columns[child], order):
            break
        values[place], columns[place] = values[child], columns[child]
        place = child
    values[place], columns[place] = score, column
