"""One factor model of both catalogs side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.arms.base import Task, rows_of
from coldstart.heldout import Scorer
from coldstart.rows import solve_rows

__all__ = ["JointArm"]

SOURCE_WEIGHTS = (0.3, 0.1, 1.0)
RIDGES = (20.0, 2.0, 200.0, 2000.0)  # of the fold-in


class JointArm:
    """Plain ALS on ``[w source, target]``: whoever is in either catalog has one row in both.

    The source rows of held-out people take part in the fit; their target rows do not, and come back
    when they are folded in with ``[w source row, history]``. Validation chooses w and the ridge of
    the fold-in for each number of shots.
    """

    name = "joint"
    uses_source = True

    def fit(self, task: Task) -> JointArm:
        """Fit one model for every source weight, and choose."""
        self._source = task.source.user_items
        users = task.source.users.union(task.train.users)  # source rows keep their numbers
        source = _placed(self._source, np.arange(len(task.source.users)), len(users))
        target = _placed(task.train.user_items, users.rows(task.train.users.ids), len(users))
        self._models = {
            weight: task.new_model().fit(_side_by_side(weight, source, target), show_progress=False)
            for weight in SOURCE_WEIGHTS
        }
        self._threads = task.num_threads
        space = {"source_weight": SOURCE_WEIGHTS, "regularization": RIDGES}
        self.tuned = task.choose(space, self._folded)
        return self

    def scorer(self, source: NDArray[np.int64], history: sp.csr_matrix, shots: int) -> Scorer:
        """Fold in the rows of both catalogs, and score the target's columns."""
        return self._folded(self.tuned[shots], source, history)

    def settings(self) -> dict[str, Any]:
        """Source weight and ridge for each number of shots."""
        return self.tuned.settings()

    def _folded(
        self, setting: dict[str, Any], source: NDArray[np.int64], history: sp.csr_matrix
    ) -> Scorer:
        weight = setting["source_weight"]
        model = self._models[weight]
        rows = solve_rows(
            _side_by_side(weight, rows_of(self._source, source), history),
            model.item_factors,
            alpha=model.alpha,
            regularization=setting["regularization"],
            num_threads=self._threads,
        )
        columns = model.item_factors[self._source.shape[1] :]  # (n_target_columns, factors)
        return lambda block: rows[block] @ columns.T


def _placed(user_items: sp.csr_matrix, rows: NDArray[np.int64], n_rows: int) -> sp.csr_matrix:
    """The same rows at the row numbers `rows` of a matrix of `n_rows`."""
    where = np.repeat(rows, np.diff(user_items.indptr))
    shape = n_rows, user_items.shape[1]
    return sp.csr_matrix((user_items.data, (where, user_items.indices)), shape=shape)


def _side_by_side(weight: float, source: sp.csr_matrix, target: sp.csr_matrix) -> sp.csr_matrix:
    return sp.hstack([source * np.float32(weight), target], format="csr")
