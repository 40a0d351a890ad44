"""What the anchors' target interactions, or else their embeddings, say of a map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.errors import AnchorError

from .base import AnchorContext, Array, score_metric
from .normal_equations import NormalEquations

__all__ = ["AnchorLoss"]


@dataclass(frozen=True, eq=False)
class AnchorLoss:
    """The loss of n anchors as a function of a map, up to its penalty.

    `source` (n, d_source) rows as the map reads them, `target` (n, d), `weight` (n,) = w_u a_u,
    `aims` (n, d) = Y'C_u p_u, or ``Y'Y t_u`` of embeddings, `gram` (d, d) = Y'Y; with interactions,
    `excess` (n, m) = c_ui - 1 of observed pairs, and `other` (m, d) = Y.
    """

    source: Array
    target: Array
    weight: Array
    aims: Array
    gram: Array
    excess: sp.csr_matrix | None = None
    other: Array | None = None

    @classmethod
    def of(
        cls, source: Array, target: Array, weight: Array, exponent: float, context: AnchorContext
    ) -> AnchorLoss:
        """Read interactions from the `context`, and embeddings where something of them is missing;
        `exponent` is that of activity.
        """
        gram = score_metric(context, target.shape[1])
        log, factors, alpha = context.target_rows, context.other_factors, context.alpha
        if log is None:
            return cls(source, target, weight, target @ gram, gram)
        _check_log(log, factors)
        weight = _tamed(weight, np.diff(log.indptr), exponent)
        if factors is None or alpha is None:
            return cls(source, target, weight, target @ gram, gram)
        other = np.asarray(factors, np.float64)
        confidence = sp.csr_matrix(log, dtype=np.float64) * alpha
        aims = confidence.maximum(0) @ other  # a negative confidence is a dislike
        excess = abs(confidence)
        excess.data -= 1
        return cls(source, target, weight, aims, gram, excess, other)

    def take(self, which: NDArray[np.bool_]) -> AnchorLoss:
        """What some of the anchors say."""
        source, target, weight, aims = (
            array[which] for array in (self.source, self.target, self.weight, self.aims)
        )
        excess = None if self.excess is None else self.excess[which]
        return AnchorLoss(source, target, weight, aims, self.gram, excess, self.other)

    @property
    def source_mean(self) -> Array:
        """s0 (d_source,)."""
        mean: Array = np.average(self.source, axis=0, weights=self.weight)
        return mean

    @property
    def target_mean(self) -> Array:
        """Mean (d,) of the anchors' target rows."""
        mean: Array = np.average(self.target, axis=0, weights=self.weight)
        return mean

    def equations(self, ridge: float, pseudo_anchors: float) -> NormalEquations:
        """Those of the intercept over the map, (1 + d_source, d), penalised."""
        rows = self.source - self.source_mean
        rho = ridge * float(np.mean(self.weight @ rows**2) or 1.0)
        design = np.hstack([np.ones((len(rows), 1)), rows])  # (n, 1 + d_source)
        return NormalEquations(
            design,
            self.weight,
            self.gram,
            intercept=pseudo_anchors,
            ridge=rho,
            excess=self.excess,
            other=self.other,
        )


def _check_log(log: sp.csr_matrix, factors: NDArray[Any] | None) -> None:
    """The interactions belong to the factors of the other side."""
    if factors is not None and log.shape[1] != len(factors):
        raise ValueError(
            f"context.target_rows has {log.shape[1]} columns but context.other_factors "
            f"{len(factors)} rows: pass the factors of those columns"
        )


def _tamed(weight: Array, counts: NDArray[np.integer[Any]], exponent: float) -> Array:
    """Weights times ``n_u^-exponent``, their sum kept; 0 for rows without interactions."""
    used = np.where(counts > 0, weight, 0.0)
    if not used.any():
        raise AnchorError(
            "no anchor has a target interaction: pass anchors that are active in the target, or "
            "leave target_rows out of the context"
        )
    tamed = used * np.maximum(counts, 1.0) ** -exponent
    kept: Array = tamed * (used.sum() / tamed.sum())
    return kept
