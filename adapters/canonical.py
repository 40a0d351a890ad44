"""A map of few directions: principal in the source, canonical in the target, each shrunk by how far
its correlation can be trusted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from coldstart.prior import Prior
from coldstart.threads import one_blas_thread

from .base import (
    AnchorContext,
    Array,
    Moments,
    Rows,
    Settled,
    anchor_arrays,
    check_fitted,
    embeddings,
    score_metric,
    spelled_out,
    sphere,
)
from .regression import GCV_GRID, LinearMap, RidgeProblem
from .source_rows import null_mean
from .spread import CHECKED, Spread, evenly, out_of_fold, shapes, shrunk

__all__ = ["CanonicalAdapter", "Directions"]

CANDIDATE_RIDGES = (0.3, 1.0, 3.0)
COMPONENTS = 0.5  # principal directions per square root of the number of anchors
_FLOOR = 1e-10  # smallest eigenvalue of a metric, as a share of the largest
_MOST = 0.99  # slopes per anchor


class CanonicalAdapter(Settled):
    """Linear map through few directions, for few anchors above all.

    1. *Principal directions.* Of the anchors' centred source rows S (weights D) only what they are
       along c directions is read: those in which *all* source rows vary most, where the context
       brings their covariance, else the anchors' own. The default, ``c = sqrt(n) / 2``, is 3 for 30
       anchors, 16 for 1000, and in the end all of them.
    2. *Ridge.* On these, ``A = S'DS + rho I`` and ``W = A^-1 S'DT``.
    3. *Canonical directions.* In the metric M = R'R of target errors the directions v_k of the
       target and their squared correlations with what is fitted, ::

           A^(-1/2) S'DT R' = U diag(e) V',   r_k^2 = e_k^2 / (v_k' R T'DT R' v_k)

       With M the inverse of the target's covariance these are canonical correlations; with the
       default, the metric Y'Y of scores, those of reduced rank regression.
    4. *Shrinking.* r_k^2 is too large by chance, the more so the more slopes f were fitted per
       anchor. Each direction keeps the share of it that is left when it is adjusted for that, which
       minimises its generalised cross-validation error; none where it is below the noise, ::

           g_k = (r_k^2 - f) / (1 - f) / r_k^2,   r_k^2 > f
           t = b + (R^-1 V diag(g) V' R) W'(s - s0)

    b is the mean over all target rows, worth `pseudo_anchors`, and the anchors' own, as in
    `RidgeAdapter`. The covariance is that of residuals of anchors predicted by maps that have not
    seen them (`Spread`), 20,000 at most.

    Parameters
    ----------
    ridge : float or "gcv", default "gcv"
        ``rho`` as a multiple of the mean eigenvalue of S'DS over the c directions, or the value
        with the least generalised cross-validation error.
    components : int or "auto", default "auto"
        c; "auto" is half the square root of the number of anchors.
    rank : int or "auto", default "auto"
        The most canonical directions to keep; "auto" keeps those above the noise.
    normalize : bool or "auto", default "auto"
        Scale every source row to length 1. "auto" leaves the choice to held-out people and is True
        without them: the error on few anchors is the error of the few most active, and does not
        tell.
    whiten : bool, default False
        Measure target errors in units of the target's covariance instead of scores.
    pseudo_anchors : float, default 64.0
        n0, how many anchors the mean over all target rows is worth.

    Attributes
    ----------
    map_ : LinearMap
    ridge_ : float
    components_, rank_ : int
    correlations_, shrinkage_ : array (k,)
        r and g of the canonical directions, k the smaller of c and d_target.
    spread_ : Spread

    References
    ----------
    Breiman and Friedman (1997), Predicting Multivariate Responses in Multiple Linear Regression.
    Hotelling (1936), Relations Between Two Sets of Variates. Izenman (1975), Reduced-Rank
    Regression for the Multivariate Linear Model.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> source = rng.normal(size=(400, 6))
    >>> target = np.outer(source[:, 0], [1.0, 2.0, 0.0]) + 0.1 * rng.normal(size=(400, 3))
    >>> adapter = CanonicalAdapter(normalize=False).fit(source, target)
    >>> round(float(adapter.correlations_[0]), 2), adapter.rank_
    (1.0, 2)
    """

    needs_anchors = True

    def __init__(
        self,
        ridge: float | Literal["gcv"] = "gcv",
        *,
        components: int | Literal["auto"] = "auto",
        rank: int | Literal["auto"] = "auto",
        normalize: bool | Literal["auto"] = "auto",
        whiten: bool = False,
        pseudo_anchors: float = 64.0,
    ) -> None:
        self.ridge = ridge
        self.components = components
        self.rank = rank
        self.normalize = normalize
        self.whiten = whiten
        self.pseudo_anchors = pseudo_anchors

    def get_params(self) -> dict[str, Any]:
        """The constructor's arguments, by name."""
        names = ("ridge", "components", "rank", "normalize", "whiten", "pseudo_anchors")
        return {name: getattr(self, name) for name in names}

    def candidates(self) -> Sequence[CanonicalAdapter]:
        """Ridge and normalisation, where they are open, for held-out people to choose from."""
        ridges = CANDIDATE_RIDGES if self.ridge == "gcv" else (self.ridge,)
        normalized = (True, False) if self.normalize == "auto" else (self.normalize,)
        return spelled_out(self, normalize=normalized, ridge=ridges)

    def fit(
        self,
        source: ArrayLike,
        target: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        context: AnchorContext | None = None,
    ) -> CanonicalAdapter:
        """Fit the map on n anchors: `source` (n, d_source), `target` (n, d_target), `weight` (n,).

        Raises
        ------
        AnchorError
            With fewer than two anchors, or source columns that are constant or collinear.
        ValueError
            When shapes do not fit, values are not finite, or a setting is out of range.
        """
        self._check_settings()
        s, t, w = anchor_arrays(source, target, weight, who="CanonicalAdapter", context=context)
        told = context or AnchorContext()
        metric = score_metric(told, t.shape[1])
        with one_blas_thread():
            count = self._count(w)
            found = self._directions(s, t, w, told, metric, count)
            self.map_ = self._map(found, t, w, told)

            every = evenly(w, CHECKED)
            some = s[every], t[every], w[every]

            def predict(train: Any, test: Any) -> Array:
                parts = some[0][train], some[1][train], some[2][train]
                part = self._directions(*parts, told, metric, count)
                return self._map(part, *parts[1:], told).means(some[0][test])

            residuals = out_of_fold(*some, predict)
            rows = np.arange(len(w))[every]
            self.spread_ = Spread.of(residuals, some[2], some[0], told.take(rows))
        self.ridge_, self.components_ = found.ridge, len(found.problem.values)
        self.correlations_, self.shrinkage_ = found.correlations, found.shares
        self.rank_ = int(np.count_nonzero(found.shares))
        return self

    def predict(self, source: ArrayLike, *, context: AnchorContext | None = None) -> Prior:
        """Gaussians around the images of `source` (m, d_source)."""
        check_fitted(self, "map_")
        s = embeddings(source, "source", len(self.map_.source_mean), context)
        return self.spread_.prior(self.map_.means(s), s, context, origin=self.map_.intercept)

    def _count(self, weight: Array) -> int:
        """How many leading source directions are read: no fewer where some anchors are left out, or
        their residuals would be those of a poorer map.
        """
        if self.components != "auto":
            return int(self.components)
        return max(round(COMPONENTS * math.sqrt(weight.sum())), 1)

    def _directions(
        self, s: Rows, t: Rows, w: Array, context: AnchorContext, metric: Array, count: int
    ) -> Directions:
        moments, width = Moments.of(s, t, w, normalize=bool(self.normalize)), s.shape[1]
        known = context.source_covariance
        spread = moments.scatter[:width, :width] if known is None else np.asarray(known)
        axes = np.linalg.eigh(spread)[1][:, -min(count, width) :]
        problem = RidgeProblem.from_moments(moments, metric, axes)
        ridges = GCV_GRID if self.ridge == "gcv" else (float(self.ridge),)
        if self.whiten:
            metric = np.linalg.inv(_covariance(problem, context)).astype(np.float64)
        rank = t.shape[1] if self.rank == "auto" else self.rank
        return Directions.of(problem, min(ridges, key=problem.gcv), metric, rank)

    def _map(self, found: Directions, t: Rows, w: Array, context: AnchorContext) -> LinearMap:
        return LinearMap(
            found.slopes,
            null_mean(t, w, context, self.pseudo_anchors),
            found.problem.source_mean,
            bool(self.normalize),
        )

    def _check_settings(self) -> None:
        if self.ridge != "gcv" and (isinstance(self.ridge, str) or not 0 < self.ridge < np.inf):
            raise ValueError(f'ridge must be "gcv" or a positive number, got {self.ridge!r}')
        for name in ("components", "rank"):
            value = getattr(self, name)
            if value != "auto" and (not isinstance(value, int) or value < 1):
                raise ValueError(f'{name} must be "auto" or an integer from 1 on, got {value!r}')
        if self.normalize not in (True, False, "auto"):
            raise ValueError(f'normalize must be True, False or "auto", got {self.normalize!r}')
        if not (np.isfinite(self.pseudo_anchors) and self.pseudo_anchors >= 0):
            raise ValueError(f"pseudo_anchors must not be negative, got {self.pseudo_anchors!r}")


@dataclass(frozen=True, eq=False)
class Directions:
    """Canonical directions of a regression, in the order of what they explain.

    Parameters
    ----------
    problem : RidgeProblem
    ridge : float
    correlations, shares : array (k,)
        r and g.
    slopes : array (d_source, d_target)
        The shrunk map.
    """

    problem: RidgeProblem
    ridge: float
    correlations: Array
    shares: Array
    slopes: Array

    @classmethod
    def of(cls, problem: RidgeProblem, ridge: float, metric: Array, rank: int) -> Directions:
        """Split what a ridge regression explains, and keep what is above the noise."""
        root, back = _root_and_inverse(metric)
        raised = problem.values + problem.rho(ridge)
        fitted = (problem.along / np.sqrt(raised)[:, None]) @ root  # A^(-1/2) S'DT R'
        _, sizes, directions = np.linalg.svd(fitted, full_matrices=False)
        seen = directions @ root  # v_k' R, (k, d_target)
        total = np.einsum("ki,ij,kj->k", seen, problem.target_scatter, seen)
        squared = np.divide(sizes**2, total, out=np.zeros_like(sizes), where=total > 0)
        squared = np.minimum(squared, 1.0)
        shares = kept(squared, min(problem.freedom(ridge) / problem.count, _MOST))
        shares[rank:] = 0.0
        slopes, _ = problem.solve(ridge)
        shrink = (root @ directions.T * shares) @ (directions @ back)
        return cls(problem, ridge, np.sqrt(squared), shares, slopes @ shrink)


def kept(squared: Array, freedom: float) -> Array:
    """Share g of a direction whose squared correlation is `squared` (k,), with `freedom` f slopes
    per anchor: the least of ``((1 - g)^2 r^2 + 1 - r^2) / (1 - g f)^2``.
    """
    adjusted = np.maximum(squared - freedom, 0.0) / (1 - freedom)
    share: Array = np.divide(adjusted, squared, out=np.zeros_like(squared), where=adjusted > 0)
    return share


def _root_and_inverse(metric: Array) -> tuple[Array, Array]:
    """R = R' with ``R R = metric`` (d, d), and its inverse."""
    values, vectors = np.linalg.eigh(metric)
    values = np.sqrt(np.maximum(values, _FLOOR * max(values[-1], _FLOOR)))
    return (vectors * values) @ vectors.T, (vectors / values) @ vectors.T


def _covariance(problem: RidgeProblem, context: AnchorContext) -> Array:
    """The target's covariance (d_target, d_target), shrunk."""
    scatter, n = problem.target_scatter, problem.count
    size = sphere(scatter / n)[0, 0]
    return shrunk(scatter, n, shapes(size, len(scatter), context))[0]
