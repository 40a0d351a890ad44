"""Gaussian process regression in the features of landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg import cholesky, solve_triangular

from coldstart.threads import run_blocks

from .base import Array
from .source_rows import SourceRows

__all__ = ["FeatureFit", "FeatureProblem", "Landmarks"]

BLOCK = 1024  # rows whose kernel with the landmarks is held at one time
RANK = 1e-10  # eigenvalues of the kernel that are kept, as a share of the largest
MEASURED = 512  # anchors, about, whose distances tell the bandwidth


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Features ``f(s) = k(s, z) P`` of rows s, with landmarks z and ``P P' = k(z, z)^-1``.

    So ``f(s)'f(t)`` is k(s, t) where one of them is a landmark, and elsewhere as much of it as the
    landmarks can show. P has a column for each eigenvalue of k(z, z) that is not 0.

    Parameters
    ----------
    rows : array or csr_matrix (m, n_columns)
        z.
    gamma : float
        ``1 / (2 h^2)`` of the Gaussian kernel; 0 stands for the linear one.
    projection : array (m, n_features)
        P.

    References
    ----------
    Williams and Seeger (2001), Using the Nystroem Method to Speed Up Kernel Machines.
    """

    rows: Any
    gamma: float
    projection: Array

    @classmethod
    def of(cls, kernel: str, view: SourceRows, weight: Array, most: int, rng: int) -> Landmarks:
        """Choose at most `most` of the anchors `view`, which weigh `weight` (n,)."""
        gamma = 1 / (2 * _median_distance(view.rows)) if kernel == "rbf" else 0.0
        rows = view.rows
        if len(weight) > most:
            draws = np.random.default_rng(rng).exponential(size=len(weight))
            sizes = weight * (own(rows, gamma) + 1e-12)
            rows = rows[np.sort(np.argsort(draws / sizes, kind="stable")[:most])]
        values, vectors = np.linalg.eigh(between(rows, rows, gamma))
        kept = values > RANK * values[-1]
        return cls(rows, gamma, vectors[:, kept] / np.sqrt(values[kept]))

    def features(self, rows: Any) -> tuple[Array, Array]:
        """f (n, n_features), and what of k(s, s) it lacks (n,)."""
        features: Array = between(rows, self.rows, self.gamma) @ self.projection
        lacking = own(rows, self.gamma) - np.einsum("ij,ij->i", features, features)
        return features, np.maximum(lacking, 0.0)


def between(rows: Any, others: Any, gamma: float) -> Array:
    """``k(rows, others)`` (n, m)."""
    products = rows @ others.T
    products = products if isinstance(products, np.ndarray) else products.toarray()
    if gamma == 0:
        return products
    lengths = own(rows, 0.0)[:, None] + own(others, 0.0)
    similar: Array = np.exp(-gamma * np.maximum(lengths - 2 * products, 0.0))
    return similar


def own(rows: Any, gamma: float) -> Array:
    """``k(s, s)`` (n,) of every row."""
    if gamma > 0:
        return np.ones(rows.shape[0])
    squares = rows.multiply(rows) if sp.issparse(rows) else rows * rows
    return np.asarray(squares.sum(axis=1), np.float64).reshape(-1)


def _median_distance(rows: Any) -> float:
    """The median squared distance of some of the rows that are not the same."""
    some = rows[:: -(-rows.shape[0] // MEASURED)]
    lengths = own(some, 0.0)
    distances = lengths[:, None] + lengths - 2 * between(some, some, 0.0)
    apart = distances[distances > RANK * (lengths.max() or 1.0)]
    return float(np.median(apart)) if len(apart) else 1.0


@dataclass(frozen=True, eq=False)
class FeatureProblem:
    """Regress target rows on features f of anchors: their weighted moments.

    `gram` is ``sum w (f - centre)(f - centre)'``, `cross` ``sum w (f - centre)(t - mean)'``, and
    `size` the weighted mean of k(s, s) around the centre.
    """

    landmarks: Landmarks
    count: float
    centre: Array
    gram: Array
    cross: Array
    size: float

    @classmethod
    def of(cls, landmarks: Landmarks, rows: Any, target: Array, weight: Array) -> FeatureProblem:
        """Add up the moments of anchors `rows`, `target` (n, d) and `weight` (n,) in blocks."""
        width, d = landmarks.projection.shape[1], target.shape[1]
        sums = np.zeros((width + 1, width + d + 1))  # of [f, 1]'w[f, t, lacking]

        def work(start: int, stop: int) -> Array:
            f, lacking = landmarks.features(rows[start:stop])
            left = np.hstack([f, np.ones((len(f), 1))]) * weight[start:stop, None]
            products: Array = left.T @ np.hstack([f, target[start:stop], lacking[:, None]])
            return products

        run_blocks(work, len(weight), block=BLOCK, collect=lambda part: np.add(sums, part, sums))
        count = float(weight.sum())
        centre, mean = sums[-1, :width] / count, sums[-1, width:-1] / count
        gram = sums[:-1, :width] - count * np.outer(centre, centre)
        cross = sums[:-1, width:-1] - count * np.outer(centre, mean)
        size = (np.trace(gram) + sums[-1, -1]) / count
        return cls(landmarks, count, centre, gram, cross, float(size) or 1.0)

    def solve(self, ridge: float, intercept: Array, pseudo: float) -> FeatureFit:
        """The posterior with ``rho = ridge size`` and an `intercept` (d,) that `pseudo` anchors
        stand behind.
        """
        rho = ridge * self.size
        factor = cholesky(self.gram + rho * np.eye(len(self.gram)), lower=True)
        half = solve_triangular(factor, self.cross, lower=True)
        coef = solve_triangular(factor, half, lower=True, trans="T")
        least = 1 / (self.count + pseudo)
        return FeatureFit(self.landmarks, self.centre, coef, intercept, factor, rho, least)


@dataclass(frozen=True, eq=False)
class FeatureFit:
    """``t = intercept + coef'(f - centre)``, `factor` a Cholesky factor of ``gram + rho I``.

    The variance, in units of the residual's, is ``1 + least + |factor^-1 (f - centre)|^2`` and what
    the features lack of k(s, s), over rho.
    """

    landmarks: Landmarks
    centre: Array
    coef: Array
    intercept: Array
    factor: Array
    rho: float
    least: float

    def predict(self, rows: Any) -> tuple[Array, Array]:
        """Means (n, d), and how much larger than the residual's the variance is (n,)."""
        mean, wider = np.empty((rows.shape[0], len(self.intercept))), np.empty(rows.shape[0])

        def work(start: int, stop: int) -> None:
            features, lacking = self.landmarks.features(rows[start:stop])
            mean[start:stop], leverage = self._posterior(features)
            wider[start:stop] = leverage + lacking / self.rho

        run_blocks(work, rows.shape[0], block=BLOCK)
        return mean, wider

    def left_out(
        self, features: tuple[Array, Array], target: Array, weight: Array
    ) -> tuple[Array, Array]:
        """What anchors are off (n, d) where they are predicted without themselves, in closed form,
        and the variance (n,) that goes with it.

        `features` are those of `Landmarks.features`, with what they lack.
        """
        mean, leverage = self._posterior(features[0])
        share = np.minimum(weight * leverage, 1 - 1e-9)
        off = (target - mean) / (1 - share)[:, None]
        return off, 1 + leverage / (1 - share) + features[1] / self.rho

    def _posterior(self, features: Array) -> tuple[Array, Array]:
        """Means (n, d) and variances (n,) of what the features can show."""
        centred = features - self.centre
        half = solve_triangular(self.factor, centred.T, lower=True)
        leverage = self.least + np.einsum("ji,ji->i", half, half)
        return self.intercept + centred @ self.coef, leverage
