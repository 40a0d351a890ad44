"""A linear map of low rank from whole source rows to target rows: what the blend adds to scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.errors import FitError

__all__ = ["RowMap", "blended", "spread_of"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

RANK = 256
RIDGE = 20.0
SPARE = 20  # directions beyond the rank while it is looked for
TURNS = 1  # of subspace iteration
TOLERANCE = 1e-5  # of the residual of a solution, relative to what is solved for
MOST_STEPS = 200


@dataclass(frozen=True, eq=False)
class RowMap:
    """Ridge regression of low rank from source rows to target rows.

    With S the source rows of the anchors scaled to length 1, T their target rows and an intercept
    column, minimises over B and orthonormal V with r columns ::

        |[1, S] B V' - T|^2 + ridge |B|^2

    V are the leading directions of what the regression without the bound on its rank fits, ::

        T' K (K + ridge I)^-1 T,   K = 1 1' + S S'

    found by subspace iteration; B is the ridge regression to T V. A row s scores the columns of
    the target by ``[1, s] B V'``. It is the linear regression from rows to rows (a cross-domain
    EASE), of low rank so that it can stand beside factors.

    Parameters
    ----------
    weights : array (1 + n_source_columns, r)
        B, the intercept first.
    columns : array (n_target_columns, r)
        V.

    References
    ----------
    Steck (2019), Embarrassingly Shallow Autoencoders for Sparse Data. Mukherjee and Zhu (2011),
    Reduced Rank Ridge Regression and Its Kernel Extensions. Halko, Martinsson and Tropp (2011),
    Finding Structure with Randomness.
    """

    weights: Floats
    columns: Floats

    @classmethod
    def fit(
        cls,
        source: sp.csr_matrix,
        target: sp.csr_matrix,
        *,
        rank: int = RANK,
        ridge: float = RIDGE,
        rng: int = 0,
    ) -> RowMap:
        """Learn from rows of the same anchors: `source` (n, n_source_columns), `target` (n,
        n_target_columns).
        """
        rank = min(rank, *target.shape)
        design, target = _unit_rows(source), target.astype(np.float64)
        width = min(rank + SPARE, *target.shape)
        basis = np.random.default_rng(rng).standard_normal((target.shape[1], width))
        for _ in range(TURNS):
            dual = _solve_dual(design, target @ _orthonormal(basis), ridge)
            basis = target.T @ _times(design, dual)
        basis = _orthonormal(basis)
        wanted = target @ basis
        dual = _solve_dual(design, wanted, ridge)
        _, vectors = np.linalg.eigh(wanted.T @ _times(design, dual))
        leading = vectors[:, ::-1][:, :rank]
        dual = dual @ leading
        weights = np.vstack([dual.sum(axis=0), design.T @ dual])
        return cls(weights.astype(np.float32), (basis @ leading).astype(np.float32))

    def predict(self, source: sp.csr_matrix) -> Floats:
        """Coordinates (n, r) of rows `source` (n, n_source_columns) along the target columns."""
        said: Floats = (_unit_rows(source) @ self.weights[1:] + self.weights[0]).astype(np.float32)
        return said


def spread_of(columns: Floats) -> Doubles:
    """Covariance (r, r) of the rows of `columns` (m, r)."""
    rows = columns.astype(np.float64)
    centred = rows - rows.mean(axis=0)
    covariance: Doubles = centred.T @ centred / max(len(rows), 1)
    return covariance


def blended(
    rows: Floats, spread: Doubles, added: Floats, added_spread: Doubles, weight: Doubles
) -> Floats:
    """The rows (n, d + r) whose scores are those of `rows` (n, d) and, of `weight` (n,) times their
    standard deviation over the catalog, those of `added` (n, r).

    `spread` (d, d) and `added_spread` (r, r) are the covariances of the catalog's columns.
    """
    own, other = (
        np.sqrt(np.maximum(np.einsum("ni,ij,nj->n", x, s, x, optimize=True), 0))
        for x, s in ((rows, spread), (added, added_spread))
    )
    scale = np.divide(weight * own, other, out=np.zeros(len(rows)), where=other > 0)
    return np.hstack([rows, (added * scale[:, None]).astype(np.float32)])


def _unit_rows(rows: sp.csr_matrix) -> sp.csr_matrix:
    """The rows scaled to length 1; empty rows stay empty."""
    lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1), np.float64)).ravel()
    scale = np.divide(1.0, lengths, out=np.zeros(len(lengths)), where=lengths > 0)
    return sp.csr_matrix(sp.diags(scale) @ rows)


def _times(design: sp.csr_matrix, x: Doubles) -> Doubles:
    """``K x`` (n, r)."""
    product: Doubles = design @ (design.T @ x) + x.sum(axis=0)
    return product


def _orthonormal(basis: Doubles) -> Doubles:
    return np.linalg.qr(basis)[0]


def _solve_dual(design: sp.csr_matrix, wanted: Doubles, ridge: float) -> Doubles:
    """``(K + ridge I)^-1 wanted`` (n, r), by conjugate gradients for all columns at once.

    The ones are by far the largest direction; the preconditioner takes them out.
    """
    n = len(wanted)
    flat = ridge + 1.0  # rows of S have length 1

    def times(x: Doubles) -> Doubles:
        return _times(design, x) + ridge * x

    def precondition(r: Doubles) -> Doubles:
        conditioned: Doubles = (r - r.sum(axis=0) / (flat + n)) / flat
        return conditioned

    x = np.zeros_like(wanted)
    residual = wanted.copy()
    direction = precondition(residual)
    along = _dots(residual, direction)
    goal = TOLERANCE * np.sqrt(_dots(wanted, wanted))
    for _ in range(MOST_STEPS):
        if (np.sqrt(_dots(residual, residual)) <= goal).all():
            return x
        product = times(direction)
        step = _ratio(along, _dots(direction, product))
        x += step * direction
        residual -= step * product
        conditioned = precondition(residual)
        before, along = along, _dots(residual, conditioned)
        direction = conditioned + _ratio(along, before) * direction
    raise FitError(f"the row map did not converge in {MOST_STEPS} steps: are there huge weights?")


def _dots(a: Doubles, b: Doubles) -> Any:
    return np.einsum("nr,nr->r", a, b)


def _ratio(above: Doubles, below: Doubles) -> Doubles:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
