"""The one row equation behind training, fold-in and evaluation, and which kernel solves it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from coldstart import kernels
from coldstart.errors import FitError
from coldstart.prior import Prior
from coldstart.threads import one_blas_thread, run_blocks

__all__ = ["checked_factors", "gram_matrix", "prior_parts", "solve_into", "solve_rows"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

FEW = 0.5  # interactions per factor up to which a row is solved in the shared basis
ENOUGH_FEW = 32  # such rows that make the basis worth its cost
CONDITION = 1e-8  # smallest eigenvalue, as a share of the largest, of what has such a basis
KEPT = 0.1  # memory for rows in the shared basis, as a share of the matrix and both factors
COUNTED = 1 << 20  # interactions counted at a time


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

    Given `covariance` (d, d), the exact solver adds to it the posterior covariances (the inverses
    of their matrices) of all rows that have interactions.
    """
    (n, m), d = matrix.shape, other.shape[1]
    if m != len(other):
        raise ValueError(f"the matrix has {m} columns but the other side has {len(other)} rows")
    values, other = (np.ascontiguousarray(array, np.float32) for array in (matrix.data, other))
    gram = (gram_matrix(other) if gram is None else gram) + regularization * np.eye(d)
    indptr, indices, values, other = map(_frozen, (matrix.indptr, matrix.indices, values, other))
    equations = _Equations(
        (indptr, indices, values, np.float32(alpha), other),
        _frozen(gram),
        prior_parts(prior, n, d),
        num_threads,
        out,
    )
    solved = False
    with suppress(np.linalg.LinAlgError), np.errstate(over="ignore"):  # both end in the error below
        equations.fill_empty()
        if solver == "cg":
            equations.descend(cg_steps)
        else:
            equations.solve(np.zeros((0, 0)) if covariance is None else covariance)
        solved = not out.size or bool(np.isfinite([out.min(), out.max()]).all())
    if not solved:
        raise FitError(
            f"{what} have no finite solution: raise the regularization, "
            "or lower alpha, the weights or the precision of the prior"
        )


@dataclass(frozen=True, eq=False)
class _Equations:
    """The equations of n rows, and which kernel gets which of them.

    `arrays` are indptr, indices, values, alpha and other, as all kernels take them; `parts` those
    of the prior.
    """

    arrays: tuple[Any, ...]
    gram: Doubles
    parts: tuple[Any, Any, Any, Any]
    num_threads: int
    out: Floats

    @property
    def counts(self) -> NDArray[Any]:
        """Interactions per row (n,)."""
        return np.diff(self.arrays[0])

    def fill_empty(self) -> None:
        """Rows without interactions: the prior mean where its precision is positive, else zero."""
        prior_of = self._prior_of(np.float64)

        def fill(which: NDArray[Any]) -> None:
            mean, row, spread, shared = prior_of(which)
            known = row[:, None] * (spread + shared.diagonal() if shared.size else spread) > 0
            self.out[which] = np.where(known, mean, 0)

        self._in_blocks(np.flatnonzero(self.counts == 0), fill)

    def descend(self, steps: int) -> None:
        """Take conjugate gradient steps."""
        gram, prior_of = _frozen(self.gram.astype(np.float32)), self._prior_of(np.float32)

        def work(which: NDArray[Any]) -> None:
            kernels.cg_rows(which, *self.arrays, *prior_of(which), gram, steps, self.out)

        self._in_blocks(np.flatnonzero(self.counts), work)

    def solve(self, covariance: Doubles) -> None:
        """Solve rows with few interactions in a basis they share, if there is one, others whole."""
        counts = self.counts
        few = (counts > 0) & (counts <= FEW * len(self.gram))
        shape = self._prior_shape()
        basis = None
        if np.count_nonzero(few) >= ENOUGH_FEW and shape is not None:
            basis = _shared_basis(self.gram, shape)
        if basis is None:
            few[:] = False
        else:
            self._solve_few(np.flatnonzero(few), basis, covariance)

        prior_of = self._prior_of(np.float64)

        def work(which: NDArray[Any]) -> Doubles:
            total = np.zeros_like(covariance)
            prior = prior_of(which)
            kernels.exact_rows(which, *self.arrays, *prior, self.gram, total, self.out)
            return total

        self._in_blocks(np.flatnonzero((counts > 0) & ~few), work, covariance.__iadd__)

    def _solve_few(
        self, few: NDArray[Any], basis: tuple[Any, Any, Any], covariance: Doubles
    ) -> None:
        kept = self._kept_columns(few)
        place = np.full(len(self.arrays[-1]), -1, np.int32)
        place[kept] = np.arange(len(kept))
        in_basis = np.empty((len(kept), len(self.gram)))

        def transform(begin: int, end: int) -> None:
            rows = self.arrays[-1][kept[begin:end]].astype(np.float64)
            np.dot(rows, basis[0], out=in_basis[begin:end])

        run_blocks(transform, len(kept), block=kernels.BLOCK, num_threads=self.num_threads)

        prior_of = self._prior_of(np.float64)

        def work(which: NDArray[Any]) -> Doubles:
            total = np.zeros_like(covariance)
            mean, row, *_ = prior_of(which)
            shared = (*basis, place, in_basis)
            kernels.few_rows(which, *self.arrays, mean, row, *shared, total, self.out)
            return total

        self._in_blocks(few, work, covariance.__iadd__)

    def _kept_columns(self, few: NDArray[Any]) -> NDArray[Any]:
        """Columns worth keeping in the shared basis: met more than once, the most popular first."""
        _, indices, values, _, other = self.arrays
        memory = indices.nbytes + values.nbytes + other.nbytes + self.out.nbytes
        room = int(KEPT * memory / (8 * len(self.gram)))
        popularity = np.zeros(len(other), np.int64)
        if room and self.counts[few].sum() > 0:
            for begin in range(0, len(indices), COUNTED):
                popularity += np.bincount(indices[begin : begin + COUNTED], minlength=len(other))
        columns = np.flatnonzero(popularity > 1)
        return columns[np.argsort(-popularity[columns], kind="stable")[:room]]

    def _prior_shape(self) -> Doubles | None:
        """The matrix (d, d) of which every row's precision is a multiple, if there is one."""
        _, _, spread, shared = self.parts
        if shared.size:
            return np.asarray(shared, np.float64)
        return np.diag(spread[0].astype(np.float64)) if len(spread) == 1 else None

    def _prior_of(self, dtype: Any) -> Callable[[NDArray[Any]], list[NDArray[Any]]]:
        """What gives the parts of the prior of some rows; one that all share stays one row."""
        alike = [len(part) == 1 for part in self.parts[:-1]] + [True]
        parts = [
            _frozen(np.ascontiguousarray(part, dtype)) if same else part
            for part, same in zip(self.parts, alike, strict=True)
        ]

        def taken(which: NDArray[Any]) -> list[NDArray[Any]]:
            return [
                part if same else _frozen(part[which].astype(dtype, copy=False))
                for part, same in zip(parts, alike, strict=True)
            ]

        return taken

    def _in_blocks(
        self,
        which: NDArray[Any],
        work: Callable[[NDArray[Any]], Any],
        collect: Callable[[Any], Any] | None = None,
    ) -> None:
        run_blocks(
            lambda begin, end: work(which[begin:end]),
            len(which),
            block=kernels.BLOCK,
            num_threads=self.num_threads,
            collect=collect,
        )


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only view: a kernel is compiled once, for inputs that it cannot change."""
    view = array.view()
    view.flags.writeable = False
    return view


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
