"""Cross-domain neighbours: what similar people of both catalogs have in the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import norm as sparse_norm

from coldstart.arms.base import Task, rows_of
from coldstart.heldout import Scorer
from coldstart.popularity import counts
from coldstart.ranking import top_n

__all__ = ["Near", "NeighboursArm", "nearest", "unit_rows"]

SIZES = (20, 50, 100, 200)
COLUMNS = ("raw", "idf")
SOURCE_WEIGHTS = (0.3, 1.0, 3.0)

SIMILARITIES_AT_ONCE = 8_000_000  # held at one time while neighbours are looked for


class NeighboursArm:
    """Cross-domain kNN, which also sees the shots.

    Someone with the source row s and the history t is the row [w s, t], and so is every anchor of
    the training catalog. With cos the cosine of such rows and N the k anchors most similar to u, ::

        score(u, j) = sum_{a in N} cos(u, a) target_aj

    Validation chooses k, w, and whether columns are weighted by their inverse document frequency,
    for each number of shots.
    """

    name = "neighbours"
    uses_source = True

    def fit(self, task: Task) -> NeighboursArm:
        """Keep the anchors' rows, and choose."""
        source, target = task.source.user_items, task.train.user_items
        self._source, self._threads = source, task.num_threads
        self._kept: tuple[tuple[Any, ...], tuple[Any, Any], Near] | None = None
        self._anchors = source[task.anchors.source], target[task.anchors.target]
        rarity = _rarity(source), _rarity(target)
        self._weights = {"raw": tuple(np.ones_like(part) for part in rarity), "idf": rarity}
        space = {"columns": COLUMNS, "source_weight": SOURCE_WEIGHTS, "k": SIZES}
        self.tuned = task.choose(space, self._near)
        self._kept = None  # nobody's rows stay in what is fitted
        return self

    def scorer(self, source: NDArray[np.int64], history: sp.csr_matrix, shots: int) -> Scorer:
        """What the neighbours have, weighted by their similarity."""
        scores = self._near(self.tuned[shots], source, history)
        self._kept = None
        return scores

    def settings(self) -> dict[str, Any]:
        """Column weighting, source weight and number of neighbours, for each number of shots."""
        return self.tuned.settings()

    def _near(
        self, setting: dict[str, Any], source: NDArray[np.int64], history: sp.csr_matrix
    ) -> Scorer:
        near = self._nearest(setting, source, history).first(setting["k"])

        def scores(block: slice) -> NDArray[np.float32]:
            dense: NDArray[np.float32] = (near[block] @ self._anchors[1]).toarray()
            return dense

        return scores

    def _nearest(
        self, setting: dict[str, Any], source: NDArray[np.int64], history: sp.csr_matrix
    ) -> Near:
        """The largest number of neighbours, kept for the smaller ones, which are tried next."""
        key = setting["columns"], setting["source_weight"], id(source), id(history)
        if self._kept is None or self._kept[0] != key:
            anchors = self._side_by_side(setting, *self._anchors)
            people = self._side_by_side(setting, rows_of(self._source, source), history)
            most = nearest(people, anchors, max(SIZES), num_threads=self._threads)
            self._kept = key, (source, history), most  # alive, so that no id is used twice
        return self._kept[2]

    def _side_by_side(
        self, setting: dict[str, Any], source: sp.csr_matrix, target: sp.csr_matrix
    ) -> sp.csr_matrix:
        """Rows [w s, t] of length 1, (n, n_source_columns + n_target_columns)."""
        in_source, in_target = self._weights[setting["columns"]]
        weights = np.concatenate([setting["source_weight"] * in_source, in_target])
        rows = sp.hstack([source, target], format="csr", dtype=np.float32)
        rows.data *= weights[rows.indices]
        return unit_rows(rows)


@dataclass(frozen=True, eq=False)
class Near:
    """The nearest of `n_others` to every row, best first: who (n, k), and how near (n, k)."""

    who: NDArray[np.int64]
    values: NDArray[np.float32]
    n_others: int

    def first(self, k: int) -> sp.csr_matrix:
        """How near the first k are, where that is positive: (n, n_others)."""
        who, values = self.who[:, :k], self.values[:, :k]
        found = values > 0
        indptr = np.concatenate([[0], np.cumsum(found.sum(axis=1))])
        shape = len(who), self.n_others
        return sp.csr_matrix((values[found], who[found], indptr), shape=shape)


def nearest(rows: sp.csr_matrix, others: sp.csr_matrix, k: int, *, num_threads: int = 0) -> Near:
    """The k largest products of every row with rows of `others`."""
    n, n_others = rows.shape[0], others.shape[0]
    columns, values = np.empty((n, k), np.int64), np.empty((n, k), np.float32)
    step = max(1, SIMILARITIES_AT_ONCE // max(1, n_others))
    for begin in range(0, n, step):
        block = slice(begin, begin + step)
        similar = (rows[block] @ others.T).toarray()
        columns[block], values[block] = top_n(similar, k, num_threads=num_threads)
    return Near(columns, values, n_others)


def unit_rows(rows: sp.csr_matrix) -> sp.csr_matrix:
    """The rows (n, n_columns) scaled to length 1; empty rows stay empty."""
    data = rows.data.astype(np.float64)  # squares of float32 numbers may overflow, or vanish
    lengths = sparse_norm(sp.csr_matrix((data, rows.indices, rows.indptr), rows.shape), axis=1)
    data /= np.repeat(lengths, np.diff(rows.indptr))
    return sp.csr_matrix((data.astype(np.float32), rows.indices, rows.indptr), shape=rows.shape)


def _rarity(user_items: sp.csr_matrix) -> NDArray[np.float32]:
    """Inverse document frequency (n_columns,): ``log(1 + rows / rows with the column)``."""
    having = np.maximum(counts(user_items), 1)
    rarity: NDArray[np.float32] = np.log1p(user_items.shape[0] / having).astype(np.float32)
    return rarity
