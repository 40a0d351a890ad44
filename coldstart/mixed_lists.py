"""Mixed lists: new rows beside known ones, and what that does to both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.arms import Arm
from coldstart.heldout import Scorer
from coldstart.intervals import interval, ratio_of_means
from coldstart.metrics import hits, recall
from coldstart.pool import Pool
from coldstart.protocols import Known
from coldstart.ranking import top_n
from coldstart.sitting import Sitting

__all__ = ["mixed_lists"]

BLOCK = 256  # rows that are scored at one time

Floats = NDArray[np.float64]


def mixed_lists(pool: Pool) -> dict[str, Any] | None:
    """How every arm mixes new and known rows in the lists of the other side, by number of shots;
    None for splits without known rows to mix with.

    In ``rows``, all with 95% limits over those who get lists:

    * ``recall_new``, ``recall_known``: of what each is to find among the new and among the known;
    * ``loss_known``: how much higher the second is where no new row is listed;
    * ``new_share``: of the places of a list, those that new rows take; ``truth_share``: of what is
      to be found, what is new; ``calibration``: the first over the second, 1 where new rows get as
      many places as they deserve.
    """
    sitting = pool.sittings[0]
    known = sitting.split.known
    if known is None:
        return None
    rows = []
    for served in sitting.served:
        if served.arm.name in pool.arms:
            board = _Board.of(sitting, known, served.arm)
            for shots in pool.shots:
                numbers = _summed_up(board.lists(sitting, known, shots), pool.seed)
                rows.append({"arm": served.arm.name, "shots": shots, **numbers})
    return {"n": sitting.task.n, "lists": len(known.columns), "rows": rows}


@dataclass(frozen=True, eq=False)
class _Mixed:
    """Of everybody who gets a list, (n_lists,): recalls, and shares of places and truth."""

    recall_new: Floats
    recall_known: Floats
    alone: Floats
    new_share: Floats
    truth_share: Floats


@dataclass(frozen=True, eq=False)
class _Board:
    """An arm, and what it thinks of known rows: their scores (n_lists, n_known)."""

    arm: Arm
    known: NDArray[np.float32]

    @classmethod
    def of(cls, sitting: Sitting, known: Known, arm: Arm) -> _Board:
        """Score known rows by all that is known of them, as after the largest number of shots."""
        history = sitting.task.train.user_items
        scorer = _scorer(arm, known.source, history, sitting.task.shots[-1])
        return cls(arm, _scores(scorer, history.shape[0], known.columns))

    def lists(self, sitting: Sitting, known: Known, shots: int) -> _Mixed:
        """Mix the new rows in, and rank."""
        test, task = sitting.split.test, sitting.task
        history, columns = test.held.history(shots), known.columns
        scorer = _scorer(self.arm, test.source, history, shots)
        new = _scores(scorer, len(test), columns)
        n_known, n_new = self.known.shape[1], new.shape[1]
        order = np.random.default_rng([task.seed, 7]).permutation(n_known + n_new)
        nothing = sp.csr_matrix((n_known, len(columns)), dtype=np.float32)
        blank = sp.csr_matrix((n_new, len(columns)), dtype=np.float32)
        known_truth, new_truth = known.truth[:, columns], test.held.truth(shots)[:, columns]
        seen = _turned(task.train.user_items[:, columns], history[:, columns])
        both = top_n(np.hstack([self.known, new]), task.n, seen=seen, order=order)[0]
        old = np.argsort(np.argsort(order[:n_known]))
        seen_known = sp.csr_matrix(task.train.user_items[:, columns].T)
        alone = top_n(self.known, task.n, seen=seen_known, order=old)[0]
        of_new, of_known = _turned(nothing, new_truth), _turned(known_truth, blank)
        sizes = np.diff(of_new.indptr), np.diff(of_known.indptr)
        places = np.maximum((both >= 0).sum(axis=1), 1)
        wanted = sizes[0] + sizes[1]
        return _Mixed(
            recall(hits(both, of_new), sizes[0]),
            recall(hits(both, of_known), sizes[1]),
            recall(hits(alone, sp.csr_matrix(known_truth.T)), sizes[1]),
            (both >= n_known).sum(axis=1) / places,
            np.where(wanted > 0, sizes[0] / np.maximum(wanted, 1), np.nan),
        )


def _scorer(arm: Arm, source: NDArray[np.int64], history: sp.csr_matrix, shots: int) -> Scorer:
    """Scores of rows that compete with each other, where an arm tells them apart."""
    scorer: Scorer = getattr(arm, "across", arm.scorer)(source, history, shots)
    return scorer


def _scores(scorer: Scorer, n_rows: int, columns: NDArray[np.int64]) -> NDArray[np.float32]:
    """Scores (n_lists, n_rows) of all rows for some columns."""
    found = np.empty((len(columns), n_rows), np.float32)
    for begin in range(0, n_rows, BLOCK):
        block = slice(begin, min(begin + BLOCK, n_rows))
        found[:, block] = np.asarray(scorer(block))[:, columns].T
    return found


def _turned(known: sp.csr_matrix, new: sp.csr_matrix) -> sp.csr_matrix:
    """Known and then new rows as columns, (n_lists, n_known + n_new)."""
    return sp.csr_matrix(sp.vstack([known, new]).T)


def _summed_up(lists: _Mixed, seed: int) -> dict[str, float]:
    """Means and limits of all that is told."""
    found: dict[str, float] = {"users": len(lists.new_share)}

    def tell(name: str, mean: float, low: Floats, high: Floats) -> None:
        found.update({name: mean, f"{name}_low": float(low[0]), f"{name}_high": float(high[0])})

    for name, values in _numbers(lists):
        known = values[~np.isnan(values)]
        mean = float(known.mean()) if len(known) else float("nan")
        tell(name, mean, *interval(known[:, None], rng=seed))
    wanted = ~np.isnan(lists.truth_share)
    shares = lists.new_share[wanted][:, None], lists.truth_share[wanted][:, None]
    ratio, low, high = ratio_of_means(*shares, rng=seed)
    tell("calibration", float(ratio[0]), low, high)
    return found


def _numbers(lists: _Mixed) -> Iterator[tuple[str, Floats]]:
    for name in ("recall_new", "recall_known", "new_share", "truth_share"):
        yield name, getattr(lists, name)
    yield "loss_known", lists.alone - lists.recall_known
