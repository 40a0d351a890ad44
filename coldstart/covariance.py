"""The sum of the posterior covariances of many rows, which expectation-maximisation needs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from coldstart.basis import SharedBasis
from coldstart.equations import Equations

__all__ = ["add_covariances"]

Doubles = NDArray[np.float64]
Rows = NDArray[np.intp]

FEW = 0.5  # interactions per factor up to which a row is a smaller system in the shared basis
BATCH = 32  # rows in one stack of matrices


def add_covariances(equations: Equations, total: Doubles) -> None:
    """Add to `total` (d, d) the inverses of the matrices of all rows that have interactions.

    The sum is bitwise the same for any number of threads.
    """
    counts, basis = equations.counts, equations.basis()
    few = (counts > 0) & (counts <= FEW * len(total)) & (basis is not None)
    if basis is not None:
        _add(_of_few(equations, basis), equations, few, total)
    _add(_of_many(equations), equations, (counts > 0) & ~few, total)


def _add(
    work: Callable[[Rows], Doubles], equations: Equations, rows: NDArray[np.bool_], total: Doubles
) -> None:
    """Rows of about the same length make one stack."""
    which = np.flatnonzero(rows)
    which = which[np.argsort(equations.counts[which], kind="stable")]
    equations.in_blocks(which, work, block=BATCH, collect=total.__iadd__)


def _of_few(equations: Equations, basis: SharedBasis) -> Callable[[Rows], Doubles]:
    """By Woodbury's identity: with ``Z = Y_S T``, ``D = 1 / (1 + precision_u scale)`` and
    ``W = diag(|c| - 1)``, ``A^-1 = T (D - D Z' (I + W Z D Z')^-1 W Z D) T'``.
    """
    indptr, indices, values, alpha, other = equations.arrays
    prior_of = equations.prior_of(np.float64)

    def work(which: Rows) -> Doubles:
        _, precision, *_ = prior_of(which)
        shrunk = 1 / (1 + precision[:, None] * basis.scale)  # D, of each row or of all
        counts = np.diff(indptr)[which]
        place = np.arange(counts.max())
        here = place < counts[:, None]  # (b, k), the others are padding
        cells = np.where(here, indptr[which][:, None] + place, 0)
        weight = np.where(here, abs(alpha * values[cells]) - 1.0, 0.0)[:, :, None]
        z = other[indices[cells]].astype(np.float64) @ basis.double
        damped = z * shrunk[:, None, :]
        system = np.eye(len(place)) + weight * (damped @ z.swapaxes(1, 2))
        solved = np.linalg.solve(system, weight * damped)
        inner = np.diag(shrunk.sum(axis=0) * (len(which) / len(shrunk)))
        inner -= damped.reshape(-1, len(inner)).T @ solved.reshape(-1, len(inner))
        return np.asarray(basis.double @ inner @ basis.double.T)

    return work


def _of_many(equations: Equations) -> Callable[[Rows], Doubles]:
    """By inverting each matrix."""
    indptr, indices, values, alpha, other = equations.arrays
    prior_of = equations.prior_of(np.float64)

    def matrix(u: int) -> Doubles:
        row = slice(indptr[u], indptr[u + 1])
        y, weight = other[indices[row]].astype(np.float64), abs(alpha * values[row]) - 1.0
        return np.asarray(y.T @ (weight[:, None] * y))

    def work(which: Rows) -> Doubles:
        _, precision, spread, shared = prior_of(which)
        matrices = np.stack([matrix(u) for u in which]) + equations.gram
        diagonal = np.arange(len(other.T))
        matrices[:, diagonal, diagonal] += precision[:, None] * spread
        if shared.size:
            matrices += precision[:, None, None] * shared
        return np.asarray(np.linalg.inv(matrices).sum(axis=0))

    return work
