"""The same list for everybody: columns by how many training rows have them."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.heldout import Scorer
from coldstart.popularity import counts

from .base import Task

__all__ = ["PopularityArm"]


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
