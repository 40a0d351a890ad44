"""The one row equation behind training, fold-in and evaluation, and which kernel solves it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from coldstart import kernels
from coldstart.errors import FitError
from coldstart.prior import Prior
from coldstart.threads import one_blas_thread, run_blocks

__all__ = ["checked_factors", "gram_matrix", "prior_parts", "solve_rows"]

Floats = NDArray[np.float32]

FEW = 0.25  # interactions per factor up to which a row is solved in the shared basis
ENOUGH_FEW = 32  # such rows that make the basis worth its cost
CONDITION = 1e-8  # smallest eigenvalue, as a share of the largest, of what has such a basis
ROW_BLOCK = 128  # rows a thread takes at a time


def solve_rows(
    confidence: sp.csr_matrix,
    other: Floats,
    *,
    regularization: float,
    prior: Prior | None = None,
    start: ArrayLike | None = None,
    solver: str = "cholesky",
    cg_steps: int = 3,
    num_threads: int = 0,
    gram: NDArray[np.float64] | None = None,
    what: str = "rows",
) -> Floats:
    """The one row equation behind training, fold-in and evaluation.

    Parameters
    ----------
    confidence : csr_matrix (n, m)
        ``alpha * value`` of the observed pairs; unobserved pairs have confidence 1.
    other : array (m, d)
        Factors of the other side.
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

    Returns
    -------
    array (n, d), float32

    Raises
    ------
    FitError
        When a row has no finite solution.
    """
    (n, m), d = confidence.shape, other.shape[1]
    if m != len(other):
        raise ValueError(f"the matrix has {m} columns but the other side has {len(other)} rows")
    # kernels are compiled for writable float32
    values, other = (np.require(a, np.float32, ["C", "W"]) for a in (confidence.data, other))
    gram = (gram_matrix(other) if gram is None else gram) + regularization * np.eye(d)
    mean, *precision = prior_parts(prior, n, d)
    out = checked_factors(np.zeros((n, d)) if start is None else start, n, d, "start")
    arrays = confidence.indptr, confidence.indices, values, other
    solved = False
    with suppress(np.linalg.LinAlgError), np.errstate(over="ignore"):  # both end in the error below
        if solver == "cg":
            parts = [part.astype(np.float32) for part in (gram, mean, *precision)]
            _run(kernels.cg_rows, n, num_threads, *arrays, *parts, cg_steps, out)
        else:
            _solve_exactly(arrays, gram, mean.astype(np.float32), precision, num_threads, out)
        solved = bool(np.isfinite(out).all())
    if not solved:
        raise FitError(
            f"{what} have no finite solution: raise the regularization, "
            "or lower alpha, the weights or the precision of the prior"
        )
    return out


def _run(kernel: Any, n: int, num_threads: int, *arguments: Any) -> None:
    def work(begin: int, end: int) -> None:
        kernel(begin, end, *arguments)

    run_blocks(work, n, block=ROW_BLOCK, num_threads=num_threads)


def _solve_exactly(
    arrays: Any, gram: Any, mean: Any, precision: list[Any], num_threads: int, out: Floats
) -> None:
    """Solve rows with few interactions in a basis they share, if there is one, and others whole."""
    counts = np.diff(arrays[0])
    row, spread, shared = (part.astype(np.float64) for part in precision)
    few = (counts > 0) & (counts <= FEW * len(gram))
    basis = None
    if np.count_nonzero(few) >= ENOUGH_FEW and len(spread) == 1:
        basis = _shared_basis(gram, shared if shared.size else np.diag(spread[0]))
    if basis is None:
        few[:] = False
    else:
        which = np.flatnonzero(few)
        _run(kernels.few_rows, len(which), num_threads, *arrays, *basis, mean, row, which, out)
    rest = np.flatnonzero(~few)
    whole = gram, mean, row, spread, shared
    _run(kernels.exact_rows, len(rest), num_threads, *arrays, *whole, rest, out)


def _shared_basis(gram: Any, shape: Any) -> tuple[Any, Any, Any] | None:
    """T with ``T' gram T = I`` and ``T' shape T`` diagonal, T^-1, and the diagonal.

    None where `gram` is so nearly singular that T would lose the digits of float32.
    """
    with one_blas_thread():
        sizes = np.linalg.eigvalsh(gram)
        if not sizes[0] > CONDITION * sizes[-1]:
            return None
        root = np.linalg.cholesky(gram)
        half = scipy.linalg.solve_triangular(root, shape, lower=True)
        middle = scipy.linalg.solve_triangular(root, half.T, lower=True)
        scale, vectors = np.linalg.eigh((middle + middle.T) / 2)
        basis = scipy.linalg.solve_triangular(root.T, vectors, lower=False)
        inverse = np.ascontiguousarray(vectors.T @ root.T)
    return np.ascontiguousarray(basis), inverse, np.maximum(scale, 0.0)


def gram_matrix(factors: Floats) -> NDArray[np.float64]:
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
