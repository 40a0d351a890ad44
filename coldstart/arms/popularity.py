"""The same list for everybody: columns by how many training rows have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.heldout import Scorer
from coldstart.interactions import Interactions

from .base import Task
from .tuned import Space

__all__ = ["PopularityArm"]

HALF_LIVES = (None, 0.5, 0.2, 0.05)


class PopularityArm:
    """Most popular first.

    Validation chooses whether all training rows are counted or the anchors among them, and where
    there are timestamps whether what is recent counts more: an interaction counts half as much for
    each `half_life`, a share of the log, that came after it.
    """

    name = "popularity"
    uses_source = False

    def fit(self, task: Task) -> PopularityArm:
        """Count, and choose whom and what to count."""
        rows, who = task.train.user_items, {"all": slice(None), "anchors": task.anchors.target}
        recent = (None,) if task.train.timestamps is None else HALF_LIVES
        self._counts = {
            (whose, half_life): _counted(rows, task.train, half_life, which)
            for whose, which in who.items()
            for half_life in recent
        }
        space: Space = {"counted": list(who), "half_life": list(recent)}
        self.tuned = task.choose(space, lambda setting, _, history: self._of(setting, history))
        return self

    def scorer(self, source: NDArray[np.int64], history: sp.csr_matrix, shots: int) -> Scorer:
        """The counts, for every row."""
        return self._of(self.tuned[shots], history)

    def across(self, source: NDArray[np.int64], history: sp.csr_matrix, shots: int) -> Scorer:
        """How popular rows are, for lists in which rows compete: as long as their histories."""
        sizes, width = np.diff(history.indptr).astype(np.float32), history.shape[1]
        return lambda block: np.repeat(sizes[block, None], width, axis=1)

    def settings(self) -> dict[str, Any]:
        """Whom it counts, for each number of shots."""
        return self.tuned.settings()

    def _of(self, setting: Mapping[str, Any], history: sp.csr_matrix) -> Scorer:
        row = self._counts[setting["counted"], setting["half_life"]]
        return lambda block: np.tile(row, (block.stop - block.start, 1))


def _counted(
    rows: sp.csr_matrix, log: Interactions, half_life: float | None, which: Any
) -> NDArray[np.float32]:
    """How often each column (n_columns,) stands in some of the rows."""
    weights = np.ones(log.nnz)
    if half_life is not None and log.timestamps is not None:
        later = np.searchsorted(np.sort(log.timestamps), log.timestamps, side="right")
        weights = 0.5 ** ((1 - later / log.nnz) / half_life)
    counted = sp.csr_matrix((weights, rows.indices, rows.indptr), rows.shape)[which]
    return np.bincount(counted.indices, counted.data, rows.shape[1]).astype(np.float32)
