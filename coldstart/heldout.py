"""People whose target rows are taken away before anything of the target is fitted, and given back
in part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.interactions import Interactions
from coldstart.metrics import hits
from coldstart.ranking import top_n
from coldstart.threads import run_blocks

__all__ = [
    "HeldOut",
    "Order",
    "Quest",
    "Ranked",
    "SampledQuest",
    "Scorer",
    "hold_out",
    "taken_from",
]

Floats = NDArray[np.float32]
Scorer = Callable[[slice], Floats]
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
class Quest:
    """What people are to find in the whole catalog.

    Parameters
    ----------
    seen : csr_matrix (n_people, n_columns)
        What is listed for nobody who has it here.
    truth : csr_matrix (n_people, n_columns)
        What is right.
    gone : int array
        Columns that are listed for nobody.
    """

    seen: sp.csr_matrix
    truth: sp.csr_matrix
    gone: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def best(
        self, scores: Floats, block: slice, n: int, order: NDArray[np.int64] | None
    ) -> NDArray[np.int64]:
        """The `n` best columns of a block of the people, by their scores (len, n_columns)."""
        if len(self.gone):
            scores = scores.copy()
            scores[:, self.gone] = -np.inf
        return top_n(scores, n, seen=self.seen[block], order=order, num_threads=1)[0]

    def without(self, columns: NDArray[np.int64]) -> Quest:
        """The same in a catalog without some columns: they are neither listed nor right."""
        kept = np.ones(self.truth.shape[1], bool)
        kept[columns] = False
        return Quest(self.seen, _entries(self.truth, kept[self.truth.indices]), columns)


@dataclass(frozen=True, eq=False)
class SampledQuest:
    """What people are to find among a few columns: numbers that flatter, and rank methods as the
    whole catalog need not.

    Parameters
    ----------
    candidates : int array (n_people, 1 + n_negatives)
        Columns, each once in a row.
    truth : csr_matrix (n_people, n_columns)
    """

    candidates: NDArray[np.int64]
    truth: sp.csr_matrix

    def best(
        self, scores: Floats, block: slice, n: int, order: NDArray[np.int64] | None
    ) -> NDArray[np.int64]:
        """The `n` best candidates of a block of the people, by their scores (len, n_columns)."""
        columns = self.candidates[block]
        theirs = np.take_along_axis(scores, columns, axis=1)
        theirs = np.where(np.isnan(theirs), -np.inf, theirs)
        tie = columns if order is None else order[columns]
        first = np.lexsort((tie, -theirs), axis=1)[:, :n]
        found = np.take_along_axis(columns, first, axis=1)
        found[np.take_along_axis(theirs, first, axis=1) == -np.inf] = -1
        return np.pad(found, ((0, 0), (0, n - found.shape[1])), constant_values=-1)


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
    known : array (n_people,), optional
        How many interactions nobody took away: the first ones in that order, and no shots.
    """

    rows: NDArray[np.int64]
    matrix: sp.csr_matrix
    rank: NDArray[np.int64]
    dropped: NDArray[np.int64]
    known: NDArray[np.int64] | None = None
    _parts: dict[tuple[str, int], sp.csr_matrix] = field(default_factory=dict, init=False)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, people: NDArray[Any] | slice) -> HeldOut:
        """Some of the people, by position, mask or slice."""
        places = sp.csr_matrix(
            (np.arange(self.matrix.nnz), self.matrix.indices, self.matrix.indptr),
            shape=self.matrix.shape,
        )[people]
        known = None if self.known is None else self.known[people]
        rank, dropped = self.rank[places.data], self.dropped[people]
        return HeldOut(self.rows[people], self.matrix[people], rank, dropped, known)

    def history(self, shots: int) -> sp.csr_matrix:
        """What is given back (n_people, n_columns): the first `shots` interactions of every row,
        after those that are known.
        """
        return self._remembered("history", shots)

    def truth(self, shots: int) -> sp.csr_matrix:
        """What is left to find (n_people, n_columns)."""
        return self._remembered("truth", shots)

    def last(self, shots: int = 0) -> sp.csr_matrix:
        """The interaction (n_people, n_columns) of every row that comes back after all others;
        none of rows where it has come back by so many shots.
        """
        sizes = np.repeat(np.diff(self.matrix.indptr), np.diff(self.matrix.indptr))
        return _entries(self.matrix, (self.rank == sizes - 1) & ~self._given(shots))

    def quest(self, shots: int) -> Quest:
        """To find what is left in the whole catalog without what was given back."""
        return Quest(self.history(shots), self.truth(shots))

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
        quests = [self.quest(shots)]
        return self.rank_quests(scores, quests, n=n, order=order, num_threads=num_threads)[0]

    def rank_quests(
        self,
        scores: Scorer,
        quests: Sequence[Quest | SampledQuest],
        *,
        n: int = 10,
        order: NDArray[np.int64] | None = None,
        num_threads: int = 0,
    ) -> list[Ranked]:
        """The same scores ranked for several quests of the same people."""
        columns = [np.empty((len(self), n), np.int64) for _ in quests]

        def work(begin: int, end: int) -> None:
            block = slice(begin, end)
            theirs = np.asarray(scores(block))
            for quest, found in zip(quests, columns, strict=True):
                found[block] = quest.best(theirs, block, n, order)

        step = min(ROWS_AT_ONCE, max(1, SCORES_AT_ONCE // max(1, self.matrix.shape[1])))
        run_blocks(work, len(self), block=step, num_threads=num_threads)
        return [
            Ranked(found, hits(found, quest.truth), np.diff(quest.truth.indptr).astype(np.int64))
            for quest, found in zip(quests, columns, strict=True)
        ]

    def _remembered(self, part: str, shots: int) -> sp.csr_matrix:
        """Searches ask for the same parts thousands of times."""
        if (part, shots) not in self._parts:
            given = self._given(shots)
            kept = given if part == "history" else ~given
            self._parts[part, shots] = _entries(self.matrix, kept)
        return self._parts[part, shots]

    def _given(self, shots: int) -> NDArray[np.bool_]:
        """Which entries (nnz,) are known or have come back."""
        if self.known is None:
            return self.rank < shots
        return self.rank < shots + np.repeat(self.known, np.diff(self.matrix.indptr))


def _entries(matrix: sp.csr_matrix, kept: NDArray[np.bool_]) -> sp.csr_matrix:
    """Some of the entries, by mask."""
    sums = np.concatenate([[0], np.cumsum(kept)])
    parts = matrix.data[kept], matrix.indices[kept], sums[matrix.indptr]
    return sp.csr_matrix(parts, shape=matrix.shape)


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
    taken = np.ones(catalog.nnz, bool)
    return train, taken_from(catalog, train, rows, taken, order=order, rng=rng)


def taken_from(
    catalog: Interactions,
    train: Interactions,
    rows: NDArray[np.int64],
    taken: NDArray[np.bool_],
    *,
    given: NDArray[np.bool_] | None = None,
    order: Order,
    rng: np.random.Generator,
) -> HeldOut:
    """What some rows of a catalog keep back: their entries that are `taken` (nnz,), beside those
    that are `given` (nnz,) from the beginning; `train` is what is left to fit.
    """
    columns_now = train.items.rows(catalog.items.ids, missing="mask")
    places = sp.csr_matrix(
        (np.arange(catalog.nnz), catalog.user_items.indices, catalog.user_items.indptr),
        shape=catalog.shape,
    )[rows]
    known = np.zeros(places.nnz, bool) if given is None else given[places.data]
    wanted = known | taken[places.data]
    within = wanted & (columns_now[places.indices] >= 0)
    people = np.repeat(np.arange(len(rows)), np.diff(places.indptr))
    dropped = np.bincount(people[wanted & ~within], minlength=len(rows))
    people, known = people[within], known[within]
    entries, columns = places.data[within], columns_now[places.indices[within]]
    # columns keep their relative order, so the parts are canonical
    indptr = np.concatenate([[0], np.cumsum(np.bincount(people, minlength=len(rows)))])
    shape = len(rows), len(train.items)
    matrix = sp.csr_matrix((catalog.user_items.data[entries], columns, indptr), shape=shape)
    keys = [rng.random(len(entries)), ~known, people]
    if order != "random" and catalog.timestamps is not None:
        keys.insert(1, catalog.timestamps[entries])
    rank = np.empty(len(entries), np.int64)
    rank[np.lexsort(keys)] = np.arange(len(entries)) - np.repeat(indptr[:-1], np.diff(indptr))
    counts = None if given is None else np.bincount(people[known], minlength=len(rows))
    return HeldOut(np.asarray(rows), matrix, rank, dropped, counts)
