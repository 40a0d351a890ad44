"""The normal equations of a map fitted to interactions, and conjugate gradients for them.

The matrix, a Kronecker product for every anchor, is never formed: ``(1 + d_source) d_target`` is
4,160 at 64 factors, and squared a sixth of the interactions of a large catalog.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from coldstart.errors import FitError
from coldstart.threads import run_blocks

from .base import BLOCK, Array

__all__ = ["NormalEquations", "conjugate_gradients"]

ENTRIES = 1 << 17  # interactions that are worked on at one time
FLOOR = 1e-10  # of the largest eigenvalue: smaller ones are taken for this when dividing


@dataclass(frozen=True, eq=False)
class NormalEquations:
    """Equations ``(sum_u a_u z_u z_u' (x) H_u + h diag(penalty) (x) I) vec(Theta') = right side``.

    Each anchor pulls with the curvature of its own loss, ``H_u = Y'Y + Y'(C_u - I)Y``, where
    ``C_u - I`` is zero but for the pairs that were observed. h is the mean diagonal of the average
    of the H_u: a penalty counts average anchors.

    Parameters
    ----------
    design : array (n, k)
        Rows z_u = [1; s_u - s0], the s_u centred so that ``sum_u a_u (s_u - s0) = 0``.
    weight : array (n,)
        a_u, not all zero.
    gram : array (d, d)
        ``Y'Y``.
    intercept : float
        Penalty of the first row of Theta (k, d).
    ridge : float
        Penalty of the others.
    excess : csr_matrix (n, m), optional
        ``c_ui - 1`` of the observed pairs; none for people who are all weighed alike.
    other : array (m, d), optional
        Y, where there is an `excess`.
    """

    design: Array
    weight: Array
    gram: Array
    intercept: float
    ridge: float
    excess: sp.csr_matrix | None = None
    other: Array | None = None

    @cached_property
    def curvature(self) -> Array:
        """The average of the H_u (d, d)."""
        if self.excess is None or self.other is None:
            return self.gram
        per_column = self.excess.T @ self.weight / self.weight.sum()  # (m,)
        average: Array = self.gram + (self.other.T * per_column) @ self.other
        return average

    @cached_property
    def penalty(self) -> Array:
        """``h diag(penalty)`` (k, 1)."""
        size = float(np.trace(self.curvature)) / len(self.gram) or 1.0
        rows = np.full((self.design.shape[1], 1), size * self.ridge)
        rows[0] = size * self.intercept
        return rows

    def right_side(self, aims: Array, start: Array) -> Array:
        """``sum_u a_u z_u aims_u' + h diag(penalty) start`` (k, d), for `aims` (n, d) and what the
        penalty pulls toward, `start` (k, d).
        """
        pulled: Array = self.design.T @ (self.weight[:, None] * aims)
        return pulled + self.penalty * start

    def apply(self, theta: Array) -> Array:
        """The matrix times `theta` (k, d)."""
        total = self.penalty * theta

        def work(start: int, stop: int) -> Array:
            some = slice(start, stop)
            rows = self.design[some] @ theta  # (b, d)
            pulls = rows @ self.gram
            if self.excess is not None and self.other is not None:
                pulls += _observed(self.excess[some], rows, self.other)
            pulls *= self.weight[some, None]
            pulled: Array = self.design[some].T @ pulls
            return pulled

        run_blocks(
            work,
            len(self.design),
            block=self._block,
            collect=lambda part: np.add(total, part, out=total),
        )
        return total

    @cached_property
    def _block(self) -> int:
        """How many rows have about `ENTRIES` interactions."""
        entries = 0 if self.excess is None else self.excess.nnz
        return int(np.clip(ENTRIES * len(self.design) / max(entries, 1), 1, BLOCK))

    @cached_property
    def _diagonal(self) -> tuple[Array, Array, Array]:
        """Eigenvectors of ``sum_u a_u z_u z_u'`` (k, k) and of the average curvature (d, d), in
        which the equations with that curvature for everybody are diagonal, and the diagonal (k, d).
        """
        rows = self.design[:, 1:]
        left, sizes = np.eye(self.design.shape[1]), np.full(self.design.shape[1], self.weight.sum())
        sizes[1:], left[1:, 1:] = np.linalg.eigh((rows.T * self.weight) @ rows)
        values, right = np.linalg.eigh(self.curvature)
        spread = np.maximum(sizes[:, None], 0) * np.maximum(values, 0) + self.penalty
        return left, right, np.maximum(spread, FLOOR * (spread.max() or 1.0))

    def precondition(self, residual: Array) -> Array:
        """Solve as if everybody's curvature were the average."""
        left, right, spread = self._diagonal
        solved: Array = left @ ((left.T @ residual @ right) / spread) @ right.T
        return solved


def _observed(excess: sp.csr_matrix, rows: Array, other: Array) -> Array:
    """``Y'(C_u - I)Y x_u`` (b, d) for `rows` x_u (b, d): only observed pairs are scored."""
    who = np.repeat(np.arange(len(rows)), np.diff(excess.indptr))
    scores = np.einsum("ej,ej->e", rows[who], other[excess.indices])
    pulls = sp.csr_matrix((excess.data * scores, excess.indices, excess.indptr), excess.shape)
    found: Array = pulls @ other
    return found


def conjugate_gradients(
    apply: Callable[[Array], Array],
    right_side: Array,
    start: Array,
    precondition: Callable[[Array], Array],
    *,
    tolerance: float,
    iterations: int,
) -> tuple[Array, int]:
    """Solve ``A x = b`` for a symmetric positive definite A; returns x and the steps it took.

    It stops where the residual r has ``r'Pr <= tolerance^2 b'Pb``, P the preconditioner.

    Raises
    ------
    FitError
        When `iterations` steps are not enough.

    References
    ----------
    Hestenes and Stiefel (1952), Methods of Conjugate Gradients for Solving Linear Systems.
    """
    x = start.copy()
    residual = right_side - apply(x)
    conditioned = precondition(residual)
    size = float(np.sum(residual * conditioned))
    enough = tolerance**2 * float(np.sum(right_side * precondition(right_side)))
    direction = conditioned
    for step in range(iterations + 1):
        if size <= enough:
            return x, step
        if step == iterations:
            break
        pushed = apply(direction)
        length = size / float(np.sum(direction * pushed))
        x += length * direction
        residual = residual - length * pushed
        conditioned = precondition(residual)
        before, size = size, float(np.sum(residual * conditioned))
        direction = conditioned + (size / before) * direction
    reached = tolerance * np.sqrt(size / enough) if enough else np.inf
    raise FitError(
        f"conjugate gradients did not converge: after {iterations} steps the residual is "
        f"{reached:.1e} of the right side, {tolerance:g} was asked for; "
        "allow more iterations, a larger tolerance or a larger ridge"
    )
