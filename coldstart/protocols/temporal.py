"""Protocol ``temporal``: one cut in time through both logs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from coldstart.anchors import find_anchors
from coldstart.errors import DataError
from coldstart.interactions import Interactions

from .split import Split, by_id, check_people, check_share, held_people

__all__ = ["Temporal"]


@dataclass(frozen=True)
class Temporal:
    """What came before one moment may be fitted, in both catalogs; what came after is to be found.

    Tested are people whom the source knew by then and who have target interactions after it; what
    they had in the target before is their history, and the first ones after it are the shots. A
    share of the people is tuned on instead, at an earlier cut: arms are fitted there first, on what
    came before it in both catalogs, and these people find what came between the two cuts. Nothing
    of theirs after the earlier cut is fitted later on either.

    Parameters
    ----------
    cut : float
        Share of the target log that comes before.
    validation_share : float
        Of the people in both catalogs.
    """

    cut: float = 0.8
    validation_share: float = 0.2

    name: ClassVar[str] = "temporal"

    def splits(
        self, source: Interactions, target: Interactions, *, side: str, seed: int
    ) -> list[Split]:
        """The one split."""
        check_share("cut", self.cut)
        check_share("validation_share", self.validation_share)
        now, earlier = self.cuts(source, target)
        came, source_came = _times(target), _times(source)
        anchors = find_anchors(source.users, target.users, side=side)
        anchors = anchors.take(np.argsort(source.users.ids[anchors.source], kind="stable"))
        rng = np.random.default_rng(seed)
        drawn = anchors.take(rng.permutation(len(anchors)))
        tuning, testing = (
            drawn.take(part)
            for part in np.split(np.arange(len(drawn)), [int(self.validation_share * len(drawn))])
        )
        rows, source_rows = _rows(target), _rows(source)
        limit = np.where(np.isin(rows, tuning.target), earlier, now)
        source_limit = np.where(np.isin(source_rows, tuning.source), earlier, now)
        given = came < limit
        train, past = target.keep_entries(given), source.keep_entries(source_came < source_limit)
        test, validation = (
            held_people(
                (past, target),
                train,
                by_id(target, np.unique(rows[taken & np.isin(rows, who)])),
                taken,
                given=given,
                order="time",
                rng=rng,
            )
            for who, taken in (
                (testing.target, came >= now),
                (tuning.target, (came >= earlier) & (came < now)),
            )
        )
        test, validation = (people.take(people.source >= 0) for people in (test, validation))
        what = f"a cut at {self.cut:g} of the target log has {len(test)} people after it whom the "
        check_people(test, validation, what + f"source knew before, and {len(validation)} to tune")
        before = self._earlier(source, target, tuning.target, (earlier, now), rng)
        split = Split(train, test, validation, len(anchors), past, seed=seed)
        return [replace(split, earlier=replace(before, seed=seed))]

    def _earlier(
        self,
        source: Interactions,
        target: Interactions,
        who: NDArray[np.int64],
        cuts: tuple[int, int],
        rng: np.random.Generator,
    ) -> Split:
        """The catalogs at the first of two moments, and what some people did until the second."""
        came, rows = _times(target), _rows(target)
        given, taken = came < cuts[0], (came >= cuts[0]) & (came < cuts[1])
        train, past = target.keep_entries(given), source.keep_entries(_times(source) < cuts[0])
        rows = by_id(target, np.unique(rows[taken & np.isin(rows, who)]))
        people = held_people((past, target), train, rows, taken, given=given, order="time", rng=rng)
        people = people.take(people.source >= 0)
        check_people(people, people, f"there are {len(people)} people to tune on at {cuts[0]}")
        return Split(train, people, people, len(who), past)

    def cuts(self, source: Interactions, target: Interactions) -> tuple[int, int]:
        """The moment of the cut, and the earlier one for those who are tuned on."""
        for name, log in (("source", source), ("target", target)):
            if log.timestamps is None:
                raise DataError(
                    f'protocol "temporal" needs timestamps, and the {name} has none: '
                    "name their column, or take protocol cold"
                )
        before = 2 * self.cut - 1 if self.cut > 0.5 else self.cut / 2
        now, earlier = (
            int(np.quantile(_times(target), share, method="higher")) for share in (self.cut, before)
        )
        if not (_times(source) < earlier).any():
            raise DataError(
                f"no source interaction came before the cut of the target at {earlier}: their "
                "timestamps may be in different units, else take a later cut"
            )
        return now, earlier


def _times(log: Interactions) -> NDArray[np.int64]:
    return np.zeros(log.nnz, np.int64) if log.timestamps is None else log.timestamps


def _rows(log: Interactions) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(log.users)), np.diff(log.user_items.indptr))
