"""A ridge map with intercept from source to target embeddings, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coldstart.errors import AnchorError
from coldstart.prior import Prior

from .base import AnchorContext, anchor_arrays, check_fitted, embeddings
from .baselines import sphere

__all__ = ["RidgeAdapter"]

Array = NDArray[np.float64]

GCV_GRID = tuple(np.logspace(-3, 2, 26))
CANDIDATE_RIDGES = (0.1, 0.3, 1.0, 3.0)


class RidgeAdapter:
    """Linear map with intercept, ``t = b + W'(s - s0)``, with a matrix-normal predictive
    distribution.

    With S the anchors' source rows less their mean s0, T their target rows, D their weights and
    ``rho`` the ridge, ::

        V = (S'DS + rho I)^-1,   W = V S'DT,   b = (n0 m0 + sum_u w_u t_u) / (n0 + n)
        Psi = s^2 I + (T - b - SW)'D(T - b - SW) + rho W'W + n0 (b - m0)(b - m0)'
        x | s ~ N(b + W'(s - s0), (1 + 1/(n0 + n) + (s - s0)'V(s - s0)) Psi / (n + 1))

    where m0 is the mean over *all* target rows (from the context, else the anchors' own) and counts
    as n0 anchors, so that few anchors cannot move the intercept far, and many can. The prior on the
    residuals is proper (nu0 = d + 2, Psi0 = s^2 I): everything is defined for fewer anchors than
    dimensions.

    Parameters
    ----------
    ridge : float or "gcv", default "gcv"
        ``rho`` as a multiple of the mean diagonal of S'DS, or the value with the least generalised
        cross-validation error. Errors are measured in scores (the metric Y'Y) where the context
        brings the other side's factors Y.
    normalize : bool or "auto", default "auto"
        Scale every source row to length 1, which removes how active it is; "auto" compares both by
        the same error.
    pseudo_anchors : float, default 64.0
        n0, how many anchors the mean over all target rows is worth.

    Attributes
    ----------
    coef_ : array (d_source, d_target)
    intercept_ : array (d_target,), the prediction at ``source_mean_`` (d_source,)
    ridge_ : float
    normalize_ : bool
    residual_covariance_ : array (d_target, d_target)
    n_anchors_ : float, the sum of the weights

    References
    ----------
    Golub, Heath and Wahba (1979), Generalized Cross-Validation as a Method for Choosing a Good
    Ridge Parameter. Bishop (2006), Pattern Recognition and Machine Learning, section 3.3
    (predictive distribution of a linear model).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> source = rng.normal(size=(200, 4))
    >>> target = source @ rng.normal(size=(4, 3)) + 1.0
    >>> prior = RidgeAdapter().fit(source, target).predict(source[:2])
    >>> bool(np.allclose(prior.mean, target[:2], atol=0.1))
    True
    """

    needs_anchors = True

    def __init__(
        self,
        ridge: float | Literal["gcv"] = "gcv",
        *,
        normalize: bool | Literal["auto"] = "auto",
        pseudo_anchors: float = 64.0,
    ) -> None:
        self.ridge = ridge
        self.normalize = normalize
        self.pseudo_anchors = pseudo_anchors

    def get_params(self) -> dict[str, Any]:
        """The constructor's arguments, by name."""
        return {
            "ridge": self.ridge,
            "normalize": self.normalize,
            "pseudo_anchors": self.pseudo_anchors,
        }

    def candidates(self) -> Sequence[RidgeAdapter]:
        """What is left open ("gcv", "auto"), spelled out for held-out people to choose from."""
        ridges = CANDIDATE_RIDGES if self.ridge == "gcv" else (self.ridge,)
        normalized = (False, True) if self.normalize == "auto" else (self.normalize,)
        return [
            type(self)(**{**self.get_params(), "ridge": ridge, "normalize": normalize})
            for normalize, ridge in product(normalized, ridges)
        ]

    def fit(
        self,
        source: ArrayLike,
        target: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        context: AnchorContext | None = None,
    ) -> RidgeAdapter:
        """Fit the map on n anchors: `source` (n, d_source), `target` (n, d_target), `weight` (n,).

        A weight counts anchors: 2 is the anchor twice, 0 is without it.

        Raises
        ------
        AnchorError
            Without anchors.
        ValueError
            When shapes do not fit, values are not finite, or a setting is out of range.
        """
        self._check_settings()
        s, t, w = anchor_arrays(source, target, weight)
        if not len(s):
            raise AnchorError("RidgeAdapter needs anchors, rows known on both sides: it got none")
        context = context or AnchorContext()
        n, d = w.sum(), t.shape[1]
        anchor_mean = w @ t / n
        m0 = anchor_mean if context.mean is None else np.asarray(context.mean, np.float64)
        self.intercept_ = (self.pseudo_anchors * m0 + n * anchor_mean) / (self.pseudo_anchors + n)
        metric = np.eye(d) if context.other_factors is None else _gram(context.other_factors)
        options = (False, True) if self.normalize == "auto" else (bool(self.normalize),)
        problems = [_RidgeProblem.of(_scaled(s, on), t - anchor_mean, w, metric) for on in options]
        ridges = GCV_GRID if self.ridge == "gcv" else (float(self.ridge),)
        _, best, self.ridge_ = min(
            (problem.gcv(ridge), place, ridge)
            for place, problem in enumerate(problems)
            for ridge in ridges
        )
        self.normalize_, problem = options[best], problems[best]
        self.source_mean_, self.n_anchors_ = problem.mean, float(n)
        self.coef_, self._spread = problem.solve(self.ridge_)
        residual = t - self.intercept_ - (problem.s @ self.coef_)
        off = self.intercept_ - m0
        psi = (residual.T * w) @ residual + self.pseudo_anchors * np.outer(off, off)
        psi += problem.rho(self.ridge_) * self.coef_.T @ self.coef_
        if context.target_covariance is not None:
            psi += n * context.target_covariance
        centred = t - anchor_mean
        psi += sphere((centred.T * w) @ centred / n)
        self.residual_covariance_ = psi / (n + 1)
        return self

    def predict(self, source: ArrayLike, *, context: AnchorContext | None = None) -> Prior:
        """The predictive distribution for `source` (m, d_source): a mean per row, one shared
        precision shape.
        """
        check_fitted(self, "coef_")
        s = _scaled(embeddings(source, "source", len(self.source_mean_)), self.normalize_)
        s = s - self.source_mean_
        uncertain = 1 + 1 / (self.pseudo_anchors + self.n_anchors_)
        uncertain = uncertain + np.einsum("ni,ij,nj->n", s, self._spread, s, optimize=True)
        return Prior(
            self.intercept_ + s @ self.coef_,
            1 / uncertain,
            shared=np.linalg.inv(self.residual_covariance_),
            origin=self.intercept_,
        )

    def _check_settings(self) -> None:
        if self.ridge != "gcv" and (isinstance(self.ridge, str) or not 0 < self.ridge < np.inf):
            raise ValueError(f'ridge must be "gcv" or a positive number, got {self.ridge!r}')
        if self.normalize not in (True, False, "auto"):
            raise ValueError(f'normalize must be True, False or "auto", got {self.normalize!r}')
        if not (np.isfinite(self.pseudo_anchors) and self.pseudo_anchors >= 0):
            raise ValueError(f"pseudo_anchors must not be negative, got {self.pseudo_anchors!r}")


@dataclass(frozen=True, eq=False)
class _RidgeProblem:
    """Regress centred targets on centred sources; one eigendecomposition serves every ridge.

    `s` (n_rows, d_source), `count` n = sum of the weights, `moment` = S'DT, eigenpairs of S'DS,
    `energy` = tr(T'DT M) for the metric M.
    """

    s: Array
    count: float
    mean: Array
    values: Array
    vectors: Array
    moment: Array
    metric: Array
    energy: float

    @classmethod
    def of(cls, s: Array, t: Array, w: Array, metric: Array) -> _RidgeProblem:
        count = float(w.sum())
        mean = w @ s / count
        s = s - mean
        values, vectors = np.linalg.eigh((s.T * w) @ s)
        energy = float(np.einsum("ij,ji->", (t.T * w) @ t, metric))
        return cls(s, count, mean, np.maximum(values, 0.0), vectors, (s.T * w) @ t, metric, energy)

    def rho(self, ridge: float) -> float:
        return ridge * float(self.values.mean() or 1.0)

    def solve(self, ridge: float) -> tuple[Array, Array]:
        """W (d_source, d_target) and V (d_source, d_source)."""
        spread = (self.vectors / (self.values + self.rho(ridge))) @ self.vectors.T
        return spread @ self.moment, spread

    def gcv(self, ridge: float) -> float:
        """n |T - SW|^2 / (n - degrees of freedom)^2, the norm taken in the metric."""
        n, rho = self.count, self.rho(ridge)
        along = self.vectors.T @ self.moment  # (d_source, d_target)
        sizes = np.einsum("ij,jk,ik->i", along, self.metric, along, optimize=True)
        shrunk = 1 / (self.values + rho)
        error = self.energy - float(sizes @ (2 * shrunk - self.values * shrunk**2))
        freedom = 1 + float(self.values @ shrunk)
        return n * max(error, 0.0) / max(n - freedom, 1e-9) ** 2


def _scaled(rows: Array, on: bool) -> Array:
    if not on:
        return rows
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1.0)


def _gram(factors: NDArray[Any]) -> Array:
    rows = np.asarray(factors, np.float64)
    return rows.T @ rows
