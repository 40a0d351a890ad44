"""The source row itself as the prior mean: for catalogs that share one space."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from coldstart.errors import SpaceError
from coldstart.prior import Prior

from .base import AnchorContext, Array, Settled, anchor_arrays, check_fitted, embeddings, sphere
from .spread import Spread

__all__ = ["IdentityAdapter"]


class IdentityAdapter(Settled):
    """The prior mean is the source row, ``x | s ~ N(c s, g Psi)``.

    For source and target embeddings that lie in one space: both from one model, or the older
    version of the target itself. Two models trained apart differ by a rotation at least, and need
    a map.

    It is good for rows that are solved again with the other side left as it is: last month's rows,
    ``IdentityAdapter().fit(old, new).predict(old)``, as the prior of `PriorALS.fold_in`.
    `WarmStart` trains the target model apart in every fold and once more for good, so there spaces
    are one only if source factors come from a model that shares the other side, and no more than
    training anew leaves of it (between halves of one synthetic log it was worse than the mean
    prior, and a ridge map better). The gate says whether it is of use.

    It needs no anchors. Where there are some, Psi is the covariance of their residuals
    ``t - c s`` about zero, and g grows with the activity of the row (`Spread`); else Psi is a
    sphere with the average variance of all target rows, which the context brings, or 1.

    Parameters
    ----------
    scale : float, default 1.0
        c.

    Attributes
    ----------
    spread_ : Spread
    origin_ : array (d,)
        Mean of all target rows, from the context, else of the anchors' target rows, else 0.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.array([[1.0, 0.0], [3.0, 2.0], [2.0, 1.0]])
    >>> adapter = IdentityAdapter().fit(rows, rows + 0.1)
    >>> adapter.predict(rows[:1]).mean
    array([[1., 0.]])
    """

    needs_anchors = False
    one_space = True
    """Source and target are equally wide, column by column the same."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def get_params(self) -> dict[str, Any]:
        """The constructor's arguments, by name."""
        return {"scale": self.scale}

    def check_settings(self) -> None:
        """Raise what is wrong with the settings."""
        scale: Any = self.scale
        if isinstance(scale, bool) or not isinstance(scale, Real) or not np.isfinite(float(scale)):
            raise ValueError(f"scale must be a finite number, for example 1.0, got {scale!r}")

    def fit(
        self,
        source: ArrayLike,
        target: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        context: AnchorContext | None = None,
    ) -> IdentityAdapter:
        """Learn how far the target rows (n, d) of n anchors are from their source rows (n, d).

        Raises
        ------
        SpaceError
            When source and target differ in width. It is a `ValueError`.
        ValueError
            When shapes do not fit, or values are not finite.
        """
        self.check_settings()
        s, t, w = anchor_arrays(source, target, weight, context=context)
        if s.shape[1] != t.shape[1]:
            raise SpaceError(
                f"source is {s.shape[1]} wide but target is {t.shape[1]} wide: IdentityAdapter "
                "needs one space, use ProcrustesAdapter or another adapter that learns a map"
            )
        context = context or AnchorContext()
        d = t.shape[1]
        if len(t):
            residuals = t.astype(np.float64) - self.scale * s
            self.spread_ = Spread.of(residuals, w, s, context)
        else:
            known = context.covariance
            self.spread_ = Spread(np.eye(d) if known is None else sphere(np.asarray(known)))
        origin = context.mean
        if origin is None:
            origin = np.average(t, axis=0, weights=w) if len(t) else np.zeros(d)
        self.origin_: Array = np.asarray(origin, np.float64)
        return self

    def predict(self, source: ArrayLike, *, context: AnchorContext | None = None) -> Prior:
        """Gaussians around the rows of `source` (m, d), scaled."""
        check_fitted(self, "spread_")
        s = embeddings(source, "source", len(self.origin_), context)
        return self.spread_.prior(s * s.dtype.type(self.scale), s, context, origin=self.origin_)
