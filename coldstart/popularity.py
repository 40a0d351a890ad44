"""How popular the columns of a log are."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

__all__ = ["counts", "percentiles"]


def counts(user_items: sp.csr_matrix) -> NDArray[np.float32]:
    """How many rows have an interaction with each column, (n_columns,)."""
    return np.bincount(user_items.indices, minlength=user_items.shape[1]).astype(np.float32)


def percentiles(counts: ArrayLike) -> NDArray[np.float64]:
    """Share of the columns that are less popular than each, (n_columns,), between 0 and 1.

    Of those that are as popular as it, half count as less, itself among them: the mean over all
    columns is 0.5 whatever the ties.

    Examples
    --------
    >>> percentiles([5, 1, 1, 9]).tolist()
    [0.625, 0.25, 0.25, 0.875]
    """
    _, group, sizes = np.unique(np.asarray(counts), return_inverse=True, return_counts=True)
    below = np.cumsum(sizes) - sizes
    return np.asarray(((below + sizes / 2) / max(1, len(group)))[group])
