"""A mean of the priors of several adapters."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from coldstart.prior import Prior

from .base import Adapter, AnchorContext, Array, anchor_arrays, check_fitted
from .kernel import KernelAdapter
from .linear import RidgeAdapter

__all__ = ["FusedAdapter", "fuse_evenly"]


class FusedAdapter:
    """Precision-weighted mean of the priors of two or three adapters, each with an equal say.

    With priors N(m_p, C_p) of k adapters, covariance intersection with equal weights is ::

        P^-1 = 1/k sum_p C_p^-1,   m = P (1/k) sum_p C_p^-1 m_p

    so that what two adapters learned from the same anchors is not counted twice. Here each C_p is
    taken as a variance per row times one shape for all rows, ``C_p = v_p S``, v_p the row's mean
    variance: means are then averaged row by row with the weights 1/v_p, and S^-1 is the average of
    the adapters' shapes. That is exact where the shapes are the same, and saves a matrix inverse
    per row.

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

    def __repr__(self) -> str:
        return f"FusedAdapter({list(self._parts())!r})"

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
        """Fit every adapter on the same anchors."""
        s, t, w = anchor_arrays(source, target, weight, who="FusedAdapter")
        parts = self._parts()
        if not parts:
            raise ValueError("FusedAdapter takes the mean of adapters: give it at least one")
        self.adapters_ = [
            copy.deepcopy(part).fit(s, t, weight=w, context=context) for part in parts
        ]
        return self

    def predict(self, source: ArrayLike, *, context: AnchorContext | None = None) -> Prior:
        """The mean of what the adapters say of rows `source` (m, d_source)."""
        check_fitted(self, "adapters_")
        return fuse_evenly([part.predict(source, context=context) for part in self.adapters_])


def fuse_evenly(priors: Sequence[Prior]) -> Prior:
    """Mean of priors over the same rows, with covariances taken as a variance per row times one
    shape.
    """
    d = priors[0].width
    shapes, variances = zip(*(_shape_and_variance(prior) for prior in priors), strict=True)
    weights = np.stack([1 / v for v in variances])  # (k, n)
    share = weights / weights.sum(axis=0)
    mean = sum(w[:, None] * p.mean for w, p in zip(share, priors, strict=True))
    shape = np.mean(np.stack(shapes), axis=0)
    shape *= np.trace(np.linalg.inv(shape)) / d  # so that a precision is one over a mean variance
    origins = [p.mean.mean(axis=0) if p.origin is None else p.origin for p in priors]
    return Prior(
        np.asarray(mean),
        weights.mean(axis=0),
        shared=(shape + shape.T) / 2,
        origin=np.mean(origins, axis=0),
    )


def _shape_and_variance(prior: Prior) -> tuple[Array, Array]:
    """The precision as ``shape / v_u``: the inverse of a matrix with trace d, and the row's mean
    variance (n,).
    """
    row, spread, shared = (part.astype(np.float64) for part in prior.parts())
    shape = shared if shared.size else np.diag(spread.mean(axis=0))
    size = float(np.trace(np.linalg.inv(shape))) / prior.width
    return shape * size, np.broadcast_to(size / row, (len(prior),))
