"""A map fitted to the anchors' target interactions instead of their target embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coldstart.prior import Prior
from coldstart.threads import one_blas_thread

from .anchor_loss import AnchorLoss
from .base import (
    AnchorContext,
    Array,
    Settled,
    anchor_arrays,
    check_fitted,
    embeddings,
    scaled,
    spelled_out,
)
from .normal_equations import conjugate_gradients
from .spread import Spread, out_of_fold

__all__ = ["TaskAdapter"]

RIDGE, ACTIVITY = 1.0, 0.5  # what "auto" is without held-out people
CANDIDATE_RIDGES = (0.3, 1.0, 2.0)
CANDIDATE_ACTIVITIES = (0.25, 1.0)
FOLD_TOLERANCE = 1e-3  # of the maps that residuals are measured by


class TaskAdapter(Settled):
    """Linear map with intercept, ``x = b + W'(s - s0)``, fitted to what it is for: the anchors'
    target interactions.

    With p_ui = 1 for the observed pairs of anchor u and confidences ``c = alpha * value`` there, 0
    and 1 elsewhere, target factors y_i and ``x_u = b + W'(s_u - s0)``, it minimises ::

        sum_u a_u sum_i c_ui (p_ui - y_i'x_u)^2 + h (rho |W|^2 + n0 |b - m0|^2)

    which is the loss of the rows of `PriorALS` with the rows tied to one map: what rows fitted one
    by one would lose to their own ridge and noise is not lost first. For n_u target interactions
    ``a_u = n_u^-activity``, scaled to a mean of 1, so that heavy people do not dominate. s0 is the
    mean of the source rows, m0 the mean over all target rows (from the context, else the anchors'
    own), each person counting a_u. h, the mean diagonal of ``Y'C_uY`` averaged over people, makes
    penalties count anchors. (In the metric of that average instead, maps ranked worse: directions
    of which interactions say little have to be held.) Anchors without target interactions count
    for nothing.

    The normal equations ``(sum_u a_u z_u z_u' (x) Y'C_uY + Lambda) vec(Theta') = sum_u a_u z_u (x)
    Y'C_u p_u``, z_u = [1; s_u - s0], are solved by preconditioned conjugate gradients.

    Where the context lacks the target interactions, alpha or the other side's factors, the same
    sum is minimised over embeddings, ``sum_u a_u |t_u - x_u|^2`` in the metric Y'Y, or that of the
    identity without factors; without target interactions everybody has the same activity.

    How far it is off is measured in five folds of the anchors: a covariance of the residuals
    ``t_u - x_u``, which grows with the activity of the source row (`Spread`).

    Parameters
    ----------
    ridge : float or "auto", default "auto"
        ``rho`` as a multiple of the mean diagonal of ``sum_u a_u (s_u - s0)(s_u - s0)'``. "auto" is
        1 in a fit and leaves the choice to held-out people where there are some.
    activity : float or "auto", default "auto"
        The exponent; 0 counts every interaction, 1 every person. "auto" is 0.5 in a fit.
    normalize : bool, default True
        Scale every source row to length 1.
    pseudo_anchors : float, default 64.0
        n0, how many average anchors the mean over all target rows is worth.
    tolerance : float, default 1e-6
        Residual of the equations, relative to their right side, at which the fit ends.
    iterations : int, default 500
        Steps it may take.

    Attributes
    ----------
    coef_ : array (d_source, d_target)
    intercept_ : array (d_target,), the prediction at ``source_mean_`` (d_source,)
    ridge_, activity_ : float
    steps_ : int, of the conjugate gradients
    spread_ : Spread

    References
    ----------
    Hu, Koren and Volinsky (2008), Collaborative Filtering for Implicit Feedback Datasets (the
    loss). Gantner, Drumond, Freudenthaler, Rendle and Schmidt-Thieme (2010), Learning
    Attribute-to-Feature Mappings for Cold-Start Recommendations (maps fitted to the recommender's
    own loss). Agarwal and Chen (2009), Regression-based Latent Factor Models.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> source = rng.normal(size=(200, 4))
    >>> target = source @ rng.normal(size=(4, 3)) + 1.0
    >>> adapter = TaskAdapter(0.01, normalize=False).fit(source, target)
    >>> bool(np.allclose(adapter.predict(source[:2]).mean, target[:2], atol=0.1))
    True
    """

    needs_anchors = True

    def __init__(
        self,
        ridge: float | Literal["auto"] = "auto",
        *,
        activity: float | Literal["auto"] = "auto",
        normalize: bool = True,
        pseudo_anchors: float = 64.0,
        tolerance: float = 1e-6,
        iterations: int = 500,
    ) -> None:
        self.ridge = ridge
        self.activity = activity
        self.normalize = normalize
        self.pseudo_anchors = pseudo_anchors
        self.tolerance = tolerance
        self.iterations = iterations

    def get_params(self) -> dict[str, Any]:
        """The constructor's arguments, by name."""
        return {
            "ridge": self.ridge,
            "activity": self.activity,
            "normalize": self.normalize,
            "pseudo_anchors": self.pseudo_anchors,
            "tolerance": self.tolerance,
            "iterations": self.iterations,
        }

    def candidates(self) -> Sequence[TaskAdapter]:
        """What is left open ("auto"), spelled out for held-out people to choose from."""
        ridges = CANDIDATE_RIDGES if self.ridge == "auto" else (self.ridge,)
        activities = CANDIDATE_ACTIVITIES if self.activity == "auto" else (self.activity,)
        return spelled_out(self, activity=activities, ridge=ridges)

    def fit(
        self,
        source: ArrayLike,
        target: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        context: AnchorContext | None = None,
    ) -> TaskAdapter:
        """Fit the map on n anchors: `source` (n, d_source), `target` (n, d_target), `weight` (n,).

        A weight counts anchors: 2 is the anchor twice, 0 is without it.

        Raises
        ------
        AnchorError
            With fewer than two anchors, source columns that are constant or collinear, or where no
            anchor has a target interaction.
        FitError
            When the conjugate gradients need more steps than `iterations`.
        ValueError
            When shapes do not fit, values are not finite, or a setting is out of range.
        """
        self._check_settings()
        s, t, w = anchor_arrays(source, target, weight, who="TaskAdapter", context=context)
        context = context or AnchorContext()
        self.ridge_ = RIDGE if self.ridge == "auto" else float(self.ridge)
        self.activity_ = ACTIVITY if self.activity == "auto" else float(self.activity)
        with one_blas_thread():
            loss = AnchorLoss.of(
                np.asarray(scaled(s.astype(np.float64), self.normalize), np.float64),
                t.astype(np.float64),
                w,
                self.activity_,
                context,
            )
            self._learn(loss, context)
            residuals = out_of_fold(
                s, t, w, lambda train, test: self._without(loss, train, test, context)
            )
            self.spread_ = Spread.of(residuals, w, s, context)
        return self

    def predict(self, source: ArrayLike, *, context: AnchorContext | None = None) -> Prior:
        """Gaussians for `source` (m, d_source) rows: around the map, as wide as residuals were."""
        check_fitted(self, "spread_")
        s = embeddings(source, "source", len(self.source_mean_), context)
        with one_blas_thread():
            rows = scaled(s.astype(np.float64), self.normalize) - self.source_mean_
            mean = self.intercept_ + rows @ self.coef_
            return self.spread_.prior(mean, s, context, origin=self.intercept_)

    def _learn(self, loss: AnchorLoss, context: AnchorContext) -> None:
        self.source_mean_ = loss.source_mean
        theta, self.steps_ = self._solved(loss, context, self.tolerance)
        self.intercept_, self.coef_ = theta[0], theta[1:]

    def _without(
        self,
        loss: AnchorLoss,
        train: NDArray[np.bool_],
        test: NDArray[np.bool_],
        context: AnchorContext,
    ) -> Array:
        """Means of the rows in `test` by the map of those in `train`."""
        rest = loss.take(train)
        if not rest.weight.any():
            return np.broadcast_to(self.intercept_, (int(test.sum()), len(self.intercept_)))
        theta, _ = self._solved(rest, context, max(self.tolerance, FOLD_TOLERANCE))
        means: Array = theta[0] + (loss.source[test] - rest.source_mean) @ theta[1:]
        return means

    def _solved(
        self, loss: AnchorLoss, context: AnchorContext, tolerance: float
    ) -> tuple[Array, int]:
        """The intercept over the map, (1 + d_source, d_target), and the steps it took."""
        equations = loss.equations(self.ridge_, self.pseudo_anchors)
        m0 = loss.target_mean if context.mean is None else np.asarray(context.mean, np.float64)
        start = np.vstack([m0, np.zeros((loss.source.shape[1], len(m0)))])
        return conjugate_gradients(
            equations.apply,
            equations.right_side(loss.aims, start),
            start,
            equations.precondition,
            tolerance=tolerance,
            iterations=self.iterations,
        )

    def _check_settings(self) -> None:
        if self.ridge != "auto" and (isinstance(self.ridge, str) or not 0 < self.ridge < np.inf):
            raise ValueError(f'ridge must be "auto" or a positive number, got {self.ridge!r}')
        if self.activity != "auto" and (
            isinstance(self.activity, str) or not 0 <= self.activity < np.inf
        ):
            raise ValueError(
                f'activity must be "auto" or a number from 0 on, got {self.activity!r}'
            )
        if self.normalize not in (True, False):
            raise ValueError(f"normalize must be True or False, got {self.normalize!r}")
        if not 0 <= self.pseudo_anchors < np.inf:
            raise ValueError(f"pseudo_anchors must not be negative, got {self.pseudo_anchors!r}")
        if not 0 < self.tolerance < 1:
            raise ValueError(f"tolerance must be between 0 and 1, got {self.tolerance!r}")
        if self.iterations < 1:
            raise ValueError(f"iterations must be at least 1, got {self.iterations!r}")
