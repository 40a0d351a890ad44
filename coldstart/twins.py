"""Cross-listed twins: columns of two catalogs that the same people chose.

Of 150 copies of real columns (5% of the rows taken away, as many others added), planted ten times
in the target among those that are tellable, 99.5% were found or more, and 97.9% or more of the
pairs found were planted: amazon, yelp, douban, epinions, xmrec. With the people shuffled nothing
was found in ninety trials. A Jaccard index from 0.8 on and 3 people in common, without a look at
chance, found 89.5 to 99.7% of the same copies, and on xmrec uk -> de 6,677 pairs that are none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.special import betainc

from coldstart.anchors import Anchors
from coldstart.interactions import Interactions
from coldstart.popularity import counts

__all__ = ["Pairs", "Twins", "find_twins", "tellable", "twin_columns"]

ALIKE = 0.6  # Jaccard index of the two sets of rows, from which columns are twins
LEAST = 3  # rows in common
CHANCE = 0.05  # pairs of these that chance may make, among all that are compared
SAME = 0.8  # Jaccard index from which two rows of a catalog count as one
MOST = 1000  # rows that chose a column, above which it says little about which rows are the same
MISSED = 0.2, 2  # share of its rows, and number at least, that a tellable column's twin may lack
BLOCK = 512  # columns that are multiplied at one time
SHOWN = 5

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Twins by column number (n_pairs,) each, those with most people in common first."""

    source: Integers
    target: Integers
    common: Integers
    jaccard: Floats

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True)
class Twins:
    """How many columns are listed in both catalogs, some of them, and what they hold.

    `examples` are source id, target id, anchors in common and Jaccard index; `share` is that of
    target interactions with a twin.
    """

    pairs: int
    source_columns: int
    target_columns: int
    share: float
    examples: tuple[tuple[Any, Any, int, float], ...]

    @classmethod
    def of(cls, pairs: Pairs, target: sp.csr_matrix, ids: tuple[Any, Any]) -> Twins:
        """Sum up `pairs`; `target` (n, m) are all target interactions, `ids` those of the columns
        of both catalogs.
        """
        listed = np.zeros(target.shape[1], bool)
        listed[pairs.target] = True
        chosen = [
            np.asarray(names)[rows[:SHOWN]].tolist()
            for names, rows in zip(ids, (pairs.source, pairs.target), strict=True)
        ]
        numbers = pairs.common[:SHOWN].tolist(), pairs.jaccard[:SHOWN].tolist()
        return cls(
            pairs=len(pairs),
            source_columns=len(np.unique(pairs.source)),
            target_columns=int(listed.sum()),
            share=float(listed[target.indices].mean()) if target.nnz else 0.0,
            examples=tuple(zip(*chosen, *numbers, strict=True)),
        )

    def __str__(self) -> str:
        if not self.pairs:
            return "none are cross-listed"
        shown = "; ".join(
            f"{one} = {other} ({common} in common)" for one, other, common, _ in self.examples
        )
        return (
            f"{self.pairs} cross-listed pairs of {self.source_columns} and {self.target_columns}, "
            f"which hold {100 * self.share:.1f}% of the target interactions; a gain on them need "
            f"not be a transfer of taste ({shown})"
        )


def find_twins(
    source: sp.csr_matrix,
    target: sp.csr_matrix,
    *,
    alike: float = ALIKE,
    least: int = LEAST,
    chance: float = CHANCE,
) -> Pairs:
    """Columns of `source` (n, m_source) and `target` (n, m_target) chosen by the same rows.

    The rows are the anchors, the same in both. With A and B the sets of anchors of two columns,
    they are twins where both hold:

    * ``|A and B| / |A or B|`` is at least `alike`, and ``|A and B|`` at least `least`.
    * Chance does not explain it. A column of ``|B|`` rows, drawn by how active rows are, holds row
      r with a probability of at most ``p_r = |B| activity(r) / interactions``, and ``|A and B|`` of
      the rows of A with at most the tail of a binomial of the mean p over A [1]_. The larger of
      this and of the same for the rows of B, times the number of pairs whose sizes let them be
      alike, is below `chance`.

    Rows which are such twins of one another within a catalog (variants of a product, or people who
    act as one) count as one row throughout.

    References
    ----------
    .. [1] W. Hoeffding (1956). On the distribution of the number of successes in independent
       trials.
    """
    return _alike(*_distinct(source, target), alike, least, chance)


def tellable(source: sp.csr_matrix, target: sp.csr_matrix) -> NDArray[np.bool_]:
    """Which columns of `source` (m_source,) have enough rows for a twin to be told from chance: one
    of the same size in `target` that lacks a fifth of these rows, two at least, and has others.
    """
    source, target = _distinct(source, target)
    own, other = _Columns.of(source, LEAST), _Columns.of(target, LEAST)
    common = own.sizes - np.maximum(np.ceil(MISSED[0] * own.sizes), MISSED[1]).astype(int)
    enough = np.flatnonzero(common >= LEAST)
    sizes, common = own.sizes[enough], common[enough]
    there, here = (own.tail(enough, sizes, x.activity, common) for x in (other, own))
    told = np.zeros(source.shape[1], bool)
    pairs = max(_compared(own, other, ALIKE), 1)
    told[own.numbers[enough]] = np.maximum(there, here) * pairs < CHANCE
    return told


def twin_columns(source: Interactions, target: Interactions, anchors: Anchors) -> Integers:
    """Numbers of the target columns that are listed in the source, too, ascending.

    This reads whole catalogs, target rows of people who are to be tested among them. So it may
    describe data, and say what to leave out when finished lists are measured once more; nothing
    that is fitted, tuned or chosen may depend on it.
    """
    pairs = find_twins(source.user_items[anchors.source], target.user_items[anchors.target])
    return np.unique(pairs.target)


@dataclass(frozen=True, eq=False)
class _Columns:
    """The columns that enough rows chose, ascending by how many: who chose them (n, m) as ones,
    their numbers and sizes (m,), and the share of all interactions that are each row's (n,).
    """

    chosen: sp.csc_matrix
    numbers: Integers
    sizes: Integers
    activity: Floats

    @classmethod
    def of(cls, matrix: sp.csr_matrix, least: int) -> _Columns:
        size = counts(matrix).astype(int)
        numbers = np.argsort(size, kind="stable")
        numbers = numbers[size[numbers] >= least]
        chosen = matrix.tocsc()[:, numbers]
        ones = np.ones(chosen.nnz), chosen.indices, chosen.indptr
        activity = np.diff(matrix.indptr) / max(matrix.nnz, 1)
        return cls(sp.csc_matrix(ones, shape=chosen.shape), numbers, size[numbers], activity)

    def tail(self, which: Integers, size: Integers, activity: Floats, common: Integers) -> Floats:
        """Probability, at most, that a column of `size` rows drawn by `activity` has `common` rows
        of these columns, or more.
        """
        mean = size * (self.chosen.T @ activity)[which] / self.sizes[which]
        tail: Floats = betainc(common, self.sizes[which] - common + 1, np.minimum(mean, 1))
        return tail


def _alike(
    source: sp.csr_matrix, target: sp.csr_matrix, alike: float, least: int, chance: float
) -> Pairs:
    """Such sets are nearly of one size, so columns are sorted by it, and only a narrow band of
    target columns is multiplied with each block of source columns.
    """
    a, b = _Columns.of(source, least), _Columns.of(target, least)
    found = [(np.zeros((3, 0), int), np.zeros(0))]
    for block, band in _bands(a.sizes, b.sizes, alike):
        common = (a.chosen[:, block].T @ b.chosen[:, band]).tocoo()
        one, other = block.start + common.row, band.start + common.col
        jaccard = common.data / (a.sizes[one] + b.sizes[other] - common.data)
        kept = (jaccard >= alike) & (common.data >= least)
        pairs = np.stack([one, other, common.data.astype(int)])
        found.append((pairs[:, kept], jaccard[kept]))
    one, other, together = np.concatenate([pairs for pairs, _ in found], axis=1)
    jaccard = np.concatenate([values for _, values in found])
    there = a.tail(one, b.sizes[other], b.activity, together)
    here = b.tail(other, a.sizes[one], a.activity, together)
    kept = np.flatnonzero(np.maximum(there, here) * _compared(a, b, alike) < chance)
    s, t = a.numbers[one], b.numbers[other]
    kept = kept[np.lexsort([t[kept], s[kept], -together[kept]])]
    return Pairs(s[kept], t[kept], together[kept], jaccard[kept])


def _distinct(source: sp.csr_matrix, target: sp.csr_matrix) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Both with those rows merged that are twins of one another in either."""
    n = source.shape[0]
    pairs = [_alike(rows, rows, SAME, LEAST, CHANCE) for rows in map(_telling, (source, target))]
    one, other = (np.concatenate([getattr(p, end) for p in pairs]) for end in ("source", "target"))
    joined = sp.coo_matrix((np.ones(len(one)), (one, other)), shape=(n, n))
    groups, group = connected_components(joined, directed=False)
    if groups == n:
        return source, target
    merge = sp.csr_matrix((np.ones(n), (group, np.arange(n))), shape=(groups, n))
    return merge @ source, merge @ target


def _telling(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """The rows (m, n) as columns, of columns that not too many chose."""
    kept: sp.csr_matrix = matrix[:, counts(matrix) <= MOST].T.tocsr()
    return kept


def _compared(a: _Columns, b: _Columns, alike: float) -> int:
    """The number of pairs whose sizes let them be alike."""
    least, most = alike * a.sizes * (1 - 1e-12), a.sizes / alike * (1 + 1e-12)
    ends = np.searchsorted(b.sizes, most, side="right") - np.searchsorted(b.sizes, least)
    return int(ends.sum())


def _bands(sizes: Integers, others: Integers, alike: float) -> Iterator[tuple[slice, slice]]:
    """Blocks of sorted `sizes`, and where in sorted `others` sets alike to theirs can be."""
    for start in range(0, len(sizes), BLOCK):
        block = slice(start, min(start + BLOCK, len(sizes)))
        least, most = alike * sizes[block.start], sizes[block.stop - 1] / alike
        begin = int(np.searchsorted(others, least * (1 - 1e-12), side="left"))
        end = int(np.searchsorted(others, most * (1 + 1e-12), side="right"))
        if begin < end:
            yield block, slice(begin, end)
