"""A factor model with biases for explicit ratings, as plainly as least squares allows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BiasedFactors:
    """A rating is ``mean + b_u + b_i + p_u'q_i``.

    Parameters
    ----------
    mean : float
    users : array (n_users, 1 + d), rows (b_u, p_u)
    items : array (n_items, 1 + d), rows (b_i, q_i)
    """

    mean: float
    users: Array
    items: Array

    @property
    def slopes(self) -> Array:
        """(n_items, 1 + d): products with a user's row are what is added to the item's bias."""
        return np.hstack([np.ones((len(self.items), 1)), self.items[:, 1:]])

    def predict(self, rows: Array, columns: NDArray[np.int64]) -> Array:
        """Ratings (k,) of users with these `rows` (k, 1 + d) for items `columns` (k,); -1 is an
        item that nobody has rated: it stands at zero.
        """
        known = (columns >= 0)[:, None]
        items = np.where(known, self.items[columns], 0.0)
        return (
            self.mean + rows[:, 0] + items[:, 0] + np.einsum("ij,ij->i", rows[:, 1:], items[:, 1:])
        )


def fit_factors(
    ratings: sp.csr_matrix,
    *,
    factors: int,
    ridge: float,
    sweeps: int = 10,
    biased: bool = True,
    rng: int = 0,
) -> BiasedFactors:
    """Minimise the squared errors plus ``ridge`` times all squared biases and factors, by
    alternating least squares in float64. Without `biased` mean and biases are zero.
    """
    ratings = sp.csr_matrix(ratings, dtype=np.float64)
    mean = float(ratings.data.mean()) if biased else 0.0
    centred = sp.csr_matrix((ratings.data - mean, ratings.indices, ratings.indptr), ratings.shape)
    other = sp.csr_matrix(centred.T)
    items = np.random.default_rng(rng).normal(0, 0.1, (ratings.shape[1], 1 + factors))
    items[:, 0] = 0.0
    if not biased:
        items[:, 1] += 1.0  # the mean is a direction to be found, and zero a point to be stuck at
    for _ in range(sweeps):
        users = _solved(centred, items, ridge, biased)
        items = _solved(other, users, ridge, biased)
    return BiasedFactors(mean, _solved(centred, items, ridge, biased), items)


def _solved(ratings: sp.csr_matrix, other: Array, ridge: float, biased: bool) -> Array:
    """Rows (n, 1 + d) of one side around those of the other (m, 1 + d)."""
    slopes = other.copy()
    slopes[:, 0] = float(biased)
    left = ratings.copy()
    left.data -= other[left.indices, 0]
    n, width = ratings.shape[0], slopes.shape[1]
    rated = sp.csr_matrix((np.ones(left.nnz), left.indices, left.indptr), left.shape)
    squares = (slopes[:, :, None] * slopes[:, None, :]).reshape(-1, width * width)
    grams = (rated @ squares).reshape(n, width, width) + ridge * np.eye(width)
    return np.linalg.solve(grams, (left @ slopes)[:, :, None])[:, :, 0]
