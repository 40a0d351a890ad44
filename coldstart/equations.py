"""The equations of many rows against one other side, and which kernel gets which of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldstart import kernels
from coldstart.basis import SharedBasis, shared_basis
from coldstart.threads import run_blocks

__all__ = ["Equations", "frozen"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Rows = NDArray[np.intp]

STRONG = 1e15  # largest precision in a shared basis, where no row's equation may overflow
KEPT = 0.15  # memory for columns in that basis, as a share of matrix, prior and both factors
COUNTED = 1 << 16  # interactions counted at a time, in int64


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

        self.in_blocks(np.flatnonzero(self.counts == 0), fill)

    def descend(self, out: Floats, steps: int) -> None:
        """Take conjugate gradient steps from what `out` holds."""
        gram, prior_of = frozen(self.gram.astype(np.float32)), self.prior_of(np.float32)

        def work(which: Rows) -> None:
            _, row, spread, shared = prior = prior_of(which)
            sizes = np.maximum(row * _diagonal(spread, shared).max(axis=1), np.float32(1))
            kernels.cg_rows(which, *self.arrays, *prior, gram, sizes, steps, out)

        self.in_blocks(np.flatnonzero(self.counts), work)

    def solve(self, out: Floats) -> None:
        """Refine rows in the basis they share, if there is one; factorise what is left."""
        basis, solved = self.basis(), np.zeros(len(out), np.bool_)
        prior_of = self.prior_of(np.float64)

        def refine(which: Rows) -> None:
            kernels.refined_rows(which, *self.arrays, *prior_of(which), self.gram, *shared, out)

        def factorise(which: Rows) -> None:
            kernels.exact_rows(which, *self.arrays, *prior_of(which), self.gram, out)

        if basis is not None:
            shared = basis.single, basis.back, basis.scale, *self.kept_rows(basis), solved
            mild = self.parts[1] * basis.scale.max() <= STRONG
            self.in_blocks(np.flatnonzero((self.counts > 0) & mild), refine)
        self.in_blocks(np.flatnonzero((self.counts > 0) & ~solved), factorise)

    def basis(self) -> SharedBasis | None:
        """The basis that the rows share, if their precisions are multiples of one matrix."""
        _, precision, spread, shared = self.parts
        if not (precision.any() and (spread.any() or shared.any())):
            return shared_basis(self.gram, np.zeros_like(self.gram))
        if shared.size:
            return shared_basis(self.gram, shared)
        return shared_basis(self.gram, np.diag(spread[0])) if len(spread) == 1 else None

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
        popularity = np.zeros(len(other), np.int64)
        for begin in range(0, len(indices), COUNTED):
            popularity += np.bincount(indices[begin : begin + COUNTED], minlength=len(other))
        columns = np.flatnonzero(popularity > 1)
        best = columns[np.argsort(-popularity[columns], kind="stable")[:room]]
        return frozen(best.astype(indices.dtype))

    def prior_of(self, dtype: Any) -> Callable[[Rows], list[NDArray[Any]]]:
        """What gives the parts of the prior of some rows; one that all share stays one row."""
        alike = [len(part) == 1 for part in self.parts[:-1]] + [True]
        parts = [
            frozen(np.ascontiguousarray(part, dtype)) if same else part
            for part, same in zip(self.parts, alike, strict=True)
        ]

        def taken(which: Rows) -> list[NDArray[Any]]:
            return [
                part if same else frozen(part[which].astype(dtype, copy=False))
                for part, same in zip(parts, alike, strict=True)
            ]

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


def _diagonal(spread: NDArray[Any], shared: NDArray[Any]) -> NDArray[Any]:
    """Diagonals (b, d) of the matrices that the precisions of rows are multiples of."""
    return spread + shared.diagonal() if shared.size else spread


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only view: a kernel is compiled once, for inputs that it cannot change."""
    view = array.view()
    view.flags.writeable = False
    return view
