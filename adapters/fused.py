"""A mean of the priors of several adapters."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from coldstart.prior import Prior

from .base import (
    Adapter,
    AnchorContext,
    Array,
    Settled,
    anchor_arrays,
    check_fitted,
    check_parts,
    in_one_space,
    reads_features,
)
from .kernel import KernelAdapter
from .linear import RidgeAdapter

__all__ = ["FusedAdapter", "fuse_evenly"]


class FusedAdapter(Settled):
    """Precision-weighted mean of the priors of two or more adapters, each with an equal say.

    With priors N(m_p, C_p) of k adapters, covariance intersection with equal weights is ::

        P^-1 = 1/k sum_p C_p^-1,   m = P (1/k) sum_p C_p^-1 m_p

    so that what two adapters learned from the same anchors is not counted twice. Here each C_p is
    taken as a variance per row times one shape for all rows, ``C_p = v_p S``, v_p the row's mean
    variance: means are then averaged row by row with the weights 1/v_p, and S^-1 is the average of
    the adapters' shapes (a sphere for one without a `shared` matrix). That is exact where the
    shapes are the same, or where there is none, and saves a matrix inverse per row. Elsewhere it
    is on the safe side: the variance of a row is never smaller than that of the exact P.

    Parameters
    ----------
    adapters : sequence of Adapter, optional
        A ridge map and regression from whole source rows by default.

    Attributes
    ----------
    adapters_ : list of fitted Adapter

    References
    ----------
    Julier and Uhlmann (1997), A Non-divergent Estimation Algorithm in the Presence of Unknown
    Correlations.

    Examples
    --------
    >>> import numpy as np
    >>> from coldstart.adapters import MeanAdapter, RidgeAdapter
    >>> rng = np.random.default_rng(0)
    >>> source = rng.normal(size=(200, 4))
    >>> target = source @ rng.normal(size=(4, 3)) + 1.0
    >>> FusedAdapter([RidgeAdapter(), MeanAdapter()]).fit(source, target).predict(source[:2])
    Prior(2 rows x 3, precision shared (d, d))
    """

    needs_anchors = True

    def __init__(self, adapters: Sequence[Adapter] | None = None) -> None:
        self.adapters = adapters

    def get_params(self) -> dict[str, Any]:
        """The constructor's arguments, by name."""
        return {"adapters": self.adapters}

    @property
    def reads_features(self) -> bool:
        """Whether every part can say something of rows that have features alone."""
        return all(map(reads_features, self._parts()))

    @property
    def one_space(self) -> bool:
        """Whether a part takes source and target for one space."""
        return any(map(in_one_space, self._parts()))

    def check_settings(self) -> None:
        """Raise what is wrong with the settings."""
        check_parts(self._parts(), "FusedAdapter", least=2)

    def _parts(self) -> Sequence[Adapter]:
        if self.adapters is None:
            return [
                RidgeAdapter(1.0, normalize=True),
                KernelAdapter("linear", rows="interactions", normalize=True, ridge=6.0),
            ]
        return self.adapters

    def fit(
        self,
        source: ArrayLike,
        target: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        context: AnchorContext | None = None,
    ) -> FusedAdapter:
        """Fit every adapter on the same anchors.

        Raises
        ------
        TypeError, ValueError
            When something among `adapters` is no adapter, or there are fewer than two.
        """
        self.check_settings()
        s, t, w = anchor_arrays(source, target, weight, who="FusedAdapter", context=context)
        self.adapters_ = [
            copy.deepcopy(part).fit(s, t, weight=w, context=context) for part in self._parts()
        ]
        return self

    def predict(self, source: ArrayLike, *, context: AnchorContext | None = None) -> Prior:
        """The mean of what the adapters say of rows `source` (m, d_source)."""
        check_fitted(self, "adapters_")
        return fuse_evenly([part.predict(source, context=context) for part in self.adapters_])


def fuse_evenly(priors: Sequence[Prior]) -> Prior:
    """Covariance intersection of priors over the same rows, each with an equal say.

    Exact where no prior has a `shared` matrix. Else covariances are taken as a variance per row
    times one shape; a row of which a prior knows nothing is left to the others.
    """
    k = len(priors)
    origins = [p.mean.mean(axis=0) if p.origin is None else p.origin for p in priors]
    origin = np.mean(origins, axis=0)
    if all(prior.shared is None for prior in priors):
        fused = priors[0].fuse(*priors[1:]).temper(1 / k)
        return Prior(fused.mean, fused.precision, origin=origin)
    shapes, weights = zip(*(_shape_and_weight(prior) for prior in priors), strict=True)
    total = np.sum(weights, axis=0)
    even = np.full((k, len(total)), 1 / k)
    share = np.divide(weights, total, out=even, where=total > 0)  # (k, n)
    mean = sum(w[:, None] * p.mean for w, p in zip(share, priors, strict=True))
    shape = np.mean(shapes, axis=0)
    shape *= _mean_variance(shape)  # so that a precision is one over a mean variance
    return Prior(np.asarray(mean), total / k, shared=(shape + shape.T) / 2, origin=origin)


def _shape_and_weight(prior: Prior) -> tuple[Array, Array]:
    """The precision as ``weight_u * shape``: the inverse of a matrix with trace d, and one over the
    row's mean variance (n,).
    """
    row, spread, shared = (part.astype(np.float64) for part in prior.parts())
    if shared.size:
        size = _mean_variance(shared)
        return shared * size, np.broadcast_to(row / size, (len(prior),))
    known = spread.min(axis=1) > 0
    variance = np.mean(1 / np.where(known[:, None], spread, 1.0), axis=1)
    weight = row * np.where(known, 1 / variance, 0.0)
    return np.eye(prior.width), np.broadcast_to(weight, (len(prior),))


def _mean_variance(precision: Array) -> float:
    """Mean diagonal of the inverse of a matrix (d, d)."""
    return float(np.mean(1 / np.linalg.eigvalsh(precision)))
