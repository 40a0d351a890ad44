"""A ridge map with intercept from source to target embeddings, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coldstart.prior import Prior
from coldstart.threads import one_blas_thread, run_blocks

from .base import (
    BLOCK,
    AnchorContext,
    Rows,
    Settled,
    anchor_arrays,
    check_fitted,
    embeddings,
    scaled,
    score_metric,
    spelled_out,
    sphere,
    worth_of_mean,
)
from .regression import GCV_GRID, RidgeProblem
from .spread import evenly, shapes, shrunk

__all__ = ["RidgeAdapter"]

Array = NDArray[np.float64]

CANDIDATE_RIDGES = (0.1, 0.3, 1.0, 3.0)
COMPARED = 100_000  # anchors on which raw and normalised rows are compared


class RidgeAdapter(Settled):
    """Linear map with intercept, ``t = b + W'(s - s0)``, with a matrix-normal predictive
    distribution.

    With S the anchors' source rows less their mean s0, T their target rows, D their weights and
    ``rho`` the ridge, ::

        V = (S'DS + rho I)^-1,   W = V S'DT,   b = (n0 m0 + sum_u w_u t_u) / (n0 + n)
        Psi = k P + (T - b - SW)'D(T - b - SW) + rho W'W + n0 (b - m0)(b - m0)'
        x | s ~ N(b + W'(s - s0), (1 + 1/(n0 + n) + (s - s0)'V(s - s0)) Psi / (n + k))

    where m0 is the mean over *all* target rows, from the context, and counts as n0 anchors, so that
    few anchors cannot move the intercept far, and many can; without one n0 is 0. The prior on the
    residuals is proper (nu0 = d + 1 + k, Psi0 = k P): everything is defined for fewer anchors than
    dimensions. P is a sphere or has the shape of the covariance of all target rows, with the
    average variance of the residuals; shape and k are those with the largest evidence (`shrunk` in
    `adapters.spread`). With k = 1 whatever the data, the ellipsoids of 95% around 64 dimensions
    known from 30 anchors held one person in a hundred.

    All of it follows from the moments S'DS, S'DT and T'DT, which are added up in blocks of rows:
    single precision is read as it is, and beyond the inputs memory is that of a few (d, d)
    matrices. Neither fit nor predictions depend on the number of threads.

    Parameters
    ----------
    ridge : float or "gcv", default "gcv"
        ``rho`` as a multiple of the mean diagonal of S'DS, or the value with the least generalised
        cross-validation error. Errors are measured in scores (the metric Y'Y) where the context
        brings the other side's factors Y.
    normalize : bool or "auto", default "auto"
        Scale every source row to length 1, which removes how active it is; "auto" compares both by
        the same error, on at most 100,000 anchors, evenly spaced.
    pseudo_anchors : float, default 64.0
        n0, how many anchors the mean over all target rows is worth, where the context brings it.

    Attributes
    ----------
    coef_ : array (d_source, d_target)
    intercept_ : array (d_target,), the prediction at ``source_mean_`` (d_source,)
    ridge_ : float
    normalize_ : bool
    residual_covariance_ : array (d_target, d_target)
    shape_anchors_ : float, k
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
        return spelled_out(self, normalize=normalized, ridge=ridges)

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
            With fewer than two anchors, or source columns that are constant or collinear.
        ValueError
            When shapes do not fit, values are not finite, or a setting is out of range.
        """
        self._check_settings()
        s, t, w = anchor_arrays(source, target, weight, who="RidgeAdapter", context=context)
        with one_blas_thread():
            self._learn(s, t, w, context or AnchorContext())
        return self

    def _learn(self, s: Rows, t: Rows, w: Array, context: AnchorContext) -> None:
        metric = score_metric(context, t.shape[1])
        self.normalize_, problem = self._choose_problem(s, t, w, metric)
        self.ridge_ = min(self._ridges(), key=problem.gcv)
        n, self.source_mean_, anchor_mean = problem.count, problem.source_mean, problem.target_mean
        self.n_anchors_ = n
        m0 = anchor_mean if context.mean is None else np.asarray(context.mean, np.float64)
        n0 = worth_of_mean(context, self.pseudo_anchors)
        self.intercept_ = (n0 * m0 + n * anchor_mean) / (n0 + n)
        self._least = 1 + 1 / (n0 + n)
        self.coef_, self._root = problem.solve(self.ridge_)
        miss, off = anchor_mean - self.intercept_, self.intercept_ - m0
        psi = problem.residual(self.coef_) + n * np.outer(miss, miss)
        psi += n0 * np.outer(off, off)
        psi += problem.rho(self.ridge_) * self.coef_.T @ self.coef_
        if context.target_covariance is not None:
            psi += n * context.target_covariance
        d, free = len(psi), n if n0 else max(n - 1, n / 2)  # an intercept of one's own costs one
        size = (sphere(problem.target_scatter / n)[0, 0] + np.trace(psi)) / (free * d + 1)
        self.residual_covariance_, self.shape_anchors_ = shrunk(psi, free, shapes(size, d, context))

    def predict(self, source: ArrayLike, *, context: AnchorContext | None = None) -> Prior:
        """The predictive distribution for `source` (m, d_source): a mean per row, in the precision
        of `source`, and one shared precision shape.
        """
        check_fitted(self, "coef_")
        s = embeddings(source, "source", len(self.source_mean_), context)
        mean = np.empty((len(s), len(self.intercept_)), s.dtype)
        precision = np.empty(len(s))
        learned = (self.source_mean_, self.coef_, self.intercept_, self._root)
        s0, coef, intercept, root = (array.astype(s.dtype) for array in learned)

        def work(start: int, stop: int) -> None:
            rows = scaled(s[start:stop], self.normalize_) - s0
            np.matmul(rows, coef, out=mean[start:stop])
            mean[start:stop] += intercept
            along = rows @ root  # V = root root', (rows, d_source)
            precision[start:stop] = 1 / (self._least + np.einsum("ij,ij->i", along, along))

        run_blocks(work, len(s), block=BLOCK)
        for array in (mean, precision):
            array.flags.writeable = False  # nobody else has them: a prior need not copy
        with one_blas_thread():
            shared = np.linalg.inv(self.residual_covariance_)
        return Prior(mean, precision, shared=shared, origin=self.intercept_)

    def _ridges(self) -> Sequence[float]:
        return GCV_GRID if self.ridge == "gcv" else (float(self.ridge),)

    def _choose_problem(
        self, s: Rows, t: Rows, w: Array, metric: Array
    ) -> tuple[bool, RidgeProblem]:
        """Whether rows are normalised, and the regression on all anchors."""
        on, every = bool(self.normalize), slice(None)
        if self.normalize == "auto":
            every = evenly(w, COMPARED)
            some = s[every], t[every], w[every]
            problems = [RidgeProblem.of(*some, metric, normalize=on) for on in (False, True)]
            errors = [min(map(problem.gcv, self._ridges())) for problem in problems]
            on = errors[1] < errors[0]
            if every == slice(None):
                return on, problems[on]
        return on, RidgeProblem.of(s, t, w, metric, normalize=on)

    def _check_settings(self) -> None:
        if self.ridge != "gcv" and (isinstance(self.ridge, str) or not 0 < self.ridge < np.inf):
            raise ValueError(f'ridge must be "gcv" or a positive number, got {self.ridge!r}')
        if self.normalize not in (True, False, "auto"):
            raise ValueError(f'normalize must be True, False or "auto", got {self.normalize!r}')
        if not (np.isfinite(self.pseudo_anchors) and self.pseudo_anchors >= 0):
            raise ValueError(f"pseudo_anchors must not be negative, got {self.pseudo_anchors!r}")
