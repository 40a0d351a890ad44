"""Protocols: who is tested, and what of the target may be fitted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from coldstart.anchors import find_anchors
from coldstart.arms import People, Task
from coldstart.errors import AnchorError
from coldstart.heldout import HeldOut, Order, hold_out
from coldstart.interactions import Interactions

__all__ = ["PROTOCOLS", "Cold", "Split", "task_of"]


@dataclass(frozen=True, eq=False)
class Split:
    """A target catalog without two groups of people, and these people."""

    train: Interactions
    test: People
    validation: People
    eligible: int


@dataclass(frozen=True)
class Cold:
    """A share of the anchors loses every target interaction; some are given back, the rest is to be
    found.

    Parameters
    ----------
    test_share, validation_share : float
        Of the eligible anchors: those with at least `active` interactions in both catalogs. Test
        people are measured, validation people are what arms tune on; nothing of either group's
        target rows is in the training catalog.
    active : int
    order : {"auto", "time", "random"}
        In which order interactions come back: that of time where there are timestamps, or random.
    """

    test_share: float = 0.2
    validation_share: float = 0.2
    active: int = 5
    order: Order = "auto"

    def split(self, source: Interactions, target: Interactions, *, side: str, seed: int) -> Split:
        """Split by `seed` alone: the same people on every machine, in whatever order files are."""
        self._check()
        anchors = find_anchors(source.users, target.users, side=side)
        sizes = [
            np.diff(log.user_items.indptr)[rows]
            for log, rows in ((source, anchors.source), (target, anchors.target))
        ]
        eligible = np.flatnonzero(np.minimum(*sizes) >= self.active)
        # by id, so that the split does not depend on which catalog lists its rows how
        eligible = eligible[np.argsort(source.users.ids[anchors.source[eligible]], kind="stable")]
        counts = [int(share * len(eligible)) for share in (self.test_share, self.validation_share)]
        if min(counts) < 2:
            raise AnchorError(
                f"{len(eligible)} of {len(anchors)} common {side} have at least {self.active} "
                f"interactions on both sides, which leaves {min(counts)} to test or to tune on: "
                "at least 2 are needed"
            )
        rng = np.random.default_rng(seed)
        drawn = eligible[rng.permutation(len(eligible))[: sum(counts)]]
        people = anchors.take(drawn)
        if self.order == "random":  # then arms that hold people out themselves know no time either
            target = replace(target, timestamps=None)
        train, held = hold_out(target, people.target, order=self.order, rng=rng)
        test, validation = (
            People(people.source[part], _part(held, part))
            for part in (slice(0, counts[0]), slice(counts[0], None))
        )
        return Split(train, test, validation, len(eligible))

    def _check(self) -> None:
        for name in ("test_share", "validation_share"):
            share = getattr(self, name)
            if not 0 < share < 1:
                raise ValueError(f"{name} must be between 0 and 1, got {share!r}")
        if self.test_share + self.validation_share > 0.9:
            raise ValueError("test_share and validation_share must leave a tenth of the anchors")
        if self.order not in ("auto", "time", "random"):
            raise ValueError(f'order must be "auto", "time" or "random", got {self.order!r}')


PROTOCOLS = {"cold": Cold}
"""Protocols by name."""


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
) -> Task:
    """What arms may see of a split: all but the test people."""
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
    )


def _part(held: HeldOut, part: slice) -> HeldOut:
    """Some of the held-out rows, with their own share of what was dropped."""
    begin, end, _ = part.indices(len(held))
    entries = slice(held.matrix.indptr[begin], held.matrix.indptr[end])
    dropped: NDArray[np.int64] = held.dropped[begin:end]
    return HeldOut(held.rows[part], held.matrix[begin:end], held.rank[entries], dropped)
