"""Compiled row solves of prior-centred ALS, a block of rows at a time; they release the GIL.

All compiled code of these solves is in this file: numba compiles anew when the file of a kernel
changes, and does not look at others.

Row u minimises ``sum_i c_ui (p_ui - x'y_i)^2 + R |x|^2 + (x - m_u)' L_u (x - m_u)``, so that ::

    (Y'Y + sum_{i in S_u} (c_ui - 1) y_i y_i' + R I + L_u) x_u = sum_{i in S_u} c_ui y_i + L_u m_u

with ``c = alpha * value`` and ``L_u = precision_u * (diag(spread_u) + shared)``. As in implicit, a
negative confidence is a dislike: its size weighs the row, and it does not stand on the right.

All kernels share these arguments. `which` (b,) are at most BLOCK numbers of rows that have
interactions. `log` are `indptr`, `indices` and `values` of the CSR matrix (n, m), `alpha`, and
`other` (m, d), the factors Y. `prior` of these b rows are `mean` (b, d) or (1, d), `precision` (b,)
or (1,), zero for no prior, `spread` (b, d) or (1, d) and `shared` (d, d), or (0, 0) for zero.
Results go to the rows `which` of `out` (n, d).

Two more belong to the basis T (d, d) of a `basis.SharedBasis`, with ``T'(Y'Y + R I)T = I`` and
``T'PT = diag(scale)``. `basis` are T, T', both float32, `scale` (d,) and `reach`, the spectral norm
of T. `kept` are `place` (m,), which says for each column which row of the next it is, or -1, and
rows of Y T (q, d), which are computed once.
"""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]
Parts = tuple[Any, ...]

# Sums may be reordered, so that they use vector registers; NaN and inf stay what they are.
OPTIONS: dict[str, Any] = {
    "nogil": True,
    "cache": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract"},
    "no_cfunc_wrapper": True,
}
INSIDE = {**OPTIONS, "no_cpython_wrapper": True}  # only kernels call it: it compiles sooner
BLOCK = 128  # rows in one call, and in every matrix product
PIECE = 128  # rows in one product with the shared basis
GATHER = 256  # interactions gathered for one matrix product of `covariance_rows`
LONG = 1024  # interactions up to which those of a row are brought into the shared basis
ROUNDS = 3  # of refinement
STEPS = 60  # of conjugate gradients in one round, at most
TOLERANCE = 2e-5  # of a round: its residual, as a share of its solution
ERROR = 1e-7  # of a refined row, as a share of the row: float32 keeps 6e-8


@njit(**INSIDE)
def _dot(x: Array, y: Array) -> Any:
    total = x[0] * y[0]
    for j in range(1, x.size):
        total += x[j] * y[j]
    return total


@njit(**INSIDE)
def _copy(x: Array, out: Array) -> None:
    """out[:] = x, in a third of the time."""
    for j in range(x.size):
        out[j] = x[j]


@njit(**INSIDE)
def _subtract(x: Array, y: Array, out: Array) -> None:
    """out[:] = x - y."""
    for j in range(x.size):
        out[j] = x[j] - y[j]


@njit(**INSIDE)
def _add(scale: Any, x: Array, out: Array) -> None:
    """out += scale x, two matrices."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] += scale * x[i, j]


@njit(**INSIDE)
def _row(block: Array, k: int) -> int:
    """Row k of a part of the prior, which may be one row for everybody."""
    return k if block.shape[0] > 1 else 0


@njit(**INSIDE)
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

    Four at a time, so that `x` and `out` are read once for four rows of `other`. Added up in the
    precision of `x`, which `rhs` and `lhs` share.
    """
    one, zero = x.dtype.type(1), x.dtype.type(0)
    e = 0
    while e + 4 <= indices.size:
        i0, i1, i2, i3 = indices[e], indices[e + 1], indices[e + 2], indices[e + 3]
        t0, t1, t2, t3 = zero, zero, zero, zero
        for j in range(x.size):
            t0 += other[i0, j] * x[j]
            t1 += other[i1, j] * x[j]
            t2 += other[i2, j] * x[j]
            t3 += other[i3, j] * x[j]
        c0, c1 = one * (alpha * values[e]), one * (alpha * values[e + 1])
        c2, c3 = one * (alpha * values[e + 2]), one * (alpha * values[e + 3])
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
        y, c = other[indices[e]], one * (alpha * values[e])
        t = rhs * max(c, zero) + lhs * (abs(c) - one) * _dot(y, x)
        for j in range(x.size):
            out[j] += t * y[j]
        e += 1


@njit(**INSIDE)
def _add_prior(count: int, prior: Parts, x: Array, out: Array) -> None:
    """out_k += L_k x_k for the first `count` rows of a block."""
    _, precision, spread, shared = prior
    if shared.size > 0:
        products = np.dot(x, shared)
        for k in range(count):
            scale, product, row = precision[_row(precision, k)], products[k], out[k]
            for j in range(row.size):
                row[j] += scale * product[j]
    for k in range(count):
        scale, diagonal = precision[_row(precision, k)], spread[_row(spread, k)]
        given, row = x[k], out[k]
        for j in range(row.size):
            row[j] += scale * diagonal[j] * given[j]


@njit(**OPTIONS)
def cg_rows(
    which: Array,
    log: Parts,
    prior: Parts,
    gram: Array,
    sizes: Array,
    steps: int,
    out: Array,
) -> None:
    """A few conjugate gradient steps per row, from the row's present value, in float32.

    `gram` is Y'Y + R I (d, d). What all rows share is one matrix product per step and block. The
    equation of row k is divided by its size, of `sizes` (b,) or (1,): a very strong prior would
    overflow.
    """
    indptr, indices, values, alpha, other = log
    mean, precision, _, _ = prior
    count, d = which.size, other.shape[1]
    one, zero, tiny = np.float32(1), np.float32(0), np.float32(1e-20)
    pulls = precision.any()
    x, p = np.zeros((BLOCK, d), np.float32), np.zeros((BLOCK, d), np.float32)
    r, ap = np.zeros((BLOCK, d), np.float32), np.zeros((BLOCK, d), np.float32)
    residual = np.zeros(count, np.float32)
    for k in range(count):
        _copy(out[which[k]], x[k])
        _subtract(x[k], mean[_row(mean, k)], p[k])
    for step in range(steps + 1):  # the first finds r = b - A x, the others descend
        given, rhs = (x, -one) if step == 0 else (p, zero)
        np.dot(given, gram, ap)
        if pulls:
            _add_prior(count, prior, p, ap)
        for k in range(count):
            if step > 0 and residual[k] < tiny:
                continue
            row = slice(indptr[which[k]], indptr[which[k] + 1])
            _add_observed(indices[row], values[row], alpha, other, given[k], rhs, one, ap[k])
            for j in range(d):
                ap[k, j] /= sizes[_row(sizes, k)]
            if step == 0:
                for j in range(d):
                    r[k, j] = p[k, j] = -ap[k, j]
                residual[k] = _dot(r[k], r[k])
                continue
            length = residual[k] / _dot(p[k], ap[k])
            for j in range(d):
                x[k, j] += length * p[k, j]
                r[k, j] -= length * ap[k, j]
            before, residual[k] = residual[k], _dot(r[k], r[k])
            turn = residual[k] / before
            for j in range(d):
                p[k, j] = r[k, j] + turn * p[k, j]
    for k in range(count):
        _copy(x[k], out[which[k]])


@njit(**OPTIONS)
def to_basis(which: Array, other: Array, basis: Array, out: Array) -> None:
    """out = other[which] T (k, d), PIECE rows in a product."""
    raw = np.zeros((PIECE, other.shape[1]), np.float32)
    for begin in range(0, which.size, PIECE):
        size = min(PIECE, which.size - begin)
        for e in range(size):
            _copy(other[which[begin + e]], raw[e])
        products = np.dot(raw[:size], basis)
        for e in range(size):
            _copy(products[e], out[begin + e])


@njit(**INSIDE)
def _in_basis(indices: Array, other: Array, basis: Array, kept: Parts, z: Array) -> None:
    """z = Y_S T (k, d): rows that are kept, and products where there is none."""
    place, rows = kept
    fresh, missing = 0, np.empty(PIECE, np.int64)
    raw = np.empty((PIECE, z.shape[1]), np.float32)
    for e in range(indices.size):
        if place[indices[e]] >= 0:
            _copy(rows[place[indices[e]]], z[e])
        else:
            missing[fresh] = e
            fresh += 1
        if fresh == PIECE or (fresh > 0 and e == indices.size - 1):
            to_basis(indices[missing[:fresh]], other, basis, raw)
            for f in range(fresh):
                _copy(raw[f], z[missing[f]])
            fresh = 0


@njit(**INSIDE)
def _spread_out(scale: Any, spread: Array, shared: Array, pull: Array) -> Any:
    """The size of L = scale (diag(spread) + shared), and whether `pull`, its diagonal, is uneven.

    `pull` is zero where it is even, or there is a shared matrix.
    """
    total, uneven = 0.0, False
    for j in range(spread.size):
        total += spread[j] / spread.size
        uneven = uneven or spread[j] != spread[0]
    for j in range(spread.size):
        pull[j] = scale * spread[j] if uneven else 0.0
    return scale if shared.size > 0 else scale * total, uneven


@njit(**INSIDE)
def _sample(indices: Array, values: Array, alpha: Any, columns: Array, confidences: Array) -> int:
    """All interactions of a row, or some that are evenly spaced; returns how many."""
    size = min(indices.size, columns.size)
    for e in range(size):
        place = e * indices.size // size
        columns[e], confidences[e] = indices[place], alpha * values[place]
    return size


@njit(**INSIDE)
def _precondition(
    confidences: Array, scale: Any, z: Array, rhs: Any, inverse: Array, r: Array
) -> None:
    """inverse = 1 / (inverse + scale diag(Z'WZ)), W = diag(|c| - 1), and r += rhs Z'max(c, 0)."""
    one, zero = np.float32(1), np.float32(0)
    for e in range(confidences.size):
        c = confidences[e]
        weight, pull = scale * (abs(c) - one), rhs * max(c, zero)
        for j in range(r.size):
            inverse[j] += weight * z[e, j] * z[e, j]
            r[j] += pull * z[e, j]
    for j in range(r.size):
        inverse[j] = one / max(inverse[j], np.float32(1e-3))


@njit(**INSIDE)
def _descend(
    indices: Array,
    values: Array,
    alpha: Any,
    other: Array,
    basis: Array,
    back: Array,
    every: Array,
    confidences: Array,
    z: Array,
    diagonal: Array,
    pull: Array,
    uneven: bool,
    inverse: Array,
    work: Array,
    r: Array,
    x: Array,
) -> Any:
    """x = A^-1 r, A = diag(diagonal) + T' diag(pull) T + Z'WZ, W = diag(|c| - 1); r is overwritten.

    Conjugate gradients, preconditioned with the diagonal matrix `inverse`, until the residual is
    TOLERANCE of the solution; returns whether that was reached. `pull` is zero if not `uneven`.
    Where `z` does not hold all interactions of the row, Z'WZ is applied as T'Y'WYT. `every` is
    0, 1, ..., `work` (4, d).
    """
    d, one, zero = x.size, np.float32(1), np.float32(0)
    p, ap, q, yq = work[0], work[1], work[2], work[3]
    long = confidences.size < indices.size
    largest = zero
    for j in range(d):
        largest = max(largest, abs(r[j]))
    size = zero
    converged: Any = not largest > zero
    for j in range(d):
        r[j] /= largest  # squares neither overflow nor vanish
        x[j], p[j] = zero, inverse[j] * r[j]
        size += p[j] * r[j]
    for _ in range(STEPS if largest > zero else 0):
        for j in range(d):
            ap[j] = diagonal[j] * p[j]
        if not long:
            _add_observed(every[: indices.size], confidences, one, z, p, zero, one, ap)
        if long or uneven:
            for j in range(d):
                q[j] = _dot(basis[j], p)
                yq[j] = pull[j] * q[j]
            if long:
                _add_observed(indices, values, alpha, other, q, zero, one, yq)
            for j in range(d):
                ap[j] += _dot(back[j], yq)
        step = size / _dot(p, ap)
        before, size, rest, reached = size, zero, zero, zero
        for j in range(d):
            x[j] += step * p[j]
            r[j] -= step * ap[j]
            size += inverse[j] * r[j] * r[j]
            rest += r[j] * r[j]
            reached += x[j] * x[j]
        converged = rest <= np.float32(TOLERANCE * TOLERANCE) * reached
        if converged or not rest > zero:
            break
        for j in range(d):
            p[j] = inverse[j] * r[j] + size / before * p[j]
    for j in range(d):
        x[j] *= largest
    return converged


@njit(**INSIDE)
def _residuals(
    which: Array, log: Parts, prior: Parts, gram: Array, done: Array, x: Array, first: bool
) -> Any:
    """b - A x of a block (BLOCK, d), rounded to float32; `x` is zero in the `first` round.

    Then only long rows read their interactions: `_precondition` adds those of the others, in the
    basis. Rows that are `done` get anything.
    """
    indptr, indices, values, alpha, other = log
    mean = prior[0]
    residual, away = np.zeros(x.shape), np.zeros(x.shape)
    if not first:
        _add(-1.0, np.dot(x, gram), residual)
    for k in range(which.size):
        _subtract(mean[_row(mean, k)], x[k], away[k])
    _add_prior(which.size, prior, away, residual)
    for k in range(which.size):
        row = slice(indptr[which[k]], indptr[which[k] + 1])
        if not done[k] and (not first or row.stop - row.start > LONG):
            _add_observed(indices[row], values[row], alpha, other, x[k], 1.0, -1.0, residual[k])
    return residual.astype(np.float32)


@njit(**INSIDE)
def _judge(
    correction: Array,
    converged: Array,
    x: Array,
    reach: float,
    first: bool,
    sizes: Array,
    done: Array,
) -> None:
    """A row is done where this round converged, and another one would add less than ERROR.

    Its correction would be about ``last^2 / before`` in the basis, at most `reach` times that in
    the row. `sizes` (b,) holds the corrections of the round before, and then those of this one.
    """
    for k in range(done.size):
        before, last = sizes[k], np.sqrt(_dot(correction[k], correction[k]))
        sizes[k] = last
        if converged[k] and not first and not done[k]:
            done[k] = reach * last * last <= ERROR * np.sqrt(_dot(x[k], x[k])) * before


@njit(**OPTIONS)
def refined_rows(
    which: Array,
    log: Parts,
    prior: Parts,
    gram: Array,
    basis: Parts,
    kept: Parts,
    solved: Array,
    out: Array,
) -> None:
    """The exact solution of rows whose precisions are multiples of one matrix P, or diagonal.

    In the basis what all rows share is diagonal, and conjugate gradients converge soon. They run
    there in float32. From the second round on the residual is computed in float64 and with the true
    Y: iterative refinement. `solved` (n,) says which rows were brought to an end. All parts of the
    prior are float64.
    """
    indptr, indices, values, alpha, other = log
    _, precision, spread, shared = prior
    into, back, scale, reach = basis
    count, d = which.size, other.shape[1]
    z, every = np.empty((LONG, d), np.float32), np.zeros(LONG, np.int32)
    for e in range(LONG):
        every[e] = e
    columns, confidences = np.empty(LONG, indices.dtype), np.empty(LONG, np.float32)
    work, diagonal = np.empty((4, d), np.float32), np.empty(d, np.float32)
    inverse, pull, one = np.empty(d, np.float32), np.empty(d, np.float32), np.float32(1)
    x, sizes = np.zeros((BLOCK, d)), np.zeros(count)
    done, converged = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    for turn in range(ROUNDS):
        first = turn == 0
        residual = _residuals(which, log, prior, gram, done, x, first)
        r, correction = np.dot(residual, into), np.zeros((BLOCK, d), np.float32)
        for k in range(count):
            if done[k]:
                continue
            row = slice(indptr[which[k]], indptr[which[k] + 1])
            size = _sample(indices[row], values[row], alpha, columns, confidences)
            scale_up = np.float32((row.stop - row.start) / size)
            rhs = np.float32(first and row.stop - row.start <= LONG)
            _in_basis(columns[:size], other, into, kept, z)
            strength, uneven = _spread_out(
                precision[_row(precision, k)], spread[_row(spread, k)], shared, pull
            )
            for j in range(d):
                inverse[j] = 1.0 + strength * scale[j]
                diagonal[j] = one if uneven else inverse[j]
            _precondition(confidences[:size], scale_up, z, rhs, inverse, r[k])
            converged[k] = _descend(
                indices[row],
                values[row],
                alpha,
                other,
                into,
                back,
                every,
                confidences[:size],
                z,
                diagonal,
                pull,
                uneven,
                inverse,
                work,
                r[k],
                correction[k],
            )
        _add(1.0, np.dot(correction, back), x)
        _judge(correction, converged, x, reach, first, sizes, done)
        if done.all():
            break
    for k in range(count):
        _copy(x[k], out[which[k]])
        solved[which[k]] = done[k]


@njit(**OPTIONS)
def covariance_rows(
    which: Array,
    log: Parts,
    precision: Array,
    basis: Parts,
    kept: Parts,
) -> Any:
    """The sum (d, d) of the inverses of these rows' matrices, in the basis.

    There a matrix is D + Z'WZ, D diagonal and W = diag(|c| - 1). For a row of at most d/2
    interactions the smaller inverse is enough (Woodbury's identity): with ``V = Z D^-1`` it is
    ``D^-1 - V'(I + W V Z')^-1 W V``.
    """
    indptr, indices, values, alpha, other = log
    into, _, scale, _ = basis
    d, one = other.shape[1], np.float32(1)
    total, shrunk = np.zeros((d, d)), np.empty(d, np.float32)  # D^-1
    z, weighted = np.empty((GATHER, d), np.float32), np.empty((GATHER, d), np.float32)
    for k in range(which.size):
        begin, end = indptr[which[k]], indptr[which[k] + 1]
        few = 2 * (end - begin) <= min(d, 2 * GATHER)
        width = end - begin if few else d
        matrix = np.zeros((width, width), np.float32)
        for j in range(d):
            shrunk[j] = 1.0 / (1.0 + precision[_row(precision, k)] * scale[j])
        for first in range(begin, end, GATHER):
            size = min(GATHER, end - first)
            _in_basis(indices[first : first + size], other, into, kept, z)
            for e in range(size):
                weight = abs(alpha * values[first + e]) - one
                for j in range(d):
                    weighted[e, j] = weight * z[e, j] * (shrunk[j] if few else one)
            left, right = weighted[:size], z[:size]
            _add(one, np.dot(left, right.T) if few else np.dot(left.T, right), matrix)
        for i in range(width):
            matrix[i, i] += one if few else one / shrunk[i]
        inverse = np.linalg.inv(matrix)
        if few:
            for e in range(width):
                for j in range(d):
                    z[e, j] *= shrunk[j]
            _add(-1.0, np.dot(z[:width].T, np.dot(inverse, weighted[:width])), total)
            for j in range(d):
                total[j, j] += shrunk[j]
        else:
            _add(1.0, inverse, total)
    return total
