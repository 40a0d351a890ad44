"""Any multi-output regressor of scikit-learn as an adapter."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coldstart.prior import Prior
from coldstart.threads import one_blas_thread

from .base import AnchorContext, Array, Settled, anchor_arrays, check_fitted, embeddings
from .source_rows import canonical, null_mean
from .spread import Spread, out_of_fold

__all__ = ["RegressorAdapter"]

ALPHAS = tuple(np.logspace(-2, 4, 13))


class RegressorAdapter(Settled):
    """``t = b + g(s)``, with g any regressor of scikit-learn that predicts whole rows.

    g is fitted to the target rows less their mean, and the null mean
    ``b = (n0 m0 + sum_u w_u t_u) / (n0 + n)`` counts the mean m0 of all target rows as n0 anchors.
    Rows of either side reach g divided by one number, the root mean square of what anchors are off
    their mean: no penalty or step of g depends on the unit of the embeddings. Residuals are those
    of five-fold cross-validation (`Spread`), so that g is fitted six times.

    With `MLPRegressor` this is the network of EMCDR, which regresses target embeddings on source
    embeddings by a hidden layer of tanh units.

    Parameters
    ----------
    regressor : estimator, optional
        Cloned in `fit`, never changed. By default `RidgeCV`, a ridge regression with the penalty
        chosen by leaving one out. Anchors reach it in an order that follows from their values, and
        a `random_state` of None is set to `rng`: a fit can be repeated.
    pseudo_anchors : float, default 64.0
        n0.
    rng : int, default 0

    Attributes
    ----------
    regressor_ : estimator
        g, fitted on all anchors.
    origin_ : array (d_target,), b
    spread_ : Spread

    References
    ----------
    Man, Shen, Jin and Cheng (2017), Cross-Domain Recommendation: An Embedding and Mapping Approach
    (EMCDR).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neighbors import KNeighborsRegressor
    >>> source = np.random.default_rng(0).normal(size=(200, 2))
    >>> adapter = RegressorAdapter(KNeighborsRegressor(5)).fit(source, np.sign(source))
    >>> np.round(adapter.predict([[1.0, -1.0]]).mean)
    array([[ 1., -1.]])
    """

    needs_anchors = True

    def __init__(
        self, regressor: Any = None, *, pseudo_anchors: float = 64.0, rng: int = 0
    ) -> None:
        self.regressor = regressor
        self.pseudo_anchors = pseudo_anchors
        self.rng = rng

    def get_params(self) -> dict[str, Any]:
        """The constructor's arguments, by name."""
        return {
            "regressor": self.regressor,
            "pseudo_anchors": self.pseudo_anchors,
            "rng": self.rng,
        }

    def fit(
        self,
        source: ArrayLike,
        target: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        context: AnchorContext | None = None,
    ) -> RegressorAdapter:
        """Fit on n anchors: `source` (n, d_source), `target` (n, d_target), `weight` (n,).

        Raises
        ------
        ValueError
            When weights other than 0 and 1 meet a regressor whose `fit` takes no `sample_weight`.
        """
        self._check_settings()
        s, t, w = anchor_arrays(source, target, weight, who="RegressorAdapter", context=context)
        context = context or AnchorContext()
        order, same = canonical(s, t, w)
        self._width, self._weighs = s.shape[1], self._takes_weights()
        if self._weighs:  # equal anchors are one
            counts = np.bincount(same, w[order]).astype(np.float64)
            order = order[np.unique(same, return_index=True)[1]]
        else:
            counts = w[order]
            if (counts != 1).any():
                raise ValueError(
                    f"{type(self._new()).__name__} takes no sample_weight: "
                    "pass weights of 0 and 1 only, or another regressor"
                )
        x, y = s[order].astype(np.float64), t[order].astype(np.float64)
        self.origin_ = null_mean(y, counts, context, self.pseudo_anchors)
        self._units = _size(x, counts), _size(y, counts)
        with one_blas_thread():

            def means(train: NDArray[np.bool_], test: NDArray[np.bool_]) -> Array:
                fitted = self._fitted(x[train], y[train], counts[train])
                mean = np.average(y[train], axis=0, weights=counts[train])
                return mean + self._off(fitted, x[test])

            residuals = out_of_fold(x, y, counts, means)
            self.regressor_ = self._fitted(x, y, counts)
            self.spread_ = Spread.of(residuals, counts, x, context.take(order))
        return self

    def predict(self, source: ArrayLike, *, context: AnchorContext | None = None) -> Prior:
        """A Gaussian around the regressor's prediction for `source` (m, d_source)."""
        check_fitted(self, "spread_")
        s = embeddings(source, "source", self._width, context).astype(np.float64)
        with one_blas_thread():
            mean = self.origin_ + self._off(self.regressor_, s)
        return self.spread_.prior(mean, s, context, origin=self.origin_)

    def _new(self) -> Any:
        from sklearn.base import clone
        from sklearn.linear_model import RidgeCV

        new = RidgeCV(ALPHAS) if self.regressor is None else clone(self.regressor)
        seeds = {
            name: self.rng
            for name, value in new.get_params().items()
            if name.split("__")[-1] == "random_state" and value is None
        }
        return new.set_params(**seeds)

    def _takes_weights(self) -> bool:
        from sklearn.utils.validation import has_fit_parameter

        return bool(has_fit_parameter(self._new(), "sample_weight"))

    def _fitted(self, x: Array, y: Array, weight: Array) -> Any:
        """g, fitted to `y` (n, d_target) less its mean."""
        weights = {"sample_weight": weight} if self._weighs else {}
        rows = (y - np.average(y, axis=0, weights=weight)) / self._units[1]
        rows = rows[:, 0] if rows.shape[1] == 1 else rows
        return self._new().fit(x / self._units[0], rows, **weights)

    def _off(self, fitted: Any, x: Array) -> Array:
        """How far (n, d_target) from the mean g sends `x` (n, d_source)."""
        return self._units[1] * _rows(fitted, x / self._units[0], len(self.origin_))

    def _check_settings(self) -> None:
        regressor = self.regressor
        needed = ("fit", "predict", "get_params", "set_params")
        if regressor is not None and (
            isinstance(regressor, type) or not all(hasattr(regressor, name) for name in needed)
        ):
            raise TypeError(
                f"regressor must be a regressor of scikit-learn, for example RidgeCV(), "
                f"got {regressor!r}"
            )
        if not (np.isfinite(self.pseudo_anchors) and self.pseudo_anchors >= 0):
            raise ValueError(f"pseudo_anchors must not be negative, got {self.pseudo_anchors!r}")


def _size(rows: Array, weight: Array) -> float:
    """Root mean square of what rows (n, d) are off their mean; 1 where all are the same."""
    off = rows - np.average(rows, axis=0, weights=weight)
    return float(np.sqrt(np.average(off**2, axis=0, weights=weight).mean())) or 1.0


def _rows(regressor: Any, x: Array, width: int) -> Array:
    """Predictions (n, width), also of regressors that drop a single column or want a row."""
    if not len(x):
        return np.zeros((0, width))
    return np.asarray(regressor.predict(x), np.float64).reshape(len(x), width)
