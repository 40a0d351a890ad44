"""The same list for everybody: columns by how many training rows have them."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.heldout import Scorer

from .base import Task

__all__ = ["PopularityArm", "counts"]


def counts(user_items: sp.csr_matrix) -> NDArray[np.float32]:
    """How many rows have an interaction with each column, (n_columns,)."""
    return np.bincount(user_items.indices, minlength=user_items.shape[1]).astype(np.float32)


class PopularityArm:
    """Most popular first, counted over all training rows or over the anchors among them, as
    validation chooses.
    """

    name = "popularity"
    uses_source = False

    def fit(self, task: Task) -> PopularityArm:
        """Count, and choose whom to count."""
        rows = task.train.user_items
        self._counts = {"all": counts(rows), "anchors": counts(rows[task.anchors.target])}
        self._chosen = task.choose(
            self._counts, lambda who, source, history: self._of(who, history)
        )
        return self

    def scorer(self, source: NDArray[np.int64], history: sp.csr_matrix, shots: int) -> Scorer:
        """The counts, for every row."""
        return self._of(self._chosen[shots], history)

    def settings(self) -> dict[str, Any]:
        """Whom it counts, for each number of shots."""
        return {"counted": dict(self._chosen)}

    def _of(self, who: str, history: sp.csr_matrix) -> Scorer:
        row = self._counts[who]
        return lambda block: np.tile(row, (block.stop - block.start, 1))
