"""Priors that know nothing of the source: what every transfer has to beat."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coldstart.prior import Prior

from .base import AnchorContext, Settled, anchor_arrays, check_fitted, embeddings, sphere
from .spread import shrunk

__all__ = ["MeanAdapter"]


class MeanAdapter(Settled):
    """Everybody's prior is the mean and covariance of the target embeddings, N(m0, S0).

    The honest no-source prior. It needs no anchors: mean and covariance come from the context where
    there is one, else from the n target rows passed to `fit`. Of these the covariance is that of
    another row around their mean, ``(1 + 1/n) S``, S being `shrunk` to a sphere by the worth with
    the largest evidence.

    Attributes
    ----------
    mean_ : array (d_target,)
    covariance_ : array (d_target, d_target)
        That of the context shrunk toward a sphere by one observation, so that it is defined for any
        number of rows.

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
        s, t, w = anchor_arrays(source, target, weight)
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
            scatter, free = ((t - mean).T * w) @ (t - mean), max(count - 1, 0.0)
            ball = sphere(scatter / (free or 1.0))
            covariance = (1 + 1 / count) * shrunk(scatter, free, [ball])[0]
        self.mean_: NDArray[np.float64] = np.asarray(mean, np.float64)
        self.covariance_: NDArray[np.float64] = covariance
        self._source_width = s.shape[1]
        return self

    def predict(self, source: ArrayLike, *, context: AnchorContext | None = None) -> Prior:
        """The same Gaussian for each of the m rows of `source` (m, d_source)."""
        check_fitted(self, "mean_")
        n = len(embeddings(source, "source", self._source_width))
        mean = np.tile(self.mean_, (n, 1))
        return Prior(mean, shared=np.linalg.inv(self.covariance_), origin=self.mean_)
