"""ALS without a source: plain fold-in, and fold-in around the mean of all rows."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.heldout import Scorer
from coldstart.prior import Prior
from coldstart.rows import gram_matrix, solve_rows

from .base import Task

__all__ = ["ColdArm", "MeanPriorArm"]

RIDGES = (2.0, 20.0, 200.0, 2000.0)
TEMPERS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


class _FoldInArm:
    """Rows are folded into the plain model of the training catalog."""

    uses_source = False
    _chosen: Mapping[int, Any]

    def _keep(self, task: Task) -> None:
        self._model, self._threads = task.target_model, task.num_threads
        self._gram = gram_matrix(self._model.item_factors)

    def _folded(self, history: sp.csr_matrix, ridge: float, prior: Prior | None) -> Scorer:
        rows = solve_rows(
            history,
            self._model.item_factors,
            alpha=self._model.alpha,
            regularization=ridge,
            prior=prior,
            num_threads=self._threads,
            gram=self._gram,
        )
        return lambda block: rows[block] @ self._model.item_factors.T


class ColdArm(_FoldInArm):
    """Plain ALS: the row of someone without interactions is zero, and the list is a tie, broken by
    one permutation.

    Validation chooses the ridge of the fold-in for each number of shots.
    """

    name = "cold"

    def fit(self, task: Task) -> ColdArm:
        """Choose the ridge."""
        self._keep(task)
        self._chosen = task.choose(
            RIDGES, lambda ridge, source, history: self._folded(history, ridge, None)
        )
        return self

    def scorer(self, source: NDArray[np.int64], history: sp.csr_matrix, shots: int) -> Scorer:
        """Fold in what there is."""
        return self._folded(history, self._chosen[shots], None)

    def settings(self) -> dict[str, Any]:
        """The ridge for each number of shots."""
        return {"regularization": dict(self._chosen)}


class MeanPriorArm(_FoldInArm):
    """Everybody starts at a mean: the strongest prior that knows nothing of the source.

    Validation chooses whose mean (all training rows, or the anchors among them) and its precision,
    a multiple of the inverse covariance of all training rows.
    """

    name = "mean-prior"

    def fit(self, task: Task) -> MeanPriorArm:
        """Estimate mean and covariance, and choose."""
        self._keep(task)
        rows = task.target_rows.astype(np.float64)
        covariance = np.atleast_2d(np.cov(rows.T))
        covariance += 1e-6 * np.trace(covariance) * np.eye(len(covariance))
        self._shared = np.linalg.inv(covariance)
        self._means = {"all": rows.mean(axis=0), "anchors": rows[task.anchors.target].mean(axis=0)}
        self._chosen = task.choose(
            product(self._means, TEMPERS, (self._model.regularization, 0.0)),
            lambda setting, source, history: self._around(history, *setting),
        )
        return self

    def scorer(self, source: NDArray[np.int64], history: sp.csr_matrix, shots: int) -> Scorer:
        """Fold in around the chosen mean."""
        return self._around(history, *self._chosen[shots])

    def settings(self) -> dict[str, Any]:
        """Whose mean, which temper and which ridge, for each number of shots."""
        return {"mean, temper, regularization": dict(self._chosen)}

    def _around(self, history: sp.csr_matrix, whose: str, temper: float, ridge: float) -> Scorer:
        prior = Prior(self._means[whose][None], temper, shared=self._shared)
        return self._folded(history, ridge, prior)
