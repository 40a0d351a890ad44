"""Solving rows: the one function behind training, fold-in and evaluation."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from coldstart.covariance import add_covariances
from coldstart.equations import Equations, frozen
from coldstart.errors import FitError
from coldstart.prior import Prior
from coldstart.threads import one_blas_thread

__all__ = ["checked_factors", "gram_matrix", "prior_parts", "solve_into", "solve_rows"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


def solve_rows(
    matrix: sp.csr_matrix,
    other: Floats,
    *,
    alpha: float = 1.0,
    regularization: float,
    prior: Prior | None = None,
    start: ArrayLike | None = None,
    solver: str = "cholesky",
    cg_steps: int = 3,
    num_threads: int = 0,
    gram: Doubles | None = None,
    what: str = "rows",
) -> Floats:
    """Rows (n, d) in float32 of the one equation behind training, fold-in and evaluation.

    Parameters
    ----------
    matrix : csr_matrix (n, m) of float32
        Observed pairs have confidence ``alpha * value``, unobserved pairs 1.
    other : array (m, d)
        Factors of the other side.
    alpha : float
    regularization : float
        Ridge around zero.
    prior : Prior of n rows (or of one row, for everybody), optional
    start : array (n, d), optional
        Where conjugate gradients start, zeros by default; the exact solver does not read it.
    solver : {"cholesky", "cg"}
    gram : array (d, d), optional
        ``other' other``, where the caller has it already.
    what : str, default "rows"
        What an error message calls the rows.

    Raises
    ------
    FitError
        When a row has no finite solution.
    """
    n, d = matrix.shape[0], other.shape[1]
    out = checked_factors(np.zeros((n, d)) if start is None else start, n, d, "start")
    solve_into(
        out,
        matrix,
        other,
        alpha=alpha,
        regularization=regularization,
        prior=prior,
        solver=solver,
        cg_steps=cg_steps,
        num_threads=num_threads,
        gram=gram,
        what=what,
    )
    return out


def solve_into(
    out: Floats,
    matrix: sp.csr_matrix,
    other: Floats,
    *,
    alpha: float = 1.0,
    regularization: float,
    prior: Prior | None = None,
    solver: str = "cholesky",
    cg_steps: int = 3,
    num_threads: int = 0,
    gram: Doubles | None = None,
    covariance: Doubles | None = None,
    what: str = "rows",
) -> None:
    """As `solve_rows`, over what `out` (n, d) holds, which is where conjugate gradients start.

    Posterior covariances (the inverses of their matrices) of all rows that have interactions are
    added to `covariance` (d, d), where it is given.
    """
    (n, m), d = matrix.shape, other.shape[1]
    if m != len(other):
        raise ValueError(f"the matrix has {m} columns but the other side has {len(other)} rows")
    values, other = (np.ascontiguousarray(array, np.float32) for array in (matrix.data, other))
    gram = (gram_matrix(other) if gram is None else gram) + regularization * np.eye(d)
    indptr, indices, values, other = map(frozen, (matrix.indptr, matrix.indices, values, other))
    equations = Equations(
        (indptr, indices, values, np.float32(alpha), other),
        frozen(gram),
        prior_parts(prior, n, d),
        num_threads,
    )
    solved = False
    with suppress(np.linalg.LinAlgError), np.errstate(over="ignore"):  # both end in the error below
        equations.fill_empty(out)
        if solver == "cg":
            equations.descend(out, cg_steps)
        else:
            equations.solve(out)
        if covariance is not None:
            add_covariances(equations, covariance)
        solved = not out.size or bool(np.isfinite([out.min(), out.max()]).all())
    if not solved:
        raise FitError(
            f"{what} have no finite solution: raise the regularization, "
            "or lower alpha, the weights or the precision of the prior"
        )


def gram_matrix(factors: Floats) -> Doubles:
    """``factors' factors`` (d, d) in float64, the same for any number of threads."""
    d = factors.shape[1]
    total = np.zeros((d, d))
    with one_blas_thread():
        for begin in range(0, factors.shape[0], 4096):
            block = factors[begin : begin + 4096].astype(np.float64)
            total += block.T @ block
    return total


def prior_parts(prior: Prior | None, n: int, d: int) -> tuple[Any, Any, Any, Any]:
    """Mean (n, d) or (1, d), and the parts of the precision; zeros where there is no prior."""
    if prior is None:
        return np.zeros((1, d)), np.zeros(1), np.zeros((1, d)), np.zeros((0, 0))
    if prior.width != d:
        raise ValueError(f"the prior is {prior.width} wide but the factors are {d} wide")
    if len(prior) not in (1, n):
        raise ValueError(
            f"the prior has {len(prior)} rows but the matrix has {n}: give one for each, or one"
        )
    return prior.mean, *prior.parts()


def checked_factors(factors: ArrayLike, n: int, d: int, name: str) -> Floats:
    """A copy of factors (n, d) in float32, finite."""
    array = np.array(factors, dtype=np.float32, order="C")
    if array.shape != (n, d):
        raise ValueError(f"{name} must be ({n}, {d}), got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or inf")
    return array
