"""People whose target rows are taken away before anything of the target is fitted, and given back
in part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.interactions import Interactions
from coldstart.metrics import hits
from coldstart.ranking import top_n
from coldstart.threads import run_blocks

__all__ = ["HeldOut", "Order", "Ranked", "Scorer", "hold_out"]

Scorer = Callable[[slice], NDArray[np.float32]]
"""Scores (len, n_columns) of a block of the held-out people; called from several threads."""

Order = Literal["auto", "time", "random"]

SCORES_AT_ONCE = 4_000_000  # scores that one thread holds while ranking
ROWS_AT_ONCE = 128


@dataclass(frozen=True, eq=False)
class Ranked:
    """Ranked lists of n_people: `columns` (n_people, n), what of it is in the truth `hits`, and the
    truth's sizes.
    """

    columns: NDArray[np.int64]
    hits: NDArray[np.bool_]
    relevant: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The interactions taken from some rows of a catalog, in the order in which they come back.

    Parameters
    ----------
    rows : array (n_people,)
        Row numbers in the catalog they were taken from.
    matrix : csr_matrix (n_people, n_columns)
        Their interactions with the columns of what was left to train on.
    rank : array (nnz,)
        Position of each entry of `matrix` in its row's order: the first k come back for k shots.
    dropped : array (n_people,)
        Interactions with columns that only held-out people have: nobody could recommend those.
    """

    rows: NDArray[np.int64]
    matrix: sp.csr_matrix
    rank: NDArray[np.int64]
    dropped: NDArray[np.int64]
    _parts: dict[tuple[str, int], sp.csr_matrix] = field(default_factory=dict, init=False)

    def __len__(self) -> int:
        return len(self.rows)

    def history(self, shots: int) -> sp.csr_matrix:
        """What is given back (n_people, n_columns): the first `shots` interactions of every row."""
        return self._remembered("history", shots)

    def truth(self, shots: int) -> sp.csr_matrix:
        """What is left to find (n_people, n_columns)."""
        return self._remembered("truth", shots)

    def rank_all(
        self,
        scores: Scorer,
        shots: int,
        *,
        n: int = 10,
        order: NDArray[np.int64] | None = None,
        num_threads: int = 0,
    ) -> Ranked:
        """Rank the full catalog without what was given back; ties fall by `order`, a permutation of
        the columns.
        """
        history, truth = self.history(shots), self.truth(shots)
        columns = np.empty((len(self), n), np.int64)

        def work(begin: int, end: int) -> None:
            block = slice(begin, end)
            columns[block], _ = top_n(
                scores(block), n, seen=history[block], order=order, num_threads=1
            )

        step = min(ROWS_AT_ONCE, max(1, SCORES_AT_ONCE // max(1, self.matrix.shape[1])))
        run_blocks(work, len(self), block=step, num_threads=num_threads)
        return Ranked(columns, hits(columns, truth), np.diff(truth.indptr).astype(np.int64))

    def _remembered(self, part: str, shots: int) -> sp.csr_matrix:
        """Searches ask for the same parts thousands of times."""
        if (part, shots) not in self._parts:
            given = self.rank < shots
            self._parts[part, shots] = self._where(given if part == "history" else ~given)
        return self._parts[part, shots]

    def _where(self, kept: NDArray[np.bool_]) -> sp.csr_matrix:
        sums = np.concatenate([[0], np.cumsum(kept)])
        parts = self.matrix.data[kept], self.matrix.indices[kept], sums[self.matrix.indptr]
        return sp.csr_matrix(parts, shape=self.matrix.shape)


def hold_out(
    catalog: Interactions, rows: NDArray[np.int64], *, order: Order, rng: np.random.Generator
) -> tuple[Interactions, HeldOut]:
    """Split a catalog into what may be fitted and what these rows keep back.

    The training catalog has neither the rows nor any column that only they have. The order in which
    interactions come back is that of time, ties at random ("time"; "auto" where the catalog has
    timestamps), or "random".
    """
    if order == "time" and catalog.timestamps is None:
        raise ValueError(
            'order="time" needs timestamps, and the catalog has none: use "auto" or "random"'
        )
    keep = np.ones(len(catalog.users), bool)
    keep[rows] = False
    train = catalog.keep_users(keep)
    known = train.items.rows(catalog.items.ids, missing="mask")
    places = sp.csr_matrix(
        (np.arange(catalog.nnz), catalog.user_items.indices, catalog.user_items.indptr),
        shape=catalog.shape,
    )[rows]
    within = known[places.indices] >= 0
    people = np.repeat(np.arange(len(rows)), np.diff(places.indptr))
    dropped = np.bincount(people[~within], minlength=len(rows))
    people = people[within]
    entries, columns = places.data[within], known[places.indices[within]]
    # columns keep their relative order, so the parts are canonical
    indptr = np.concatenate([[0], np.cumsum(np.bincount(people, minlength=len(rows)))])
    shape = len(rows), len(train.items)
    matrix = sp.csr_matrix((catalog.user_items.data[entries], columns, indptr), shape=shape)
    keys = [rng.random(len(entries)), people]
    if order != "random" and catalog.timestamps is not None:
        keys.insert(1, catalog.timestamps[entries])
    rank = np.empty(len(entries), np.int64)
    rank[np.lexsort(keys)] = np.arange(len(entries)) - np.repeat(indptr[:-1], np.diff(indptr))
    return train, HeldOut(np.asarray(rows), matrix, rank, dropped)
