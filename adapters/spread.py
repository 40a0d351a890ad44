"""How far an adapter's predictions are off: a covariance of residuals, and how it grows with the
activity of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigvalsh
from scipy.special import multigammaln

from coldstart.prior import Prior

from .base import AnchorContext, Array, Rows, folds_of, sphere

__all__ = [
    "CHECKED",
    "WORTH",
    "Spread",
    "activity",
    "evenly",
    "out_of_fold",
    "shapes",
    "shrunk",
]

FOLDS = 5
CHECKED = 20_000  # anchors, at most, that are predicted by maps that have not seen them
WORTH = tuple(np.logspace(0, 4, 33))  # anchors that the shape a covariance is shrunk to is worth
SHRUNK = 16.0  # anchors that a slope of 0 is worth
_ROUND = 0.01  # share of a sphere in the covariance of all rows, which may be singular


@dataclass(frozen=True, eq=False)
class Spread:
    """Residuals r of a map over anchors: ``r_u ~ N(0, exp(slope (log a_u - level)) covariance)``.

    a_u is the activity of the source row, as far as anchors reach: rows that are more active than
    all of them, or less, are taken for the nearest. What the size of a residual follows in practice
    is the activity of the row, far more than how far the row lies from the anchors.

    Parameters
    ----------
    covariance : array (d, d), positive definite
    slope, level : float
    reach : tuple of float
        Smallest and largest ``log a_u - level`` of the anchors.
    """

    covariance: Array
    slope: float = 0.0
    level: float = 0.0
    reach: tuple[float, float] = (-np.inf, np.inf)

    @classmethod
    def of(
        cls,
        residuals: Array,
        weight: Array,
        source: Rows,
        context: AnchorContext | None,
        *,
        proper: Array | None = None,
    ) -> Spread:
        """Learn from `residuals` (n, d) of predictions that did not see their own row.

        The covariance is `shrunk` toward `proper` (d, d), by default a sphere of the residuals' own
        variance or the shape of the covariance of all target rows: it is defined for any number of
        anchors. Posterior covariances of the target rows, where the context brings them, are added.
        """
        context = context or AnchorContext()
        n = float(weight.sum())
        active = activity(source, context)
        slope, level = _growth(residuals, weight, active)
        away = np.log(active) - level
        grown = np.exp(slope * away)
        scatter = (residuals.T * (weight / grown)) @ residuals
        size = sphere(scatter / n)[0, 0]
        known = shapes(size, len(scatter), context) if proper is None else [proper]
        covariance, _ = shrunk(scatter, n, known)
        if context.target_covariance is not None:
            covariance = covariance + np.asarray(context.target_covariance, np.float64)
        counted = away[weight > 0]
        return cls(covariance, slope, level, (float(counted.min()), float(counted.max())))

    def scale(self, source: Rows, context: AnchorContext | None) -> Array:
        """Factor (m,) on the covariance for rows of the source, by their activity."""
        away = np.log(activity(source, context)) - self.level
        grown: Array = np.exp(self.slope * np.clip(away, *self.reach))
        return grown

    def prior(
        self,
        mean: Array,
        source: Rows,
        context: AnchorContext | None,
        *,
        origin: Array,
        leverage: Array | float = 0.0,
    ) -> Prior:
        """Gaussians around `mean` (m, d), with covariance ``scale (1 + leverage) covariance``."""
        precision = 1 / (self.scale(source, context) * (1 + leverage))
        shared = np.linalg.inv(self.covariance)
        return Prior(mean, precision, shared=(shared + shared.T) / 2, origin=origin)


def shapes(size: float, width: int, context: AnchorContext | None) -> list[Array]:
    """What a covariance (width, width) of average variance `size` may look like before residuals
    are seen: a sphere, or the covariance of all target rows, where the context brings it.
    """
    ball = size * np.eye(width)
    known = None if context is None else context.covariance
    if known is None or not np.trace(known) > 0:
        return [ball]
    shape = np.asarray(known, np.float64) * (size * width / np.trace(known))
    return [ball, (1 - _ROUND) * (shape + shape.T) / 2 + _ROUND * ball]


def shrunk(scatter: Array, count: float, shapes: Sequence[Array]) -> tuple[Array, float]:
    """Covariance of residuals with ``scatter = sum_u w_u r_u r_u'`` over `count` anchors, shrunk
    toward one of the `shapes`; and how many anchors that is worth.

    With ``r_u ~ N(0, Psi)`` and ``Psi ~ IW(k + d + 1, k P)``, whose mean is the shape P, ::

        E[Psi | r] = (k P + scatter) / (k + n)

    The worth k, one of `WORTH`, and the shape are those with the largest evidence, up to a constant
    ::

        log p(r | k, P) = (d nu/2) log k - (n/2) log|P| - ((nu + n)/2) log|k I + P^-1 scatter|
                          + log Gamma_d((nu + n)/2) - log Gamma_d(nu/2),   nu = k + d + 1

    As few residuals as dimensions have a covariance whose inverse is far too large. One that is
    nearly a sphere is told from that; one that is not keeps its shape once there are the anchors to
    show it.

    Parameters
    ----------
    scatter : array (d, d)
    count : float
        n, the sum of the weights.
    shapes : list of array (d, d), positive definite

    References
    ----------
    Chen (1979), Bayesian Inference for a Normal Dispersion Matrix and Its Application to Stochastic
    Multiple Regression Analysis.
    """
    found = [(*_worth(scatter, count, shape), shape) for shape in shapes]
    _, worth, shape = max(found, key=lambda one: one[0])
    covariance = (worth * shape + scatter) / (worth + count)
    return (covariance + covariance.T) / 2, worth


def _worth(scatter: Array, count: float, shape: Array) -> tuple[float, float]:
    """The largest evidence for a shape, and the worth k that has it."""
    d, nu = len(scatter), np.array(WORTH) + len(scatter) + 1
    sizes = np.maximum(eigvalsh(scatter, shape), 0.0)
    log_det = np.log(np.add.outer(WORTH, sizes)).sum(axis=1)
    evidence = nu * d * np.log(WORTH) - count * np.linalg.slogdet(shape)[1] - (nu + count) * log_det
    evidence = evidence / 2 + multigammaln((nu + count) / 2, d) - multigammaln(nu / 2, d)
    best = int(np.argmax(evidence))
    return float(evidence[best]), float(WORTH[best])


def activity(source: Rows, context: AnchorContext | None) -> Array:
    """How active source rows are (m,), at least 1: interactions, or else 1 + the squared length."""
    rows = None if context is None else context.source_rows
    if rows is None:
        lengths: Array = np.einsum("ij,ij->i", source, source, dtype=np.float64)
        return 1 + lengths
    counts: Array = np.maximum(np.diff(rows.indptr), 1).astype(np.float64)
    return counts


def out_of_fold(
    source: Rows,
    target: Rows,
    weight: Array,
    predict: Callable[[NDArray[np.bool_], NDArray[np.bool_]], Any],
) -> Array:
    """Residuals (n, d) of anchors predicted by a map that has not seen them.

    ``predict(train, test)`` gives the means of the rows in `test` of a map fitted on those in
    `train`, two masks (n,). Anchors of weight 0 have a residual of 0. With fewer than four
    different anchors every residual is that from the anchors' mean.
    """
    d = target.shape[1]
    residuals = np.zeros((len(source), d))
    folds = folds_of(source, target, weight, FOLDS)
    used = weight > 0
    if len(np.unique(folds[used])) < min(FOLDS, 4):
        mean = np.average(target[used], axis=0, weights=weight[used])
        residuals[used] = target[used] - mean
        return residuals
    for fold in np.unique(folds[used]):
        test = used & (folds == fold)
        residuals[test] = target[test] - predict(used & ~test, test)
    return residuals


def evenly(weight: Array, most: int) -> slice:
    """At most `most` of the anchors with `weight` (n,), evenly spaced; all, where those would count
    for nothing.
    """
    step = -(-len(weight) // most)
    some = slice(None, None, step)
    return some if step > 1 and weight[some].any() else slice(None)


def _growth(residuals: Array, weight: Array, active: Array) -> tuple[float, float]:
    """Slope of the log squared length of residuals over log activity, shrunk to 0; and the mean of
    log activity.
    """
    size = np.einsum("ij,ij->i", residuals, residuals)
    w = np.where(size > 0, weight, 0.0)
    if w.sum() < 2:
        return 0.0, 0.0
    x, y = np.log(active), np.log(np.where(size > 0, size, 1.0))
    level = np.average(x, weights=w)
    x, y = x - level, y - np.average(y, weights=w)
    variance = w @ x**2
    if variance <= 1e-9 * w.sum():
        return 0.0, float(level)
    return float(w @ (x * y) / (variance + SHRUNK * variance / w.sum())), float(level)
