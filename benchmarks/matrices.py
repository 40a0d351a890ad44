"""The matrices that are timed: a few people do much, most do little, and few items get the most."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

_ACTIVITY = 1.2  # standard deviation of the log of a person's number of interactions
_FALL = 0.8  # the item of rank r is drawn with weight r ** -0.8


def long_tailed(
    n_users: int, n_items: int, interactions: int, rng: int | np.random.Generator
) -> csr_matrix:
    """A matrix (n_users, n_items) of float32 ones with exactly so many `interactions`.

    The number of a person is lognormal, at most a quarter of the items; items are drawn without
    replacement, with weights that fall with their rank, and ranks do not follow the order of the
    columns. Nothing larger than the result is ever held.
    """
    rng = np.random.default_rng(rng)
    limits = np.zeros(n_users + 1, np.int64)
    np.cumsum(_lengths(n_users, n_items // 4, interactions, rng), out=limits[1:])
    weights = rng.permutation(np.arange(1, n_items + 1) ** -_FALL)
    cumulative = np.cumsum(weights)
    indices = np.empty(interactions, np.int32)
    _draw(limits, cumulative / cumulative[-1], rng, indices)
    return csr_matrix((np.ones(interactions, np.float32), indices, limits), (n_users, n_items))


def _lengths(n_users: int, most: int, total: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """How many interactions each person has: at most `most`, `total` in all."""
    if total > n_users * most:
        raise ValueError(f"{n_users} people have at most {most} interactions each, not {total}")
    activity = rng.lognormal(sigma=_ACTIVITY, size=n_users)
    lengths = np.minimum(activity * (total / activity.sum()), most).astype(np.int64)
    while missing := total - int(lengths.sum()):
        able = np.flatnonzero(lengths < most)
        lengths[rng.choice(able, min(missing, len(able)), replace=False)] += 1
    return lengths


@njit
def _draw(
    limits: NDArray[np.int64],
    cumulative: NDArray[np.float64],
    rng: np.random.Generator,
    indices: NDArray[np.int32],
) -> None:
    """Fill `indices`: for each person items from the distribution, until enough are distinct."""
    owner = np.full(len(cumulative), -1)
    for user in range(len(limits) - 1):
        place = limits[user]
        while place < limits[user + 1]:
            item = np.searchsorted(cumulative, rng.random(), side="right")
            if owner[item] != user:
                owner[item] = user
                indices[place] = item
                place += 1
        indices[limits[user] : limits[user + 1]].sort()
