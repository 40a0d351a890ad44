"""What a protocol makes of two catalogs: who is tested, and what may be fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from coldstart.arms.base import People, Task
from coldstart.errors import AnchorError
from coldstart.heldout import Order, taken_from
from coldstart.interactions import Interactions

__all__ = [
    *("Hiding", "Known", "Split", "by_id", "chances", "check_people", "check_share"),
    *("held_people", "task_of"),
]

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Known:
    """Rows that were never held out, among which new ones have to find their place.

    Parameters
    ----------
    source : array (n_rows,)
        Where the rows of the training catalog stand in the source, -1 for nowhere.
    truth : csr_matrix (n_rows, n_columns)
        Interactions that were taken out of the training catalog.
    columns : array (n_lists,)
        Column numbers of those who get lists.
    """

    source: Rows
    truth: sp.csr_matrix
    columns: Rows


@dataclass(frozen=True, eq=False)
class Split:
    """Two catalogs without what two groups of people keep back, and these people.

    Parameters
    ----------
    train : Interactions
        What may be fitted of the target.
    test, validation : People
        Who is measured, and on whom arms make their choices; nobody is in both.
    eligible : int
        How many people were drawn from.
    source : Interactions
        What may be fitted of the source.
    level : float, optional
        Which of several conditions this is, such as a share of the log.
    seed : int
    known : Known, optional
    negatives : int array (n_test, n_negatives), optional
        Columns that one positive is ranked against, instead of the whole catalog.
    earlier : Split, optional
        The same catalogs at an earlier moment, on which arms are tuned instead: what validation
        people are to find there is nobody's past.
    """

    train: Interactions
    test: People
    validation: People
    eligible: int
    source: Interactions
    level: float | None = None
    seed: int = 0
    known: Known | None = None
    negatives: Rows | None = None
    earlier: Split | None = None


@runtime_checkable
class Hiding(Protocol):
    """A protocol, as a value: how an evaluation hides interactions and gives them back."""

    name: str

    def splits(
        self, source: Interactions, target: Interactions, *, side: str, seed: int
    ) -> Sequence[Split]:
        """Split two catalogs, whose rows are the mapped side, by `seed` alone.

        Several splits test different people under the same condition.
        """
        ...


def held_people(
    catalogs: tuple[Interactions, Interactions],
    train: Interactions,
    rows: Rows,
    taken: Mask,
    *,
    given: Mask | None = None,
    order: Order,
    rng: np.random.Generator,
) -> People:
    """People at `rows` of the target, who keep back their entries that are `taken` (nnz,) and have
    those that are `given` (nnz,); `catalogs` are what may be fitted of the source, and the target.
    """
    source, target = catalogs
    held = taken_from(target, train, rows, taken, given=given, order=order, rng=rng)
    return People(source.users.rows(target.users.ids[rows], missing="mask"), held)


def by_id(log: Interactions, rows: Rows) -> Rows:
    """Rows of a log in the order of their ids, whatever order the log has them in."""
    return rows[np.argsort(log.users.ids[rows], kind="stable")]


def chances(log: Interactions, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Random numbers (count, nnz) for the entries of a log, which fall by their ids."""
    rows = np.repeat(np.arange(len(log.users)), np.diff(log.user_items.indptr))
    places = [np.argsort(np.argsort(ids.ids, kind="stable")) for ids in (log.users, log.items)]
    drawn = np.empty((count, log.nnz))
    order = np.lexsort((places[1][log.user_items.indices], places[0][rows]))
    drawn[:, order] = rng.random((count, log.nnz))
    return drawn


def check_share(name: str, share: Any, *, most: float = 1.0, closed: bool = False) -> None:
    """Refuse a share that is not between 0 and `most`, which itself is allowed where `closed`."""
    if not (0 < share < most or (closed and share == most)):
        raise ValueError(f"{name} must be between 0 and {most:g}, got {share!r}")


def check_people(test: People, validation: People, what: str) -> None:
    """Refuse groups of fewer than two people."""
    fewest = min(len(test), len(validation))
    if fewest < 2:
        raise AnchorError(f"{what}, which leaves {fewest} to test or to tune on: 2 are needed")


def task_of(
    split: Split,
    source: Interactions,
    *,
    shots: tuple[int, ...],
    metric: str,
    n: int,
    factors: int,
    seed: int,
    num_threads: int,
    side: str,
    **limits: Any,
) -> Task:
    """What arms may see of a split: all but the test people; `limits` are those of a `Task`."""
    order = np.random.default_rng([seed, 1]).permutation(len(split.train.items))
    return Task(
        source=source,
        train=split.train,
        validation=split.validation,
        shots=shots,
        metric=metric,
        n=n,
        factors=factors,
        seed=seed,
        order=order,
        num_threads=num_threads,
        side=side,
        **limits,
    )
