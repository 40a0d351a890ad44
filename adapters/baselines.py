"""Priors that know nothing of the source: what every transfer has to beat."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coldstart.prior import Prior

from .base import (
    AnchorContext,
    Array,
    Rows,
    Settled,
    anchor_arrays,
    check_fitted,
    embeddings,
    sphere,
)
from .spread import shrunk

__all__ = ["MeanAdapter"]


class MeanAdapter(Settled):
    """Everybody's prior is the mean and covariance of the target embeddings, N(m0, S0).

    The honest no-source prior. It needs no anchors: mean and covariance come from the context where
    there is one, else from the n target rows passed to `fit`. Of these the covariance is that of
    another row, ``(1 + 1/n) S`` around their own mean and S around a known one, S being `shrunk` to
    a sphere by the worth with the largest evidence. It stands for a t distribution: its ellipsoids
    hold too little where rows are few and their directions differ.

    Attributes
    ----------
    mean_ : array (d_target,)
    covariance_ : array (d_target, d_target)
        Defined for any number of rows: that of the context is shrunk toward a sphere by one
        observation.

    Examples
    --------
    >>> import numpy as np
    >>> target = np.array([[1.0, 0.0], [3.0, 2.0], [2.0, 1.0]])
    >>> adapter = MeanAdapter().fit(np.zeros((3, 5)), target)
    >>> adapter.predict(np.zeros((2, 5))).mean
    array([[2., 1.],
           [2., 1.]])
    """

    needs_anchors = False

    def get_params(self) -> dict[str, Any]:
        """The constructor's arguments, by name."""
        return {}

    def fit(
        self,
        source: ArrayLike,
        target: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        context: AnchorContext | None = None,
    ) -> MeanAdapter:
        """Take the mean and covariance of all target rows from `context`, or of `target` (n,
        d_target).
        """
        s, t, w = anchor_arrays(source, target, weight, context=context)
        context = context or AnchorContext()
        if context.mean is None and not len(t):
            raise ValueError(
                "MeanAdapter needs target rows, or a context with the mean of all target rows"
            )
        mean = context.mean if context.mean is not None else w @ t / w.sum()
        count = w.sum() or 1.0
        if context.covariance is not None:
            covariance = (count * context.covariance + sphere(context.covariance)) / (count + 1)
        else:
            covariance = _around(mean, t, w, known=context.mean is not None)
        self.mean_: NDArray[np.float64] = np.asarray(mean, np.float64)
        self.covariance_: NDArray[np.float64] = covariance
        self._source_width = s.shape[1]
        return self

    def predict(self, source: ArrayLike, *, context: AnchorContext | None = None) -> Prior:
        """The same Gaussian for each of the m rows of `source` (m, d_source)."""
        check_fitted(self, "mean_")
        n = len(embeddings(source, "source", self._source_width, context))
        mean = np.tile(self.mean_, (n, 1))
        return Prior(mean, shared=np.linalg.inv(self.covariance_), origin=self.mean_)


def _around(mean: Array, rows: Rows, weight: Array, *, known: bool) -> Array:
    """Covariance (d, d) of another row around `mean`, which is `known` or that of the rows."""
    count = float(weight.sum())
    scatter = ((rows - mean).T * weight) @ (rows - mean)
    free = count if known else max(count - 1, 0.0)
    # half of the weights at least, where these add up to hardly more than one
    ball = sphere(scatter / (max(free, count / 2) or 1.0))
    covariance, _ = shrunk(scatter, free, [ball])
    return covariance if known else (1 + 1 / count) * covariance
