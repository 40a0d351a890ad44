"""How far an adapter's predictions are off: a covariance of residuals, and how it grows with the
activity of a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldstart.prior import Prior

from .base import AnchorContext, Array, Rows, folds_of, sphere

__all__ = ["Spread", "activity", "out_of_fold"]

FOLDS = 5
SHRUNK = 16.0  # anchors that a slope of 0 is worth
WIDEST = 2.0  # predictions are scaled within exp(+-WIDEST), activity is no oracle


@dataclass(frozen=True, eq=False)
class Spread:
    """Residuals r of a map over anchors: ``r_u ~ N(0, exp(slope (log a_u - level)) covariance)``.

    a_u is the activity of the source row. What the size of a residual follows in practice is the
    activity of the row, far more than how far the row lies from the anchors.

    Parameters
    ----------
    covariance : array (d, d), positive definite
    slope, level : float
    """

    covariance: Array
    slope: float = 0.0
    level: float = 0.0

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

        The covariance is shrunk toward `proper` (d, d), a sphere of the residuals' own variance by
        default, by d + 2 degrees of freedom with the mean at it: it is defined for any number of
        anchors. Posterior covariances of the target rows, where the context brings them, are added.
        """
        context = context or AnchorContext()
        n = weight.sum()
        slope, level = _growth(residuals, weight, activity(source, context))
        size = np.exp(-slope * (np.log(activity(source, context)) - level))
        scatter = (residuals.T * (weight * size)) @ residuals
        proper = sphere(scatter / n) if proper is None else proper
        covariance = (proper + scatter) / (n + 1)
        if context.target_covariance is not None:
            covariance = covariance + np.asarray(context.target_covariance, np.float64)
        return cls((covariance + covariance.T) / 2, slope, level)

    def scale(self, source: Rows, context: AnchorContext | None) -> Array:
        """Factor (m,) on the covariance for rows of the source, by their activity."""
        away = np.log(activity(source, context)) - self.level
        grown: Array = np.exp(np.clip(self.slope * away, -WIDEST, WIDEST))
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


def activity(source: Rows, context: AnchorContext | None) -> Array:
    """How active source rows are (m,), at least 1: interactions, or else 1 + the squared length."""
    rows = None if context is None else context.source_rows
    if rows is None:
        return 1 + np.einsum("ij,ij->i", source, source, dtype=np.float64)
    return np.maximum(np.diff(rows.indptr), 1).astype(np.float64)


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
