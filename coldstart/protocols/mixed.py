"""Protocol ``mixed``: new rows compete with known ones in everybody's list."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from coldstart.errors import DataError
from coldstart.interactions import Interactions

from .cold import Cold, drawn
from .split import Known, Split, chances, check_share, held_people

__all__ = ["Mixed"]


@dataclass(frozen=True)
class Mixed(Cold):
    """As `Cold`, and lists are made for the other side: those who are new stand in them beside all
    that were known before.

    With ``side="items"`` every person gets a list of items, some of which are new; with "users"
    every item a list of users. So that there is something to find among the known as well, a share
    of their interactions is taken out of the training catalog. Arms tune as in `Cold`, on rows
    that are not tested.

    Parameters
    ----------
    truth : float
        Share of the interactions of those who get lists, with known rows, which they are to find.
    lists : int
        Most lists that are made, for people drawn at random.
    """

    truth: float = 0.2
    lists: int = 2000

    name: ClassVar[str] = "mixed"

    def split(self, source: Interactions, target: Interactions, *, side: str, seed: int) -> Split:
        """Split by `seed` alone."""
        check_share("truth", self.truth)
        people, n_test, eligible, rng = drawn(self, source, target, side=side, seed=seed)
        if self.order == "time" and target.timestamps is None:
            raise ValueError('order="time" needs timestamps, and the target has none')
        if self.order == "random":
            target = replace(target, timestamps=None)
        rows = np.repeat(np.arange(len(target.users)), np.diff(target.user_items.indptr))
        columns = target.user_items.indices
        by_id = np.argsort(target.items.ids, kind="stable")
        (chance,) = chances(target, 1, rng)
        listed = by_id[rng.permutation(len(by_id))][: self.lists]
        new = np.isin(rows, people.target)
        hidden = ~new & np.isin(columns, listed) & (chance < self.truth)
        train = target.keep_entries(~new & ~hidden)
        test, validation = (
            held_people((source, target), train, who, new, order=self.order, rng=rng)
            for who in (people.target[:n_test], people.target[n_test:])
        )
        cells = (
            train.users.rows(target.users.ids[rows[hidden]], missing="mask"),
            train.items.rows(target.items.ids[columns[hidden]], missing="mask"),
        )
        there = np.minimum(*cells) >= 0  # the last interaction of a row or column went with it
        ones = np.ones(there.sum(), np.float32)
        truth = sp.csr_matrix((ones, tuple(cell[there] for cell in cells)), train.shape)
        lists = train.items.rows(target.items.ids[listed], missing="mask")
        if not len(lists[lists >= 0]):
            raise DataError("nobody is left to make a list for: take a smaller share as truth")
        known = Known(
            source.users.rows(train.users.ids, missing="mask"), truth, np.sort(lists[lists >= 0])
        )
        return Split(train, test, validation, eligible, source, seed=seed, known=known)
