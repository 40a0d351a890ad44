"""What two catalogs have in common by their ids, and what looks wrong with those."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldstart.interactions import Interactions
from coldstart.vocabulary import Vocabulary

__all__ = ["Coverage", "id_warnings"]

_NUMBER = re.compile(r"\d+(\.0+)?")
_MOSTLY = 0.9  # share of ids that look like numbers, for a side to be one of numbers
_FEW = 10  # ids, below which numbers without a gap are no surprise
_ADDED = 0.01  # share of further matches that is worth a warning


@dataclass(frozen=True)
class Coverage:
    """How much of one catalog its anchors are; `activity` and `rest_activity` are medians of the
    interactions of anchors and of the others (NaN where there are none).
    """

    rows: int
    columns: int
    interactions: int
    repeated: int
    anchors: int
    anchor_interactions: int
    activity: float
    rest_activity: float

    @classmethod
    def of(cls, log: Interactions, anchors: NDArray[np.int64]) -> Coverage:
        """Count; the rows of `log` are those that are mapped, `anchors` row numbers among them."""
        activity = np.diff(log.user_items.indptr)
        rest = np.delete(activity, anchors)
        return cls(
            rows=len(log.users),
            columns=len(log.items),
            interactions=log.nnz,
            repeated=log.repeated,
            anchors=len(anchors),
            anchor_interactions=int(activity[anchors].sum()),
            activity=float(np.median(activity[anchors])),
            rest_activity=float(np.median(rest)) if len(rest) else float("nan"),
        )

    @property
    def row_share(self) -> float:
        """Share of the rows that are anchors."""
        return self.anchors / self.rows

    @property
    def interaction_share(self) -> float:
        """Share of the interactions that are those of anchors."""
        return self.anchor_interactions / self.interactions

    def described(self, side: str) -> str:
        """The numbers in words; `side` is what the rows are."""
        rest = "" if np.isnan(self.rest_activity) else f", of the others {self.rest_activity:g}"
        merged = f"; {self.repeated} repeated pairs were merged" if self.repeated else ""
        return (
            f"{100 * self.row_share:.1f}% of {self.rows} {side} and "
            f"{100 * self.interaction_share:.1f}% of {self.interactions} interactions; "
            f"median activity of anchors {self.activity:g}{rest}{merged}"
        )


def id_warnings(source: Vocabulary, target: Vocabulary, side: str) -> list[str]:
    """What suggests that ids of the two catalogs were written in different ways, or given apart.

    It is about the rows, which are matched by id; columns are not, and may have any. Integers on
    one side and strings on the other are an error where anchors are looked for.
    """
    if source.kind != target.kind:
        return []
    warnings = []
    if len(source) != len(target) and all(map(_counted, (source, target))):
        warnings.append(
            f"the {side} ids are all numbers from the first to the last in both catalogs, to "
            f"{_last(source)} and to {_last(target)}: check that {side} were not numbered in each "
            "catalog apart, which would make one number mean two of them"
        )
    if source.kind == "int":
        return warnings
    numbers = [_share_of_numbers(ids) for ids in (source, target)]
    if max(numbers) >= _MOSTLY and min(numbers) <= 1 - _MOSTLY:
        place = "source" if numbers[0] > numbers[1] else "target"
        warnings.append(
            f"{100 * max(numbers):.0f}% of the {side} ids of the {place} look like numbers, "
            f"{100 * min(numbers):.0f}% of those of the other catalog: check that both are the "
            "same ids"
        )
    matched = len(set(source.ids) & set(target.ids))
    loose = len({*map(_loose, source.ids)} & {*map(_loose, target.ids)})
    if loose - matched > _ADDED * min(len(source), len(target)):
        warnings.append(
            f"{loose - matched} more {side} would match if ids were compared without spaces, case, "
            "leading zeros and a trailing .0: clean them first"
        )
    return warnings


def _counted(ids: Vocabulary) -> bool:
    """Whether the ids are those of a count from 0 or 1, without a gap."""
    if len(ids) < _FEW or _share_of_numbers(ids) < 1:
        return False
    numbers = np.sort([int(float(key)) for key in ids])
    return bool(numbers[0] in (0, 1) and (np.diff(numbers) == 1).all())


def _last(ids: Vocabulary) -> int:
    return max(int(float(key)) for key in ids)


def _share_of_numbers(ids: Vocabulary) -> float:
    return float(np.mean([bool(_NUMBER.fullmatch(str(key).strip())) for key in ids]))


def _loose(key: Any) -> str:
    """An id without what spreadsheets and joins tend to change."""
    text = str(key).strip().casefold()
    return text.partition(".")[0].lstrip("0") if _NUMBER.fullmatch(text) else text
