"""What in the data makes a result look better than it is, or too weak to be read: one sentence
each.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from coldstart.anchors import Anchors, find_anchors
from coldstart.interactions import Interactions
from coldstart.overlap import id_warnings
from coldstart.twins import Twins, find_twins, tellable

__all__ = ["Check", "checks", "size_check", "time_check"]

Level = Literal["ok", "note", "warning"]

TWINS = 0.01  # share of the target interactions, from which twins are worth a warning
REPEATED = 0.3  # share of rows that came before, as in a file that was joined to itself
BY_DESIGN = 0.95  # share of both catalogs that is in both, if people were chosen for it
LATER = 0.01  # share of later source interactions that is worth a warning
FIRST = 0.01  # share of the test interactions that may be stray, before the test period begins
UNITS = 30.0  # ratio of the latest times of two logs which do not overlap, if units differ
COARSE = 0.2  # smallest gain that is found, as a share of the baseline, above which a test is small
FEWEST = 10  # people below whom an interval says nothing

_WORDS = {"users": ("people", "items"), "items": ("items", "people")}  # rows, columns
_ONE = {"people": "person", "items": "item"}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    check : {"twins", "repeated pairs", "ids", "time", "overlap", "size"}
    level : {"ok", "note", "warning"}
    text : str
        A sentence.
    numbers : dict
        Plain values.
    """

    check: str
    level: Level
    text: str
    numbers: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values; NaN is None."""
        finite = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in self.numbers.items()
        }
        return {**asdict(self), "numbers": finite}


def checks(
    source: Interactions, target: Interactions, *, side: str, twins: Twins | None = None
) -> list[Check]:
    """What can be said of two catalogs before anybody is tested.

    The rows of both are what is mapped, people or items, and `side` ("users" or "items") is their
    name. `twins` are looked for where they are not passed. Whole catalogs are read, held-out people
    among them: nothing here may decide what is fitted or tuned.
    """
    anchors = find_anchors(source.users, target.users, side=side, needed=False)
    return [
        _overlap_check(source, target, anchors, side),
        _twins_check(source, target, anchors, side, twins),
        *_id_checks(source, target, side),
        _repeated_check(source, target),
    ]


def time_check(source: Interactions, test_times: ArrayLike | None) -> Check | None:
    """Whether the source knows the future of those who are tested.

    `test_times` are the times of the interactions that were held out. The test period begins where
    1% of them lie before it, so that a stray date does not move it. Times may be in any unit, but
    must be in one: logs that do not overlap, with latest times that differ by a factor of 30, are
    told. None where there are no times.
    """
    held = np.asarray([] if test_times is None else test_times)
    if source.timestamps is None or not source.nnz or not held.size:
        return None
    if _differ_in_unit(source.timestamps, held):
        text = (
            "The times of the two catalogs seem to be in different units, so whether the source "
            "knows the future cannot be told: give both as dates, or both in seconds."
        )
        ends = {"source_latest": int(source.timestamps.max()), "test_latest": int(held.max())}
        return Check("time", "note", text, ends)
    later, half = (
        float((source.timestamps > np.quantile(held, at, method="lower")).mean())
        for at in (FIRST, 0.5)
    )
    numbers = {"later_share": later, "later_than_half_share": half}
    if later < LATER:
        text = "The source ends before the test period begins, as it would at a launch."
        return Check("time", "ok", text, numbers)
    text = (
        f"{_percent(later)} of the source interactions are later than the beginning of the test "
        f"period, and {_percent(half)} later than half of what was to be found: the source knows "
        'the future, which it will not at a launch; the protocol "temporal" cuts both catalogs at '
        "one time."
    )
    return Check("time", "warning", text, numbers)


def size_check(
    people: int,
    metric: str,
    baseline_mean: float,
    difference: float,
    low: float,
    high: float,
    smallest: float,
) -> Check:
    """Whether enough people were tested for what was to be seen.

    `difference` is the gain over a baseline of `baseline_mean` with its 95% limits `low` and
    `high`, `smallest` the gain that is found with a power of 80%. Gains below a fifth of the
    baseline that cannot be seen are worth a note, and a warning where no gain or loss is shown.
    """
    values = baseline_mean, difference, low, high, smallest
    names = "baseline", "difference", "ci_low", "ci_high", "smallest_detectable"
    numbers = {"people": people, **dict(zip(names, map(float, values), strict=True))}
    if people < FEWEST or not all(map(math.isfinite, values)):
        text = f"With {_many(people, 'people')} tested nothing can be told: test more."
        return Check("size", "warning", text, numbers)
    unit = baseline_mean if baseline_mean > 0 else math.nan
    shown = [
        f"{value:.4f}" if math.isnan(unit) else _percent(value / unit)
        for value in ((high - low) / 2, smallest)
    ]
    of = "" if math.isnan(unit) else " of what is reached without a source"
    text = (
        f"With {people:,} test people the 95% interval of the gain in {metric} is +-{shown[0]}{of},"
        f" and the smallest gain that would have been found in four of five such tests is "
        f"{shown[1]}"
    )
    if smallest <= COARSE * baseline_mean:
        return Check("size", "ok", f"{text}.", numbers)
    if low > 0 or high < 0:
        return Check("size", "note", f"{text}: how large it is remains uncertain.", numbers)
    return Check("size", "warning", f"{text}: too few people to tell less from nothing.", numbers)


def _overlap_check(
    source: Interactions, target: Interactions, anchors: Anchors, side: str
) -> Check:
    """Shares of the rows with interactions that have some in both."""
    active = [np.diff(log.user_items.indptr) > 0 for log in (source, target)]
    both = int((active[0][anchors.source] & active[1][anchors.target]).sum())
    shares = [both / max(int(rows.sum()), 1) for rows in active]
    numbers = {"both": both, "source_share": shares[0], "target_share": shares[1]}
    rows = _WORDS[side][0]
    if not both:
        text = f"No {rows} are in both catalogs: there is nothing to learn a map from."
        return Check("overlap", "warning", text, numbers)
    if min(shares) >= BY_DESIGN:
        text = (
            f"{_percent(shares[0])} of the {rows} of the source and {_percent(shares[1])} of those "
            f"of the target are in both: these catalogs hold only {rows} that are active in both, "
            "and a real launch has others, too."
        )
        return Check("overlap", "warning", text, numbers)
    text = (
        f"{both:,} {rows} are in both catalogs, {_percent(shares[0])} of the source's and "
        f"{_percent(shares[1])} of the target's."
    )
    return Check("overlap", "ok", text, numbers)


def _twins_check(
    source: Interactions, target: Interactions, anchors: Anchors, side: str, twins: Twins | None
) -> Check:
    both = source.user_items[anchors.source], target.user_items[anchors.target]
    if twins is None:
        ids = source.items.ids, target.items.ids
        twins = Twins.of(find_twins(*both), target.user_items, ids)
    told = int(tellable(*both).sum())
    rows, columns = _WORDS[side]
    counted = "pairs", "source_columns", "target_columns", "share"
    numbers = {name: getattr(twins, name) for name in counted} | {"tellable": told}
    if twins.pairs:
        text = (
            f"Cross-listed twins: {_many(twins.target_columns, columns)} of the target with nearly "
            f"the same {rows} as {columns} of the source, and with {_percent(twins.share)} of the "
            "target interactions; a gain on them need not be a transfer of taste, so look at the "
            "results without them, too."
        )
        return Check("twins", "warning" if twins.share >= TWINS else "note", text, numbers)
    text = (
        f"Cross-listed twins: none among the {told:,} of {len(source.items):,} {columns} of the "
        f"source with enough {rows} to tell."
    )
    return Check("twins", "ok" if told else "note", text, numbers)


def _id_checks(source: Interactions, target: Interactions, side: str) -> list[Check]:
    found = id_warnings(source.users, target.users, side)
    if not found:
        text = f"The ids of the {_WORDS[side][0]} are written in the same way in both catalogs."
        return [Check("ids", "ok", text)]
    return [Check("ids", "warning", f"{text[0].upper()}{text[1:]}.") for text in found]


def _repeated_check(source: Interactions, target: Interactions) -> Check:
    shares = [log.repeated / max(log.nnz + log.repeated, 1) for log in (source, target)]
    repeated = {"source": source.repeated, "target": target.repeated}
    numbers = {**repeated, "source_share": shares[0], "target_share": shares[1]}
    if not any(shares):
        text = "No person has an item twice in either catalog."
        return Check("repeated pairs", "ok", text, numbers)
    text = (
        f"{_percent(shares[0])} of the source's rows and {_percent(shares[1])} of the target's "
        "repeated a person and an item, and were merged with the first"
    )
    if max(shares) < REPEATED:
        return Check("repeated pairs", "note", f"{text}.", numbers)
    text += ": see whether a file was joined to itself, or whether these are sales one by one."
    return Check("repeated pairs", "warning", text, numbers)


def _differ_in_unit(times: Any, others: Any) -> bool:
    apart = times.max() < others.min() or others.max() < times.min()
    sizes = [float(np.abs(part).max()) for part in (times, others)]
    return bool(apart and max(sizes) >= UNITS * max(min(sizes), 1.0))


def _percent(share: float) -> str:
    """With a decimal where there is but one figure before it."""
    value = 100 * share
    if 0 < value < 0.05:
        return "less than 0.1%"
    return f"{value:.1f}%" if 0 < abs(value) < 9.95 else f"{value:.0f}%"


def _many(number: int, things: str) -> str:
    return f"{number:,} {_ONE[things] if number == 1 else things}"
