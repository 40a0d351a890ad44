"""Protocol ``launch``: only a share of the target log exists."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from coldstart.errors import AnchorError
from coldstart.heldout import Order
from coldstart.interactions import Interactions

from .split import Split, by_id, chances, check_share, held_people

__all__ = ["Launch"]

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Launch:
    """Of the target log a share `truth` is to be found by everybody; of the rest only `share` is
    there to learn from.

    Every target row with truth is tested, with what is there of it as its history. Rows are halved:
    while one half is tested, arms tune on people of the other, who keep a fifth of what is there
    back. So nobody tunes the arms that he or she is tested with, and everybody is tested. Truth and
    what is there are random interactions, the same ones for every arm; a larger share contains the
    smaller.

    Parameters
    ----------
    share : float
        Of the interactions that are no truth.
    truth : float
        Of all target interactions.
    validation_people : int
        Most people of a half who are tuned on.
    """

    share: float = 0.3
    truth: float = 0.2
    validation_people: int = 1000
    order: Order = "random"

    name: ClassVar[str] = "launch"

    def splits(
        self, source: Interactions, target: Interactions, *, side: str, seed: int
    ) -> list[Split]:
        """Two splits, one for each half."""
        check_share("share", self.share, closed=True)
        check_share("truth", self.truth)
        rng = np.random.default_rng(seed)
        everybody = by_id(target, np.arange(len(target.users)))
        half = np.empty(len(everybody), np.int64)
        half[everybody[rng.permutation(len(everybody))]] = np.arange(len(everybody)) % 2
        chance, there, kept_back = chances(target, 3, rng)
        truth = chance < self.truth
        there = ~truth & (there < self.share)
        parts = target, truth, there, kept_back < self.truth
        return [self._half(source, parts, half == which, seed) for which in (0, 1)]

    def _half(
        self,
        source: Interactions,
        parts: tuple[Interactions, Mask, Mask, Mask],
        tested: Mask,
        seed: int,
    ) -> Split:
        target, truth, there, kept_back = parts
        rng = np.random.default_rng([seed, 4])
        rows = np.repeat(np.arange(len(target.users)), np.diff(target.user_items.indptr))
        hidden = there & kept_back & ~tested[rows]
        tuning = by_id(target, np.unique(rows[hidden]))
        tuning = rng.permutation(tuning)[: self.validation_people]
        hidden &= np.isin(rows, tuning)
        known = there & ~hidden
        if not known.any() or len(tuning) < 2:
            raise AnchorError(
                f"{self.share:g} of the target log is {there.sum()} interactions, which is too few "
                "to tune on: take a larger share"
            )
        train = target.keep_entries(known)
        testing = np.flatnonzero(tested & (np.bincount(rows[truth], minlength=len(tested)) > 0))
        test, validation = (
            held_people(
                (source, target),
                train,
                by_id(target, who),
                taken,
                given=known,
                order=self.order,
                rng=rng,
            )
            for who, taken in ((testing, truth), (tuning, hidden))
        )
        split = Split(train, test, validation, len(target.users), source, seed=seed)
        return replace(split, level=float(self.share))
