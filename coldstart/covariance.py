"""The sum of the posterior covariances of many rows, which expectation-maximisation needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldstart import kernels
from coldstart.basis import SharedBasis, shared_basis
from coldstart.equations import STACK, Equations, frozen, numbers

__all__ = ["add_covariances"]

Doubles = NDArray[np.float64]
Rows = NDArray[np.integer[Any]]

STEEP = 1e4  # largest confidence in float32: about the condition of its matrix in that basis


def add_covariances(equations: Equations, total: Doubles) -> None:
    """Add to `total` (d, d) the inverses of the matrices of all rows that have interactions.

    Float32 inside where rows share a basis, in which their matrices are well conditioned unless
    confidences are huge; else float64. The sum is bitwise the same for any number of threads.
    """
    mild = _even(equations.parts[2]) & ~_steep(equations)
    for rows, shape in equations.kinds():
        rows = rows & (equations.counts > 0)
        basis = shared_basis(equations.gram, shape) if rows.any() else None
        light = rows & mild & (basis is not None)
        if basis is not None and light.any():
            inside = np.zeros_like(total)
            work = _in_basis(equations, basis)
            equations.in_blocks(numbers(light), work, collect=inside.__iadd__)
            total += basis.double @ (inside + inside.T) / 2 @ basis.double.T
        rest = numbers(rows & ~light)
        equations.in_blocks(
            rest,
            lambda which: np.linalg.inv(equations.matrices(which)).sum(axis=0),
            block=STACK,
            collect=total.__iadd__,
        )


def _even(spread: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether all numbers of a row are the same."""
    return np.asarray((spread == spread[:, :1]).all(axis=1))


def _steep(equations: Equations) -> NDArray[np.bool_]:
    """Whether a row has a confidence above STEEP."""
    indptr, _, values, alpha, _ = equations.arrays
    found = np.zeros(len(equations.counts), np.bool_)
    if values.size and alpha * max(values.max(), -values.min()) > STEEP:
        places = np.flatnonzero(alpha * np.abs(values) > STEEP)
        found[np.searchsorted(indptr, places, side="right") - 1] = True
    return found


def _in_basis(equations: Equations, basis: SharedBasis) -> Callable[[Rows], Any]:
    prior_of, kept = equations.prior_of(np.float64), equations.kept_rows(basis)

    def work(which: Rows) -> Any:
        _, precision, spread, shared = prior_of(which)
        strength = precision if shared.size else precision * spread[:, 0]
        return kernels.covariance_rows(
            which, equations.arrays, frozen(strength), basis.inside, kept
        )

    return work
