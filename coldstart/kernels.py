"""Compiled row solves of prior-centred ALS, a block of rows at a time; they release the GIL.

Row u minimises ``sum_i c_ui (p_ui - x'y_i)^2 + R |x|^2 + (x - m_u)' L_u (x - m_u)``, so that ::

    (Y'Y + sum_{i in S_u} (c_ui - 1) y_i y_i' + R I + L_u) x_u = sum_{i in S_u} c_ui y_i + L_u m_u

with ``c = alpha * value`` and ``L_u = precision_u * (diag(spread_u) + shared)``. As in implicit, a
negative confidence is a dislike: its size weighs the row, and it does not stand on the right.

All kernels share these arguments: `which` (b,), at most BLOCK numbers of rows that have
interactions; `indptr`, `indices`, `values` of the CSR matrix (n, m); `alpha`; `other` (m, d), the
factors Y; and of the prior of these b rows `mean` (b, d) or (1, d), `precision` (b,) or (1,), zero
for no prior, `spread` (b, d) or (1, d) and `shared` (d, d), or (0, 0) for zero. Results go to the
rows `which` of `out` (n, d).
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
BLOCK = 128  # rows in one call, and in every matrix product: no row depends on its neighbours
GATHER = 256  # interactions gathered for one matrix product of the exact solver


@njit(**OPTIONS)
def _dot(x: Array, y: Array) -> Any:
    total = x[0] * y[0]
    for j in range(1, x.size):
        total += x[j] * y[j]
    return total


@njit(**OPTIONS)
def _row(block: Array, k: int) -> int:
    """Row k of a part of the prior, which may be one row for everybody."""
    return k if block.shape[0] > 1 else 0


@njit(**OPTIONS)
def _add_observed(
    indices: Array,
    values: Array,
    alpha: Any,
    other: Array,
    x: Array,
    rhs: Any,
    lhs: Any,
    out: Array,
) -> None:
    """out += sum_i (rhs max(c, 0) + lhs (|c| - 1) y_i'x) y_i over one row's interactions.

    Four at a time, so that `x` and `out` are read once for four rows of `other`.
    """
    one, zero = np.float32(1), np.float32(0)
    e = 0
    while e + 4 <= indices.size:
        i0, i1, i2, i3 = indices[e], indices[e + 1], indices[e + 2], indices[e + 3]
        t0, t1, t2, t3 = zero, zero, zero, zero
        for j in range(x.size):
            t0 += other[i0, j] * x[j]
            t1 += other[i1, j] * x[j]
            t2 += other[i2, j] * x[j]
            t3 += other[i3, j] * x[j]
        c0, c1 = alpha * values[e], alpha * values[e + 1]
        c2, c3 = alpha * values[e + 2], alpha * values[e + 3]
        t0 = rhs * max(c0, zero) + lhs * (abs(c0) - one) * t0
        t1 = rhs * max(c1, zero) + lhs * (abs(c1) - one) * t1
        t2 = rhs * max(c2, zero) + lhs * (abs(c2) - one) * t2
        t3 = rhs * max(c3, zero) + lhs * (abs(c3) - one) * t3
        for j in range(x.size):
            out[j] += (t0 * other[i0, j] + t1 * other[i1, j]) + (
                t2 * other[i2, j] + t3 * other[i3, j]
            )
        e += 4
    while e < indices.size:
        y, c = other[indices[e]], alpha * values[e]
        t = rhs * max(c, zero) + lhs * (abs(c) - one) * _dot(y, x)
        for j in range(x.size):
            out[j] += t * y[j]
        e += 1


@njit(**OPTIONS)
def _add_prior(
    count: int, precision: Array, spread: Array, shared: Array, x: Array, out: Array
) -> None:
    """out_k += L_k x_k for the first `count` rows of a block."""
    if shared.size > 0:
        products = np.dot(x, shared)
        for k in range(count):
            for j in range(x.shape[1]):
                out[k, j] += precision[_row(precision, k)] * products[k, j]
    for k in range(count):
        for j in range(x.shape[1]):
            out[k, j] += precision[_row(precision, k)] * spread[_row(spread, k), j] * x[k, j]


@njit(**OPTIONS)
def _sizes(count: int, precision: Array, spread: Array, shared: Array) -> Array:
    """The largest diagonal entry of each L_k, at least 1: a very strong prior would overflow."""
    sizes = np.ones(count, np.float32)
    for k in range(count):
        for j in range(spread.shape[1]):
            entry = spread[_row(spread, k), j]
            if shared.size > 0:
                entry += shared[j, j]
            sizes[k] = max(sizes[k], precision[_row(precision, k)] * entry)
    return sizes


@njit(**OPTIONS)
def cg_rows(
    which: Array,
    indptr: Array,
    indices: Array,
    values: Array,
    alpha: Any,
    other: Array,
    mean: Array,
    precision: Array,
    spread: Array,
    shared: Array,
    gram: Array,
    steps: int,
    out: Array,
) -> None:
    """A few conjugate gradient steps per row, from the row's present value, in float32.

    `gram` is Y'Y + R I (d, d). What all rows share is one matrix product per step and block. The
    equation of row k is divided by ``sizes[k]``.
    """
    count, d = which.size, other.shape[1]
    one, zero, tiny = np.float32(1), np.float32(0), np.float32(1e-20)
    pulls = precision.any()
    sizes = _sizes(count, precision, spread, shared)
    x, p = np.zeros((BLOCK, d), np.float32), np.zeros((BLOCK, d), np.float32)
    for k in range(count):
        x[k] = out[which[k]]
        p[k] = mean[_row(mean, k)] - x[k]
    ap = np.dot(x, gram)
    r = -ap
    if pulls:
        _add_prior(count, precision, spread, shared, p, r)
    residual = np.zeros(count, np.float32)
    for k in range(count):
        row = slice(indptr[which[k]], indptr[which[k] + 1])
        _add_observed(indices[row], values[row], alpha, other, x[k], one, -one, r[k])
        r[k] /= sizes[k]
        residual[k] = _dot(r[k], r[k])
    p[:] = r
    for _ in range(steps):
        np.dot(p, gram, ap)
        if pulls:
            _add_prior(count, precision, spread, shared, p, ap)
        for k in range(count):
            if residual[k] < tiny:
                continue
            row = slice(indptr[which[k]], indptr[which[k] + 1])
            _add_observed(indices[row], values[row], alpha, other, p[k], zero, one, ap[k])
            ap[k] /= sizes[k]
            step = residual[k] / _dot(p[k], ap[k])
            for j in range(d):
                x[k, j] += step * p[k, j]
                r[k, j] -= step * ap[k, j]
            before, residual[k] = residual[k], _dot(r[k], r[k])
            turn = residual[k] / before
            for j in range(d):
                p[k, j] = r[k, j] + turn * p[k, j]
    for k in range(count):
        out[which[k]] = x[k]


@njit(**OPTIONS)
def _add_equation(
    indices: Array, values: Array, alpha: Any, other: Array, a: Array, b: Array
) -> None:
    """a += sum (|c| - 1) y y', b += sum max(c, 0) y, a matrix product per GATHER interactions."""
    d = other.shape[1]
    rows = np.empty((min(GATHER, indices.size), d), np.float64)
    weighted = np.empty_like(rows)
    for begin in range(0, indices.size, GATHER):
        size = min(GATHER, indices.size - begin)
        for e in range(size):
            y, c = other[indices[begin + e]], np.float64(alpha * values[begin + e])
            for j in range(d):
                rows[e, j] = y[j]
                weighted[e, j] = (abs(c) - 1.0) * rows[e, j]
                b[j] += max(c, 0.0) * rows[e, j]
        a += np.dot(rows[:size].T, weighted[:size])


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
    which: Array,
    indptr: Array,
    indices: Array,
    values: Array,
    alpha: Any,
    other: Array,
    mean: Array,
    precision: Array,
    spread: Array,
    shared: Array,
    gram: Array,
    covariance: Array,
    out: Array,
) -> None:
    """The exact solution per row, in float64 inside; `gram` is Y'Y + R I (d, d).

    The inverses of the rows' matrices are added to `covariance` (d, d), unless that is (0, 0).
    """
    d = other.shape[1]
    a, b = np.empty((d, d), np.float64), np.empty(d, np.float64)
    for k in range(which.size):
        scale, diagonal = precision[_row(precision, k)], spread[_row(spread, k)]
        a[:] = gram
        b[:] = 0
        if scale > 0:
            centre = mean[_row(mean, k)]
            if shared.size > 0:
                a += scale * shared
                b += scale * np.dot(shared, centre)
            for j in range(d):
                a[j, j] += scale * diagonal[j]
                b[j] += scale * diagonal[j] * centre[j]
        row = slice(indptr[which[k]], indptr[which[k] + 1])
        _add_equation(indices[row], values[row], alpha, other, a, b)
        _solve_positive(a, b, out[which[k]])
        if covariance.size > 0:
            covariance += np.linalg.inv(a)


@njit(**OPTIONS)
def _to_basis(
    indices: Array, other: Array, basis: Array, place: Array, kept: Array, raw: Array, z: Array
) -> None:
    """z = Y_S T (k, d): rows of `kept` where `place` (m,) names one, products where it is -1."""
    fresh = 0
    for e in range(indices.size):
        if place[indices[e]] >= 0:
            z[e] = kept[place[indices[e]]]
        else:
            raw[fresh] = other[indices[e]]
            fresh += 1
    if fresh == 0:
        return
    products = np.dot(raw[:fresh], basis)
    for e in range(indices.size - 1, -1, -1):
        if place[indices[e]] < 0:
            fresh -= 1
            z[e] = products[fresh]


@njit(**OPTIONS)
def few_rows(
    which: Array,
    indptr: Array,
    indices: Array,
    values: Array,
    alpha: Any,
    other: Array,
    mean: Array,
    precision: Array,
    basis: Array,
    inverse: Array,
    scale: Array,
    place: Array,
    kept: Array,
    covariance: Array,
    out: Array,
) -> None:
    """The exact solution of rows with few interactions k, for one shape P of the prior precision.

    In the basis T (d, d) with ``T'(Y'Y + R I)T = I`` and ``T'PT = diag(scale)`` everything that all
    rows share is diagonal, and Woodbury's identity leaves a (k, k) system: with ``Z = Y_S T``,
    ``D = 1 / (1 + precision_u scale)`` and ``W = diag(|c| - 1)``, ::

        b = Z'c + precision_u scale T^-1 m,   M = (I + W Z D Z')^-1 W
        x = T D (b - Z' M Z D b),             A^-1 = T (D - D Z' M Z D) T'

    `inverse` is T^-1; `kept` (q, d) holds rows of Y T that are computed once, `place` (m,) says
    which row of it belongs to a column, or -1. `covariance` is as in `exact_rows`.
    """
    count, d = which.size, other.shape[1]
    longest = 0
    for u in which:
        longest = max(longest, indptr[u + 1] - indptr[u])
    raw, zs, damped = np.empty((longest, d)), np.empty((longest, d)), np.empty((longest, d))
    weights = np.empty(longest)
    solutions, shrunk = np.zeros((BLOCK, d)), np.zeros(d)
    centres = np.dot(mean, inverse.T)  # T^-1 m
    inner = np.zeros((covariance.shape[0], covariance.shape[0]))
    for k in range(count):
        p = precision[_row(precision, k)]
        begin, size = indptr[which[k]], indptr[which[k] + 1] - indptr[which[k]]
        row, z, zd, weight = indices[begin : begin + size], zs[:size], damped[:size], weights[:size]
        _to_basis(row, other, basis, place, kept, raw, z)
        for j in range(d):
            shrunk[j] = 1.0 / (1.0 + p * scale[j])
            solutions[k, j] = p * scale[j] * centres[_row(centres, k), j] if p > 0 else 0.0
        for e in range(size):
            c = np.float64(alpha * values[begin + e])
            weight[e] = abs(c) - 1.0
            for j in range(d):
                zd[e, j] = z[e, j] * shrunk[j]
                solutions[k, j] += max(c, 0.0) * z[e, j]
        system = np.dot(zd, z.T)
        for e in range(size):
            system[e] *= weight[e]
            system[e, e] += 1.0
        b = solutions[k]
        b -= np.dot(np.linalg.solve(system, weight * np.dot(zd, b)), z)
        b *= shrunk
        if covariance.size > 0:
            middle = np.linalg.solve(system, np.diag(weight))
            inner -= np.dot(zd.T, np.dot(middle, zd))
            for j in range(d):
                inner[j, j] += shrunk[j]
    rows = np.dot(solutions, basis.T)
    for k in range(count):
        out[which[k]] = rows[k]
    if covariance.size > 0:
        covariance += np.dot(np.dot(basis, inner), basis.T)
