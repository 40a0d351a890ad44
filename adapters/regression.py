"""Ridge regression from the moments of the anchors, for as many ridges as are asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .base import Array, Moments, Rows, scaled

__all__ = ["GCV_GRID", "LinearMap", "RidgeProblem"]

GCV_GRID = tuple(np.logspace(-3, 2, 26))


@dataclass(frozen=True, eq=False)
class LinearMap:
    """``t = intercept + W'(s - source_mean)``, source rows s of length 1 where `normalize`.

    Parameters
    ----------
    coef : array (d_source, d_target), W
    intercept : array (d_target,)
    source_mean : array (d_source,)
    normalize : bool
    """

    coef: Array
    intercept: Array
    source_mean: Array
    normalize: bool

    def slopes(self, source: Rows) -> Array:
        """``W'(s - source_mean)`` (m, d_target) of rows `source` (m, d_source)."""
        centred = scaled(source, self.normalize) - self.source_mean
        moved: Array = centred @ self.coef
        return moved

    def means(self, source: Rows) -> Array:
        """Images (m, d_target) of rows `source` (m, d_source)."""
        return self.intercept + self.slopes(source)


@dataclass(frozen=True, eq=False)
class RidgeProblem:
    """Regress centred targets on centred sources; one eigendecomposition serves every ridge.

    With the eigenpairs of S'DS, on all axes (c = d_source) or on c of them: `values` (c,),
    `vectors` (d_source, c), `along` = vectors' S'DT (c, d_target), `sizes` (c,) the squared lengths
    of its rows in the metric M, and `energy` = tr(T'DT M).
    """

    moments: Moments
    values: Array
    vectors: Array
    along: Array
    sizes: Array
    energy: float

    @classmethod
    def of(cls, s: Rows, t: Rows, w: Array, metric: Array, *, normalize: bool) -> RidgeProblem:
        """Add up the moments of source rows (n, d_source) and target rows (n, d_target)."""
        return cls.from_moments(Moments.of(s, t, w, normalize=normalize), metric)

    @classmethod
    def from_moments(
        cls, moments: Moments, metric: Array, axes: Array | None = None
    ) -> RidgeProblem:
        """The regression in a `metric` (d_target, d_target), on what source rows are along
        orthonormal `axes` (d_source, c) where these are given.
        """
        width = len(moments.mean) - len(metric)
        inner, cross = moments.scatter[:width, :width], moments.scatter[:width, width:]
        values, vectors = np.linalg.eigh(inner if axes is None else axes.T @ inner @ axes)
        vectors = vectors if axes is None else axes @ vectors
        along = vectors.T @ cross
        sizes = np.einsum("ij,ij->i", along @ metric, along)
        energy = float(np.sum(moments.scatter[width:, width:] * metric))
        return cls(moments, np.maximum(values, 0.0), vectors, along, sizes, energy)

    @property
    def count(self) -> float:
        """n, the sum of the weights."""
        return self.moments.count

    @property
    def source_mean(self) -> Array:
        """Weighted mean (d_source,) of the anchors' source rows."""
        return self.moments.mean[: len(self.vectors)]

    @property
    def target_mean(self) -> Array:
        """Weighted mean (d_target,) of the anchors' target rows."""
        return self.moments.mean[len(self.vectors) :]

    @property
    def target_scatter(self) -> Array:
        """T'DT (d_target, d_target)."""
        return self.moments.scatter[len(self.vectors) :, len(self.vectors) :]

    def rho(self, ridge: float) -> float:
        """The ridge in the unit of S'DS, `ridge` being in that of its mean eigenvalue."""
        return ridge * float(self.values.mean() or 1.0)

    def solve(self, ridge: float) -> tuple[Array, Array]:
        """W (d_source, d_target) and a root of V (d_source, c), ``V = root root'``."""
        raised = self.values + self.rho(ridge)
        return (self.vectors / raised) @ self.along, self.vectors / np.sqrt(raised)

    def residual(self, coef: Array) -> Array:
        """(T - SW)'D(T - SW) (d_target, d_target), from the moments."""
        away = np.vstack([-coef, np.eye(coef.shape[1])])  # T - SW = [S, T] away
        values, vectors = np.linalg.eigh(away.T @ self.moments.scatter @ away)
        values = np.maximum(values, 0.0)  # what cancels may leave less than 0
        left: Array = (vectors * values) @ vectors.T
        return left

    def gcv(self, ridge: float) -> float:
        """n |T - SW|^2 / (n - degrees of freedom)^2, the norm taken in the metric."""
        n = self.count
        shrunk = 1 / (self.values + self.rho(ridge))
        error = self.energy - float(self.sizes @ (2 * shrunk - self.values * shrunk**2))
        return n * max(error, 0.0) / max(n - 1 - self.freedom(ridge), 1e-9) ** 2

    def freedom(self, ridge: float) -> float:
        """Effective number of slopes per target column, ``tr((S'DS + rho I)^-1 S'DS)``."""
        return float(self.values @ (1 / (self.values + self.rho(ridge))))
