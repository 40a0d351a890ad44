"""Protocol ``cold``: people lose every target interaction, and get some of them back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from coldstart.anchors import Anchors, find_anchors
from coldstart.arms.base import People
from coldstart.errors import AnchorError
from coldstart.heldout import Order, hold_out
from coldstart.interactions import Interactions

from .split import Split, check_share

__all__ = ["Cold", "drawn"]


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

    name: ClassVar[str] = "cold"

    def splits(
        self, source: Interactions, target: Interactions, *, side: str, seed: int
    ) -> list[Split]:
        """The one `split`."""
        return [self.split(source, target, side=side, seed=seed)]

    def split(self, source: Interactions, target: Interactions, *, side: str, seed: int) -> Split:
        """Split by `seed` alone: the same people on every machine, in whatever order files are."""
        people, n_test, eligible, rng = drawn(self, source, target, side=side, seed=seed)
        if self.order == "random":  # then arms that hold people out themselves know no time either
            target = replace(target, timestamps=None)
        train, held = hold_out(target, people.target, order=self.order, rng=rng)
        test, validation = (
            People(people.source[part], held.take(part))
            for part in (slice(0, n_test), slice(n_test, None))
        )
        return Split(train, test, validation, eligible, source, seed=seed)


def drawn(
    protocol: Cold, source: Interactions, target: Interactions, *, side: str, seed: int
) -> tuple[Anchors, int, int, np.random.Generator]:
    """Test people and then validation people, how many the first are, of how many they were drawn,
    and the generator as it was left.
    """
    _check(protocol)
    anchors = find_anchors(source.users, target.users, side=side)
    sizes = [
        np.diff(log.user_items.indptr)[rows]
        for log, rows in ((source, anchors.source), (target, anchors.target))
    ]
    eligible = np.flatnonzero(np.minimum(*sizes) >= protocol.active)
    # by id, so that the split does not depend on which catalog lists its rows how
    eligible = eligible[np.argsort(source.users.ids[anchors.source[eligible]], kind="stable")]
    shares = protocol.test_share, protocol.validation_share
    counts = [int(share * len(eligible)) for share in shares]
    if min(counts) < 2:
        raise AnchorError(
            f"{len(eligible)} of {len(anchors)} common {side} have at least {protocol.active} "
            f"interactions on both sides, which leaves {min(counts)} to test or to tune on: "
            "at least 2 are needed"
        )
    rng = np.random.default_rng(seed)
    chosen = eligible[rng.permutation(len(eligible))[: sum(counts)]]
    return anchors.take(chosen), counts[0], len(eligible), rng


def _check(protocol: Cold) -> None:
    for name in ("test_share", "validation_share"):
        check_share(name, getattr(protocol, name))
    if protocol.test_share + protocol.validation_share > 0.9:
        raise ValueError("test_share and validation_share must leave a tenth of the anchors")
    if protocol.order not in ("auto", "time", "random"):
        raise ValueError(f'order must be "auto", "time" or "random", got {protocol.order!r}')
