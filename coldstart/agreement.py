"""How far two groups agree on what is popular."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from coldstart.popularity import counts

__all__ = ["FEWEST", "Agreement", "rank_agreement", "spearman"]

Mask = NDArray[np.bool_]

FEWEST = 10  # rows of either group, and columns, below which nothing is said
KNOWN = 3  # interactions that make a column's popularity more than chance
DRAWS = 20
_STRATUM = 50  # rows as active as each other, about


@dataclass(frozen=True)
class Agreement:
    """Rank correlation of popularity between two groups over `columns`.

    `random` is what groups drawn at random, as large and as active, would reach; NaN where there is
    no such thing.
    """

    rho: float
    columns: int
    random: float = float("nan")

    def __str__(self) -> str:
        beside = "" if np.isnan(self.random) else f" (a random group as active: {self.random:.2f})"
        return f"rank correlation {self.rho:.2f} over {self.columns}{beside}"


def rank_agreement(
    matrix: sp.csr_matrix, group: Mask, *, rng: np.random.Generator
) -> Agreement | None:
    """Popularity among the rows of a group (n,) of `matrix` (n, m), against that among the others.

    The ranks of columns that hardly any row has are noise, so half of the rows, drawn at random,
    choose the columns: those with at least 3 of them. The other half is compared: chosen by the
    same rows, a column popular in the one group would tend to be rare in the other. Noise keeps
    even two halves of one crowd below 1, so the same is done for groups drawn at random, in which
    everybody is replaced by somebody about as active. None where either group has fewer than 10
    rows in that half, or fewer than 10 columns are left.
    """
    half = rng.random(len(group)) < 0.5
    known = counts(matrix[half]) >= KNOWN
    matrix, group = matrix[~half], group[~half]
    if min(group.sum(), (~group).sum()) < FEWEST or known.sum() < FEWEST:
        return None

    def agreed(inside: Mask) -> float:
        return spearman(counts(matrix[inside])[known], counts(matrix[~inside])[known])

    drawn = [agreed(_alike(np.diff(matrix.indptr), group, rng)) for _ in range(DRAWS)]
    return Agreement(agreed(group), int(known.sum()), float(np.mean(drawn)))


def spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Rank correlation of two arrays (n,), ties at their mean rank; NaN where one is constant.

    References
    ----------
    C. Spearman (1904). The proof and measurement of association between two things.
    """
    ranks = rankdata(first), rankdata(second)
    if not all(len(rank) > 1 and np.ptp(rank) for rank in ranks):
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])


def _alike(activity: NDArray[np.int32], group: Mask, rng: np.random.Generator) -> Mask:
    """A group (n,) with as many rows as `group` in each stratum of activity, drawn at random."""
    n = len(activity)
    rising = np.lexsort((rng.random(n), activity))
    dealt = np.lexsort((rng.random(n), np.arange(n) // _STRATUM))  # shuffled within each stratum
    drawn = np.empty(n, bool)
    drawn[rising] = group[rising][dealt]
    return drawn
