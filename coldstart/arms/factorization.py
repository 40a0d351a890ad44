"""ALS without a source: plain fold-in, and fold-in around the mean of all rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.heldout import Scorer
from coldstart.prior import Prior
from coldstart.rows import gram_matrix, solve_rows

from .base import MODELS, Task

__all__ = ["ColdArm", "MeanPriorArm"]

RIDGES = (20.0, 2.0, 200.0, 2000.0)
TEMPERS = (1.0, 0.03, 0.1, 0.3, 3.0, 10.0, 30.0)


class _FoldInArm:
    """Rows are folded into a plain model of the training catalog, one of `MODELS`."""

    uses_source = False

    def _keep(self, task: Task) -> None:
        self._task = task
        self._grams: dict[str, NDArray[Any]] = {}

    def _folded(
        self, history: sp.csr_matrix, name: str, ridge: float, prior: Prior | None
    ) -> Scorer:
        model = self._task.model(name)
        if name not in self._grams:
            self._grams[name] = gram_matrix(model.item_factors)
        rows = solve_rows(
            history,
            model.item_factors,
            alpha=model.alpha,
            regularization=ridge,
            prior=prior,
            num_threads=self._task.num_threads,
            gram=self._grams[name],
        )
        return lambda block: rows[block] @ model.item_factors.T


class ColdArm(_FoldInArm):
    """Plain ALS: the row of someone without interactions is zero, and the list is a tie, broken by
    one permutation.

    Validation chooses the model and the ridge of the fold-in for each number of shots.
    """

    name = "cold"

    def fit(self, task: Task) -> ColdArm:
        """Choose model and ridge."""
        self._keep(task)
        space = {"regularization": RIDGES, "model": list(MODELS)}
        self.tuned = task.choose(space, lambda setting, _, history: self._plain(setting, history))
        return self

    def scorer(self, source: NDArray[np.int64], history: sp.csr_matrix, shots: int) -> Scorer:
        """Fold in what there is."""
        return self._plain(self.tuned[shots], history)

    def settings(self) -> dict[str, Any]:
        """Ridge and model for each number of shots."""
        return self.tuned.settings()

    def _plain(self, setting: dict[str, Any], history: sp.csr_matrix) -> Scorer:
        return self._folded(history, setting["model"], setting["regularization"], None)


class MeanPriorArm(_FoldInArm):
    """Everybody starts at a mean: the strongest prior that knows nothing of the source.

    Validation chooses whose mean (all training rows, or the anchors among them), its precision, a
    multiple of the inverse covariance of all training rows, the ridge and the model.
    """

    name = "mean-prior"

    def fit(self, task: Task) -> MeanPriorArm:
        """Choose mean, precision, ridge and model."""
        self._keep(task)
        self._priors: dict[tuple[str, str], Prior] = {}
        space = {
            "temper": TEMPERS,
            "mean": ["all", "anchors"],
            "regularization": (task.new_model().regularization, 0.0),
            "model": list(MODELS),
        }
        self.tuned = task.choose(space, lambda setting, _, history: self._around(setting, history))
        return self

    def scorer(self, source: NDArray[np.int64], history: sp.csr_matrix, shots: int) -> Scorer:
        """Fold in around the chosen mean."""
        return self._around(self.tuned[shots], history)

    def settings(self) -> dict[str, Any]:
        """Whose mean, which temper, ridge and model, for each number of shots."""
        return self.tuned.settings()

    def _around(self, setting: dict[str, Any], history: sp.csr_matrix) -> Scorer:
        prior = self._prior(setting["model"], setting["mean"]).temper(setting["temper"])
        return self._folded(history, setting["model"], setting["regularization"], prior)

    def _prior(self, name: str, whose: str) -> Prior:
        """Mean of some rows, and inverse covariance of all."""
        if (name, whose) not in self._priors:
            rows = self._task.rows(name).astype(np.float64)
            covariance = np.atleast_2d(np.cov(rows.T))
            covariance += 1e-6 * np.trace(covariance) * np.eye(len(covariance))
            shared = np.linalg.inv(covariance)
            means = {"all": rows.mean(axis=0)}
            anchors = rows[self._task.anchors.target]
            means["anchors"] = anchors.mean(axis=0) if len(anchors) else means["all"]
            for key, mean in means.items():
                self._priors[name, key] = Prior(mean[None], 1.0, shared=shared)
        return self._priors[name, whose]
