"""How popular the columns of a log are."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

__all__ = ["counts"]


def counts(user_items: sp.csr_matrix) -> NDArray[np.float32]:
    """How many rows have an interaction with each column, (n_columns,)."""
    return np.bincount(user_items.indices, minlength=user_items.shape[1]).astype(np.float32)
