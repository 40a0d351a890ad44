"""What features such as titles, categories and prices say of a row, with its embedding or alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from coldstart.features import feature_matrix
from coldstart.prior import Prior
from coldstart.threads import one_blas_thread

from .base import (
    AnchorContext,
    Array,
    Rows,
    Settled,
    anchor_arrays,
    check_fitted,
    check_size,
    embeddings,
    scaled,
    score_metric,
    spelled_out,
)
from .baselines import MeanAdapter
from .feature_map import FeatureMap, rows_told
from .linear import RidgeAdapter
from .spread import Spread, out_of_fold

__all__ = ["ContentAdapter"]

CANDIDATE_RIDGES = (0.3, 1.0, 3.0, 10.0)
RIDGES = (1.0, 3.0, 0.3, 10.0, 0.1, 30.0, 100.0)  # of equal ones the first
COMPARED = 10_000  # rows on which ridges are compared, about
ROUGH = 1e-3  # what is left of the equations of a map that is only used to judge


class ContentAdapter(Settled):
    """Linear maps from features, from features and source embeddings, and from embeddings alone.

    With c(f) the ridge map from features to target rows, fitted on all rows that have features,
    e(f) that from features to source rows, fitted on all rows that have both, and r what a map
    leaves of a row that it has not seen, the prior mean of a row is ::

        c(f) + W'(s - e(f))       where it has features and a source row
        c(f) = b + C'(f - f0)     where it has features alone
        b_s + W_s'(s - s0)        where it has a source row alone
        b                         where it has neither

    W regresses r_t = t - c(f) on r_s = s - e(f): the embedding adds what features could not know,
    and nothing counts twice: this is the conditional mean of t where (t, s) given f is Gaussian
    with linear means. A row of zeros in ``context.features`` has no features,
    and a row of zeros in `source` is in no source catalog. The intercept b lies between the mean
    over *all* target rows (from the context) and that of the rows with features, as in
    `RidgeAdapter`.

    Covariances are those of c's residuals by cross-validation, and the predictive ones of
    `RidgeAdapter` on the other lines; rows with neither have that of all target rows. They are
    projected to one shared matrix, the trace kept row by row.

    It needs no anchors: a line with fewer than two rows to learn from leaves its rows to the next
    that they allow. Where the context of `fit` brings no features, it is `RidgeAdapter`.

    Parameters
    ----------
    ridge : float or "auto", default "auto"
        Of the maps from features, as a multiple of the mean squared length of the centred features:
        about the noise in a target row over what follows from features. "auto" has the least
        cross-validation error on at most 10,000 rows, in scores (the metric Y'Y) where the context
        brings the other side's factors Y.
    embeddings : bool, default True
        False is c(f) alone: source rows are not looked at, and features are needed.
    normalize : bool or "auto", default "auto"
        Scale every source row to length 1, as in `RidgeAdapter`, which chooses its own ridge.
    pseudo_anchors : float, default 64.0
        How many rows the mean over all target rows is worth.

    Attributes
    ----------
    content_ : FeatureMap or None, c
    ridge_ : float or None
    embedding_, joint_ : RidgeAdapter or None, of s and of r_s
    origin_ : array (d_target,), b

    References
    ----------
    Robinson (1988), Root-N-Consistent Semiparametric Regression (partialling out). Frisch and Waugh
    (1933), Partial Time Regressions as Compared with Individual Trends. Gantner et al. (2010),
    Learning Attribute-to-Feature Mappings for Cold-Start Recommendations.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> features = rng.normal(size=(200, 4))
    >>> target = features @ rng.normal(size=(4, 3)) + 1.0
    >>> nowhere = np.zeros((200, 5))
    >>> context = AnchorContext(features=features)
    >>> adapter = ContentAdapter().fit(nowhere, target, context=context)
    >>> prior = adapter.predict(nowhere[:2], context=AnchorContext(features=features[:2]))
    >>> bool(np.allclose(prior.mean, target[:2], atol=0.1))
    True
    """

    needs_anchors = False
    reads_features = True

    def __init__(
        self,
        ridge: float | Literal["auto"] = "auto",
        *,
        embeddings: bool = True,
        normalize: bool | Literal["auto"] = "auto",
        pseudo_anchors: float = 64.0,
    ) -> None:
        self.ridge = ridge
        self.embeddings = embeddings
        self.normalize = normalize
        self.pseudo_anchors = pseudo_anchors

    def get_params(self) -> dict[str, Any]:
        """The constructor's arguments, by name."""
        return {
            "ridge": self.ridge,
            "embeddings": self.embeddings,
            "normalize": self.normalize,
            "pseudo_anchors": self.pseudo_anchors,
        }

    def candidates(self) -> Sequence[ContentAdapter]:
        """Ridges for held-out people to choose from, where it is left open."""
        ridges = CANDIDATE_RIDGES if self.ridge == "auto" else (self.ridge,)
        return spelled_out(self, ridge=ridges)

    def fit(
        self,
        source: ArrayLike,
        target: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        context: AnchorContext | None = None,
    ) -> ContentAdapter:
        """Fit the maps on n rows: `source` (n, d_source), zeros where a row is in no source
        catalog, `target` (n, d_target), `weight` (n,), and ``context.features`` (n, p).

        Raises
        ------
        AnchorError
            When source columns are constant or collinear over the rows that are in the source; and
            without features, with fewer than two anchors.
        ValueError
            When shapes do not fit, values are not finite, a setting is out of range, or there are
            no features although `embeddings` is False.
        """
        self._check_settings()
        context = context or AnchorContext()
        who = "ContentAdapter" if context.features is None else None
        s, t, w = anchor_arrays(source, target, weight, who=who, context=context)
        features = self._features(context)
        context = replace(context, features=features)
        self._source_width = s.shape[1]
        self._feature_width = None if features is None else features.shape[1]
        with one_blas_thread():
            if features is None:
                self._learn_embedding(s, t, w, context)
            else:
                self._learn(s, t, w, features, context)
        return self

    def _learn_embedding(self, s: Rows, t: Rows, w: Array, context: AnchorContext) -> None:
        self.embedding_: RidgeAdapter | None = self._ridge_map(self.normalize)
        self.embedding_.fit(s, t, weight=w, context=context)
        self.content_: FeatureMap | None = None
        self.joint_: RidgeAdapter | None = None
        self.ridge_: float | None = None
        self.origin_: Array = self.embedding_.intercept_
        self._covariance = self.embedding_.residual_covariance_

    def _learn(self, s: Rows, t: Rows, w: Array, features: Any, context: AnchorContext) -> None:
        self._null = MeanAdapter().fit(s, t, weight=w, context=context)
        self._covariance = self._null.covariance_
        self.content_ = self.embedding_ = self.joint_ = self.ridge_ = None
        self.origin_ = self._null.mean_
        told, known = (w > 0) & rows_told(features), (w > 0) & self._known(s)
        if np.count_nonzero(known) > 1:
            self._learn_embedding(s[known], t[known], w[known], context.take(known))
        if np.count_nonzero(told) > 1:
            rows = s[told], t[told].astype(np.float64), w[told], features[told]
            self._learn_content(*rows, known[told], context.take(told))

    def _learn_content(
        self, s: Rows, t: Array, w: Array, f: Any, known: NDArray[np.bool_], context: AnchorContext
    ) -> None:
        """Fit c on rows that have features, and W on those that are `known` to the source too."""
        self.ridge_ = self._chosen_ridge(s, t, w, f, score_metric(context, t.shape[1]))
        self.content_ = FeatureMap.of(
            f,
            t,
            w,
            ridge=self.ridge_,
            origin=self._null.mean_,
            pseudo_rows=self.pseudo_anchors,
        )
        self.origin_ = self.content_.intercept
        missed = _missed(s, t, w, f, self.ridge_)
        # how active a source row is says nothing here: one covariance for all
        still = np.zeros((len(s), 1))
        self._spread = Spread.of(missed, w, still, replace(context, source_rows=None))
        self._covariance = self._spread.covariance
        if self.embedding_ is None or np.count_nonzero(known) < 2:
            return
        rows, f, w = scaled(s[known], self.embedding_.normalize_), f[known], w[known]
        self._source_of = FeatureMap.of(f, rows, w, ridge=self.ridge_)
        apart = _missed(s[known], rows, w, f, self.ridge_)
        self.joint_ = self._ridge_map(False).fit(
            apart,
            missed[known],
            weight=w,
            context=replace(context.take(known), mean=np.zeros(t.shape[1])),
        )
        self._covariance = self.joint_.residual_covariance_

    def predict(self, source: ArrayLike, *, context: AnchorContext | None = None) -> Prior:
        """The prior of rows by their `source` (m, d_source), zeros where a row is in no source
        catalog, and ``context.features`` (m, p).

        Raises
        ------
        ValueError
            When features have another number of rows or columns than expected, or are missing
            although `embeddings` is False.
        """
        check_fitted(self, "origin_")
        s = embeddings(source, "source", self._source_width, context)
        features = self._features(context or AnchorContext(), self._feature_width)
        if self._feature_width is None and self.embedding_ is not None:
            if features is not None:
                raise ValueError("the adapter was fitted without features: pass them to fit too")
            return self.embedding_.predict(s)
        return self._prior(s, features)

    def _prior(self, s: Rows, features: Any) -> Prior:
        """Each row by the line that its features and its source row allow."""
        nothing = np.zeros(len(s), bool)
        told = rows_told(features) if features is not None and self.content_ else nothing
        known = self._known(s) if self.embedding_ else nothing
        mean = np.tile(self.origin_, (len(s), 1))
        variance = np.full(len(s), np.trace(self._null.covariance_))  # traces of covariances
        alone = known & ~told
        if self.embedding_ and alone.any():
            mean[alone], variance[alone] = _moments(self.embedding_, s[alone])
        if self.content_ and told.any():
            mean[told] = self.content_.predict(features[told])
            variance[told] = np.trace(self._spread.covariance)
        both = known & told
        if self.joint_ and self.embedding_ and both.any():
            rows = scaled(s[both], self.embedding_.normalize_)
            more, variance[both] = _moments(
                self.joint_, rows - self._source_of.predict(features[both])
            )
            mean[both] += more
        precision = np.trace(self._covariance) / variance
        with one_blas_thread():
            shared = np.linalg.inv(self._covariance)
        return Prior(mean, precision, shared=(shared + shared.T) / 2, origin=self.origin_)

    def _chosen_ridge(self, s: Rows, t: Array, w: Array, f: Any, metric: Array) -> float:
        """The one given, or that with the least error of rows that a map has not seen."""
        if self.ridge != "auto":
            return float(self.ridge)
        some = slice(None, None, -(-len(w) // COMPARED))
        s, t, w, f = s[some], t[some], w[some], f[some]

        def error(ridge: float) -> float:
            missed = _missed(s, t, w, f, ridge)
            return float(w @ np.einsum("ij,ij->i", missed @ metric, missed))

        return min(RIDGES, key=error)

    def _ridge_map(self, normalize: bool | Literal["auto"]) -> RidgeAdapter:
        return RidgeAdapter(normalize=normalize, pseudo_anchors=self.pseudo_anchors)

    def _known(self, s: Rows) -> NDArray[np.bool_]:
        """Rows (n,) that are in a source catalog and should be read there."""
        known: NDArray[np.bool_] = np.any(s, axis=1) & self.embeddings
        return known

    def _features(self, context: AnchorContext, width: int | None = None) -> Any:
        """The features in `context`, checked; None where there are none and none are needed."""
        if context.features is None:
            if not self.embeddings:
                raise ValueError(
                    "ContentAdapter(embeddings=False) reads features alone, and there are none: "
                    "pass AnchorContext(features=...), or features to WarmStart"
                )
            return None
        features = feature_matrix(context.features)
        check_size(features.data if sp.issparse(features) else features, "features")
        if width is not None and features.shape[1] != width:
            raise ValueError(
                f"features is {features.shape[1]} wide but the adapter was fitted on {width}"
            )
        return features

    def _check_settings(self) -> None:
        if self.ridge != "auto" and (isinstance(self.ridge, str) or not 0 < self.ridge < np.inf):
            raise ValueError(f'ridge must be "auto" or a positive number, got {self.ridge!r}')


def _missed(s: Rows, t: Rows, w: Array, f: Any, ridge: float) -> Array:
    """What maps from f (n, p) to t (n, d) leave of rows that they have not seen (n, d)."""

    def predict(train: NDArray[np.bool_], test: NDArray[np.bool_]) -> Array:
        rows = f[train], t[train], w[train]
        return FeatureMap.of(*rows, ridge=ridge, tolerance=ROUGH).predict(f[test])

    return out_of_fold(s, t, w, predict)


def _moments(adapter: RidgeAdapter, rows: Rows) -> tuple[Rows, Rows]:
    """Means (m, d) and traces of the covariances (m,) that an adapter predicts."""
    prior = adapter.predict(rows)
    size: float = np.trace(adapter.residual_covariance_)
    return prior.mean, size / prior.precision
