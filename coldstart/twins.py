"""Cross-listed twins: columns of two catalogs that the same people chose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

__all__ = ["Pairs", "Twins", "find_twins"]

ALIKE = 0.8  # Jaccard index of the two sets of people, from which columns are twins
LEAST = 3  # people in common
BLOCK = 512  # source columns that are multiplied at one time
SHOWN = 5


@dataclass(frozen=True, eq=False)
class Pairs:
    """Twins by column number (n_pairs,) each, those with most people in common first."""

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    common: NDArray[np.int64]
    jaccard: NDArray[np.float64]

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
    source: sp.csr_matrix, target: sp.csr_matrix, *, alike: float = ALIKE, least: int = LEAST
) -> Pairs:
    """Columns of `source` (n, m_source) and `target` (n, m_target) chosen by the same rows.

    The rows are the anchors, the same in both. With A and B the sets of anchors of two columns,
    they are twins where ``|A and B| / |A or B|`` is at least `alike` and ``|A and B|`` at least
    `least`. Such sets are nearly of one size, so columns are sorted by it, and only a narrow band
    of target columns is multiplied with each block of source columns.
    """
    (a, s, s_size), (b, t, t_size) = _by_size(source, least), _by_size(target, least)
    found = [np.zeros((4, 0))]
    for block, band in _bands(s_size, t_size, alike):
        common = (a[:, block].T @ b[:, band]).tocoo()
        one, other = block.start + common.row, band.start + common.col
        jaccard = common.data / (s_size[one] + t_size[other] - common.data)
        kept = (jaccard >= alike) & (common.data >= least)
        found.append(np.stack([s[one], t[other], common.data, jaccard])[:, kept])
    pairs = np.concatenate(found, axis=1)
    one, other, together, jaccard = pairs[:, np.lexsort([pairs[1], pairs[0], -pairs[2]])]
    return Pairs(one.astype(int), other.astype(int), together.astype(int), jaccard)


def _by_size(
    matrix: sp.csr_matrix, least: int
) -> tuple[sp.csc_matrix, NDArray[np.int64], NDArray[np.int64]]:
    """Who chose each column that enough rows chose, as ones; its number; and how many chose it,
    ascending.
    """
    size = np.bincount(matrix.indices, minlength=matrix.shape[1])
    columns = np.argsort(size, kind="stable")
    columns = columns[size[columns] >= least]
    chosen = matrix.tocsc()[:, columns]
    ones = np.ones(chosen.nnz), chosen.indices, chosen.indptr
    return sp.csc_matrix(ones, shape=chosen.shape), columns, size[columns]


def _bands(
    sizes: NDArray[np.int64], others: NDArray[np.int64], alike: float
) -> Iterator[tuple[slice, slice]]:
    """Blocks of sorted `sizes`, and where in sorted `others` sets alike to theirs can be."""
    for start in range(0, len(sizes), BLOCK):
        block = slice(start, min(start + BLOCK, len(sizes)))
        least, most = alike * sizes[block.start], sizes[block.stop - 1] / alike
        begin = int(np.searchsorted(others, least * (1 - 1e-12), side="left"))
        end = int(np.searchsorted(others, most * (1 + 1e-12), side="right"))
        if begin < end:
            yield block, slice(begin, end)
