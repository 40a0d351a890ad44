"""What an adapter is: source embeddings in, a prior over target embeddings out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from coldstart.prior import Prior

__all__ = ["Adapter", "AnchorContext", "Tunable", "anchor_arrays", "check_fitted", "embeddings"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AnchorContext:
    """Arrays for adapters that need more than embeddings; each may be missing.

    Rows are those of the embeddings passed beside it (n rows), unless it says otherwise.
    """

    source_rows: sp.csr_matrix | None = None
    """Source interactions (n, n_source_columns)."""
    target_rows: sp.csr_matrix | None = None
    """Target interactions (n, n_target_columns)."""
    other_factors: NDArray[Any] | None = None
    """Target factors of the other side (n_target_columns, d_target): the metric in which errors
    become scores.
    """
    alpha: float | None = None
    """Confidence of a target interaction of value 1."""
    features: Any = None
    """Features (n, n_features), dense or sparse."""
    target_covariance: Array | None = None
    """Mean posterior covariance (d_target, d_target) of the anchors' target embeddings, which are
    estimates.
    """
    mean: Array | None = None
    """Mean (d_target,) of *all* target embeddings, not of the anchors alone."""
    covariance: Array | None = None
    """Covariance (d_target, d_target) of all target embeddings."""


@runtime_checkable
class Adapter(Protocol):
    """Learns from anchors, rows that both catalogs have. It knows no ids, files or models."""

    def fit(
        self,
        source: ArrayLike,
        target: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        context: AnchorContext | None = None,
    ) -> Adapter:
        """Learn from embeddings of the same n rows: `source` (n, d_source), `target` (n, d_target),
        `weight` (n,).
        """
        ...

    def predict(self, source: ArrayLike, *, context: AnchorContext | None = None) -> Prior:
        """The prior over target embeddings of rows known by their `source` embeddings (m,
        d_source).
        """
        ...


@runtime_checkable
class Tunable(Protocol):
    """An adapter with settings left open, which held-out people should choose."""

    def candidates(self) -> Sequence[Adapter]:
        """Unfitted adapters with every setting decided."""
        ...


def anchor_arrays(
    source: ArrayLike, target: ArrayLike, weight: ArrayLike | None
) -> tuple[Array, Array, Array]:
    """Both embeddings and the weights in float64, checked; an anchor of weight 2 is two anchors."""
    s, t = embeddings(source, "source"), embeddings(target, "target")
    if len(s) != len(t):
        raise ValueError(
            f"source has {len(s)} rows but target has {len(t)}: "
            "pass the anchors of both in the same order"
        )
    w = np.ones(len(s)) if weight is None else np.asarray(weight, np.float64)
    if w.shape != (len(s),):
        raise ValueError(f"weight must have shape ({len(s)},), one per anchor, got {w.shape}")
    if not np.isfinite(w).all() or (w < 0).any():
        raise ValueError("weight must be finite and not negative")
    if len(w) and not w.any():
        raise ValueError("all weights are 0: no anchor is left")
    return s, t, w


def check_fitted(adapter: Adapter, learned: str) -> None:
    """Raise where `adapter` has not yet `learned` the attribute of that name."""
    if not hasattr(adapter, learned):
        raise ValueError(
            f"this {type(adapter).__name__} is not fitted: call fit(source, target) first"
        )


def embeddings(values: ArrayLike, name: str, width: int | None = None) -> Array:
    """An embedding matrix (n, d) in float64, finite, and `width` wide where that is known."""
    array = np.asarray(values, np.float64)
    if array.ndim != 2:
        raise ValueError(f"{name} must be (n, d), got an array of shape {array.shape}")
    if width is not None and array.shape[1] != width:
        raise ValueError(f"{name} is {array.shape[1]} wide but the adapter was fitted on {width}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or inf")
    return array
