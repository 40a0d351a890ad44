"""The equations of many rows against one other side, and which kernel gets which of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldstart import kernels
from coldstart.basis import SharedBasis, shared_basis
from coldstart.threads import run_blocks

__all__ = ["Equations", "frozen", "numbers"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Rows = NDArray[np.integer[Any]]

STRONG = 1e15  # largest precision in a shared basis, where no row's equation may overflow
STACK = 8  # matrices at a time
GATHERED = 4096  # interactions of a row that are multiplied at a time
KEPT = 0.1  # memory for columns in that basis, as a share of matrix, prior and both factors
COUNTED = 1 << 16  # interactions counted at a time


@dataclass(frozen=True, eq=False)
class Equations:
    """The equations of n rows: `kernels` says what they are.

    `arrays` are indptr, indices, values, alpha and other, as all kernels take them, and `parts`
    the mean and the three parts of the precision of the prior; `gram` is Y'Y + R I. Solutions go
    to `out` (n, d).
    """

    arrays: tuple[Any, ...]
    gram: Doubles
    parts: tuple[Any, Any, Any, Any]
    num_threads: int

    @property
    def counts(self) -> NDArray[Any]:
        """Interactions per row (n,)."""
        return np.diff(self.arrays[0])

    def fill_empty(self, out: Floats) -> None:
        """Rows without interactions: the prior mean where its precision is positive, else zero."""
        prior_of = self.prior_of(np.float64)

        def fill(which: Rows) -> None:
            mean, row, spread, shared = prior_of(which)
            out[which] = np.where(row[:, None] * _diagonal(spread, shared) > 0, mean, 0)

        self.in_blocks(numbers(self.counts == 0), fill)

    def descend(self, out: Floats, steps: int) -> None:
        """Take conjugate gradient steps from what `out` holds."""
        gram, prior_of = frozen(self.gram.astype(np.float32)), self.prior_of(np.float32)

        def work(which: Rows) -> None:
            _, row, spread, shared = prior = prior_of(which)
            sizes = np.maximum(row * _diagonal(spread, shared).max(axis=1), np.float32(1))
            kernels.cg_rows(which, self.arrays, prior, gram, sizes, steps, out)

        self.in_blocks(numbers(self.counts > 0), work)

    def solve(self, out: Floats) -> None:
        """Refine rows in the basis that those of their kind share; factorise what is left."""
        solved = np.zeros(len(out), np.bool_)
        for rows, shape in self.kinds():
            basis = shared_basis(self.gram, shape) if rows.any() else None
            if basis is not None:
                self._refine(rows, basis, solved, out)
        rest = numbers((self.counts > 0) & ~solved)
        self.in_blocks(rest, partial(self._factorise, out), block=STACK)

    def _refine(
        self, rows: NDArray[np.bool_], basis: SharedBasis, solved: NDArray[np.bool_], out: Floats
    ) -> None:
        mild = self._strengths() * basis.scale.max() <= STRONG
        which = numbers((self.counts > 0) & rows & mild)
        shared = self.gram, basis.inside, self.kept_rows(basis), solved, out
        prior_of = self.prior_of(np.float64)
        self.in_blocks(
            which, lambda some: kernels.refined_rows(some, self.arrays, prior_of(some), *shared)
        )

    def _factorise(self, out: Floats, which: Rows) -> None:
        matrices = self.matrices(which)
        np.linalg.cholesky(matrices)  # an error where one is not positive definite
        out[which] = np.linalg.solve(matrices, self._right_sides(which)[:, :, None])[:, :, 0]

    def matrices(self, which: Rows) -> Doubles:
        """The matrices (b, d, d) of some rows that have interactions."""
        _, precision, spread, shared = self.prior_of(np.float64)(which)
        found = np.zeros((len(which), *self.gram.shape)) + self.gram
        np.einsum("bjj->bj", found)[:] += precision[:, None] * spread
        if shared.size:
            found += precision[:, None, None] * shared
        for matrix, u in zip(found, which, strict=True):
            for y, confidence in self._observed(u):
                matrix += y.T @ ((abs(confidence) - 1)[:, None] * y)
        return np.asarray(found)

    def _right_sides(self, which: Rows) -> Doubles:
        mean, precision, spread, shared = self.prior_of(np.float64)(which)
        pull = spread * mean
        if shared.size:
            pull = pull + [shared @ row for row in mean]  # no row depends on its neighbours
        found = np.zeros((len(which), len(self.gram))) + precision[:, None] * pull
        for side, u in zip(found, which, strict=True):
            for y, confidence in self._observed(u):
                side += np.maximum(confidence, 0) @ y
        return np.asarray(found)

    def _observed(self, u: int) -> Iterator[tuple[Doubles, Doubles]]:
        """Factors and confidences of a row's interactions, some at a time, in float64."""
        indptr, indices, values, alpha, other = self.arrays
        for begin in range(indptr[u], indptr[u + 1], GATHERED):
            some = slice(begin, min(begin + GATHERED, indptr[u + 1]))
            yield other[indices[some]].astype(np.float64), (alpha * values[some]).astype(np.float64)

    def kinds(self) -> list[tuple[NDArray[np.bool_], Doubles]]:
        """Rows (n,) without and with a prior, and the matrix (d, d) that its precisions are like.

        What kind a row is of does not depend on the others.
        """
        *_, shared = self.parts
        pulled = np.broadcast_to(self._strengths() > 0, len(self.counts))
        like = shared if shared.size else np.eye(len(self.gram))
        return [(~pulled, np.zeros_like(self.gram)), (pulled, like)]

    def _strengths(self) -> NDArray[Any]:
        """The largest number on the diagonal of each row's precision, over that of `shared`."""
        _, precision, spread, shared = self.parts
        return np.asarray(precision * (float(shared.any()) if shared.size else spread.max(axis=1)))

    def kept_rows(self, basis: SharedBasis) -> tuple[NDArray[np.int32], Floats]:
        """Where among the kept rows a column stands (m,), or -1, and those rows in the basis."""
        kept, other = self._kept_columns(), self.arrays[-1]
        place = np.full(len(other), -1, np.int32)
        place[kept] = np.arange(len(kept))
        rows = np.empty((len(kept), other.shape[1]), np.float32)

        def transform(begin: int, end: int) -> None:
            kernels.to_basis(kept[begin:end], other, basis.single, rows[begin:end])

        run_blocks(transform, len(kept), block=kernels.BLOCK, num_threads=self.num_threads)
        return place, rows

    def _kept_columns(self) -> NDArray[Any]:
        """Columns worth keeping in the shared basis: met more than once, the most popular first."""
        indptr, indices, values, _, other = self.arrays
        given = indices, values, other, *self.parts
        memory = sum(part.nbytes for part in given) + len(indptr) * other[:1].nbytes
        room = int(KEPT * memory / other[:1].nbytes) if other.size else 0
        popularity = np.zeros(len(other), indptr.dtype)
        for begin in range(0, len(indices), COUNTED):
            popularity += np.bincount(indices[begin : begin + COUNTED], minlength=len(other))
        as_popular = np.bincount(popularity)[::-1].cumsum()[::-1]  # columns met at least so often
        least = max(2, int(np.searchsorted(-as_popular, -room)))
        best = numbers(popularity >= least)
        best = best[np.argsort(-popularity[best], kind="stable")]
        return frozen(best.astype(indices.dtype))

    def prior_of(self, dtype: Any) -> Callable[[Rows], tuple[NDArray[Any], ...]]:
        """What gives the parts of the prior of some rows; one that all share stays one row."""
        alike = [len(part) == 1 for part in self.parts[:-1]] + [True]
        parts = [
            frozen(np.ascontiguousarray(part, dtype)) if same else part
            for part, same in zip(self.parts, alike, strict=True)
        ]

        def taken(which: Rows) -> tuple[NDArray[Any], ...]:
            return tuple(
                part if same else frozen(part[which].astype(dtype, copy=False))
                for part, same in zip(parts, alike, strict=True)
            )

        return taken

    def in_blocks(
        self,
        which: Rows,
        work: Callable[[Rows], Any],
        *,
        block: int = kernels.BLOCK,
        collect: Callable[[Any], Any] | None = None,
    ) -> None:
        """Call `work` for every block of these rows, as `threads.run_blocks` does."""
        run_blocks(
            lambda begin, end: work(which[begin:end]),
            len(which),
            block=block,
            num_threads=self.num_threads,
            collect=collect,
        )


def numbers(mask: NDArray[np.bool_]) -> Rows:
    """Numbers of the rows where `mask` (n,) is true, of 32 bits where they fit."""
    return np.flatnonzero(mask).astype(np.int32 if len(mask) < 1 << 31 else np.int64)


def _diagonal(spread: NDArray[Any], shared: NDArray[Any]) -> NDArray[Any]:
    """Diagonals (b, d) of the matrices that the precisions of rows are multiples of."""
    return spread + shared.diagonal() if shared.size else spread


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only view: a kernel is compiled once, for inputs that it cannot change."""
    view = array.view()
    view.flags.writeable = False
    return view
