"""Compiled row solves of prior-centred ALS, of the rows `start` to `stop`; they release the GIL.

Row u minimises ``sum_i c_ui (p_ui - x'y_i)^2 + R |x|^2 + (x - m_u)' L_u (x - m_u)``, so that ::

    (Y'Y + sum_{i in S_u} (c_ui - 1) y_i y_i' + R I + L_u) x_u = sum_{i in S_u} c_ui y_i + L_u m_u

with ``L_u = precision_u * (diag(spread_u) + shared)``. As in implicit, a negative confidence is a
dislike: its size weighs the row, and it does not stand on the right-hand side.
"""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]

# Sums may be reordered, so that they use vector registers; NaN and inf stay what they are.
OPTIONS: dict[str, Any] = {
    "nogil": True,
    "cache": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract"},
}
GATHER = 256  # interactions gathered for one rank-k update of the exact solver


@njit(**OPTIONS)
def _add_product(matrix: Array, scale: Any, x: Array, out: Array) -> None:
    """out += scale * matrix @ x for a symmetric (d, d) matrix."""
    for j in range(x.size):
        weight = scale * x[j]
        for k in range(x.size):
            out[k] += weight * matrix[j, k]


@njit(**OPTIONS)
def _dot(x: Array, y: Array) -> Any:
    total = x[0] * y[0]
    for j in range(1, x.size):
        total += x[j] * y[j]
    return total


@njit(**OPTIONS)
def _add_prior(
    precision: Any, spread: Array, shared: Array, x: Array, scale: Any, out: Array
) -> None:
    """out += scale * L_u x; an empty `shared` (0, 0) stands for zero."""
    for j in range(x.size):
        out[j] += scale * precision * spread[j] * x[j]
    if shared.shape[0] > 0:
        _add_product(shared, scale * precision, x, out)


@njit(**OPTIONS)
def _diagonal(precision: Any, spread: Array, shared: Array, j: int) -> Any:
    """Entry (j, j) of L_u."""
    return precision * (spread[j] + shared[j, j] if shared.shape[0] > 0 else spread[j])


@njit(**OPTIONS)
def _empty_row(precision: Any, spread: Array, shared: Array, mean: Array, out: Array) -> None:
    """The prior mean where the precision is positive, zero elsewhere."""
    for j in range(out.size):
        out[j] = mean[j] if _diagonal(precision, spread, shared, j) > 0 else 0


@njit(**OPTIONS)
def cg_rows(
    start: int,
    stop: int,
    indptr: Array,
    indices: Array,
    confidence: Array,
    other: Array,
    gram: Array,
    mean: Array,
    precision: Array,
    spread: Array,
    shared: Array,
    steps: int,
    out: Array,
) -> None:
    """A few conjugate gradient steps per row, from the row's present value, in float32.

    `gram` is Y'Y + R I (d, d); `mean` (n, d) or (1, d); `precision` (n,) or (1,), zero for no
    prior; `spread` (n, d) or (1, d); `shared` (d, d) or (0, 0); `out` (n, d) is start and result.
    """
    d = other.shape[1]
    zero = np.float32(0)
    one = np.float32(1)
    tiny = np.float32(1e-20)
    r = np.empty(d, np.float32)
    p = np.empty(d, np.float32)
    ap = np.empty(d, np.float32)
    for u in range(start, stop):
        row_precision = precision[u if precision.size > 1 else 0]
        row_spread = spread[u if spread.shape[0] > 1 else 0]
        row_mean = mean[u if mean.shape[0] > 1 else 0]
        x = out[u]
        if indptr[u] == indptr[u + 1]:
            _empty_row(row_precision, row_spread, shared, row_mean, x)
            continue
        r[:] = 0
        _add_product(gram, -one, x, r)
        for e in range(indptr[u], indptr[u + 1]):
            y = other[indices[e]]
            c = confidence[e]
            weight = max(c, zero) - (abs(c) - one) * _dot(y, x)
            for j in range(d):
                r[j] += weight * y[j]
        size = one  # of the equation, which is divided by it: a very strong prior would overflow
        if row_precision > 0:
            for j in range(d):
                p[j] = row_mean[j] - x[j]
                size = max(size, _diagonal(row_precision, row_spread, shared, j))
            _add_prior(row_precision, row_spread, shared, p, one, r)
            r /= size
        p[:] = r
        residual = _dot(r, r)
        if residual < tiny:
            continue
        for _ in range(steps):
            ap[:] = 0
            _add_product(gram, one, p, ap)
            for e in range(indptr[u], indptr[u + 1]):
                y = other[indices[e]]
                weight = (abs(confidence[e]) - one) * _dot(y, p)
                for j in range(d):
                    ap[j] += weight * y[j]
            if row_precision > 0:
                _add_prior(row_precision, row_spread, shared, p, one, ap)
                ap /= size
            step = residual / _dot(p, ap)
            for j in range(d):
                x[j] += step * p[j]
                r[j] -= step * ap[j]
            new_residual = _dot(r, r)
            if new_residual < tiny:
                break
            for j in range(d):
                p[j] = r[j] + (new_residual / residual) * p[j]
            residual = new_residual


@njit(**OPTIONS)
def _add_observed(indices: Array, confidence: Array, other: Array, a: Array, b: Array) -> None:
    """a += sum (|c| - 1) y y', b += sum_{c > 0} c y, a matrix product per GATHER interactions."""
    d = other.shape[1]
    for begin in range(0, indices.size, GATHER):
        end = min(begin + GATHER, indices.size)
        rows = np.empty((end - begin, d), np.float64)
        weighted = np.empty((end - begin, d), np.float64)
        for e in range(begin, end):
            y = other[indices[e]]
            c = np.float64(confidence[e])
            for j in range(d):
                value = np.float64(y[j])
                rows[e - begin, j] = value
                weighted[e - begin, j] = (abs(c) - 1.0) * value
                if c > 0:
                    b[j] += c * value
        if end - begin < 16:
            for e in range(end - begin):
                for j in range(d):
                    for k in range(d):
                        a[j, k] += rows[e, j] * weighted[e, k]
        else:
            a += np.dot(rows.T, weighted)


@njit(**OPTIONS)
def _solve_positive(a: Array, b: Array, out: Array) -> None:
    """out = a^-1 b by Cholesky factorisation; b is overwritten."""
    factor = np.linalg.cholesky(a).T  # upper, rows contiguous: a = factor' factor
    d = b.size
    for j in range(d):
        b[j] /= factor[j, j]
        for k in range(j + 1, d):
            b[k] -= factor[j, k] * b[j]
    for j in range(d - 1, -1, -1):
        total = b[j]
        for k in range(j + 1, d):
            total -= factor[j, k] * b[k]
        b[j] = total / factor[j, j]
        out[j] = b[j]


@njit(**OPTIONS)
def exact_rows(
    start: int,
    stop: int,
    indptr: Array,
    indices: Array,
    confidence: Array,
    other: Array,
    gram: Array,
    mean: Array,
    precision: Array,
    spread: Array,
    shared: Array,
    which: Array,
    out: Array,
) -> None:
    """The exact solution per row, in float64 inside.

    Arguments are as in `cg_rows`, `gram` and the precisions in float64; `which` lists the rows to
    solve, `start` to `stop` of it.
    """
    d = other.shape[1]
    for place in range(start, stop):
        u = which[place]
        row_precision = precision[u if precision.size > 1 else 0]
        row_spread = spread[u if spread.shape[0] > 1 else 0]
        row_mean = mean[u if mean.shape[0] > 1 else 0]
        if indptr[u] == indptr[u + 1]:
            _empty_row(row_precision, row_spread, shared, row_mean, out[u])
            continue
        a = gram.copy()
        b = np.zeros(d, np.float64)
        row = slice(indptr[u], indptr[u + 1])
        _add_observed(indices[row], confidence[row], other, a, b)
        if row_precision > 0:
            for j in range(d):
                a[j, j] += row_precision * row_spread[j]
                if shared.shape[0] > 0:
                    for k in range(d):
                        a[j, k] += row_precision * shared[j, k]
            _add_prior(row_precision, row_spread, shared, row_mean, 1.0, b)
        _solve_positive(a, b, out[u])


@njit(**OPTIONS)
def few_rows(
    start: int,
    stop: int,
    indptr: Array,
    indices: Array,
    confidence: Array,
    other: Array,
    basis: Array,
    inverse: Array,
    scale: Array,
    mean: Array,
    precision: Array,
    which: Array,
    out: Array,
) -> None:
    """The exact solution of rows with few interactions k, for one shape P of the prior precision.

    In the basis T (d, d) with ``T'(Y'Y + R I)T = I`` and ``T'PT = diag(scale)`` everything that all
    rows share is diagonal, and Woodbury's identity leaves a (k, k) system: with ``Z = Y_S T``,
    ``D = 1 / (1 + precision_u scale)`` and ``W = diag(|c| - 1)``, ::

        b = Z'c + precision_u scale T^-1 m,   x = T D (b - Z'(I + W Z D Z')^-1 W Z D b)

    `which` lists the rows to solve, `start` to `stop` of it; `inverse` is T^-1.
    """
    d = other.shape[1]
    for place in range(start, stop):
        u = which[place]
        p = precision[u if precision.size > 1 else 0]
        begin, count = indptr[u], indptr[u + 1] - indptr[u]
        rows = np.empty((count, d), np.float64)
        for e in range(count):
            rows[e] = other[indices[begin + e]]
        z = np.dot(rows, basis)
        b = np.zeros(d, np.float64)
        if p > 0:
            b += p * scale * np.dot(inverse, mean[u if mean.shape[0] > 1 else 0].astype(np.float64))
        damped = 1.0 / (1.0 + p * scale)
        weight = np.empty(count, np.float64)
        for e in range(count):
            c = np.float64(confidence[begin + e])
            weight[e] = abs(c) - 1.0
            if c > 0:
                b += c * z[e]
        system = np.dot(z * damped, z.T)
        for e in range(count):
            system[e] *= weight[e]
            system[e, e] += 1.0
        b -= np.dot(z.T, np.linalg.solve(system, weight * np.dot(z, damped * b)))
        out[u] = np.dot(basis, damped * b)
