"""The sum of the posterior covariances of many rows, which expectation-maximisation needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldstart import kernels
from coldstart.basis import SharedBasis
from coldstart.equations import Equations

__all__ = ["add_covariances"]

Doubles = NDArray[np.float64]
Rows = NDArray[np.intp]

BATCH = 32  # rows in one stack of matrices


def add_covariances(equations: Equations, total: Doubles) -> None:
    """Add to `total` (d, d) the inverses of the matrices of all rows that have interactions.

    Float32 inside where there is a shared basis, in which all matrices are well conditioned. The
    sum is bitwise the same for any number of threads.
    """
    which, basis = np.flatnonzero(equations.counts), equations.basis()
    if basis is None:
        equations.in_blocks(which, _inverted(equations), block=BATCH, collect=total.__iadd__)
        return
    inside = np.zeros_like(total)
    equations.in_blocks(which, _in_basis(equations, basis), collect=inside.__iadd__)
    total += basis.double @ inside @ basis.double.T


def _in_basis(equations: Equations, basis: SharedBasis) -> Callable[[Rows], Any]:
    prior_of, kept = equations.prior_of(np.float64), equations.kept_rows(basis)

    def work(which: Rows) -> Any:
        _, precision, *_ = prior_of(which)
        arrays = *equations.arrays, precision, basis.single, basis.scale, *kept
        return kernels.covariance_rows(which, *arrays)

    return work


def _inverted(equations: Equations) -> Callable[[Rows], Any]:
    indptr, indices, values, alpha, other = equations.arrays
    prior_of = equations.prior_of(np.float64)

    def matrix(u: int) -> Doubles:
        row = slice(indptr[u], indptr[u + 1])
        y, weight = other[indices[row]].astype(np.float64), abs(alpha * values[row]) - 1.0
        return np.asarray(y.T @ (weight[:, None] * y))

    def work(which: Rows) -> Any:
        _, precision, spread, shared = prior_of(which)
        matrices = np.stack([matrix(u) for u in which]) + equations.gram
        diagonal = np.arange(len(other.T))
        matrices[:, diagonal, diagonal] += precision[:, None] * spread
        if shared.size:
            matrices += precision[:, None, None] * shared
        return np.linalg.inv(matrices).sum(axis=0)

    return work
