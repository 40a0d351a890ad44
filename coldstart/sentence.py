"""The verdict of an evaluation in one sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from coldstart.findings import Findings, Gain
from coldstart.statistics import holm

__all__ = ["mixed_sentence", "sentence"]

LEVEL = 0.05
_ONE = {"users": "Someone", "items": "An item"}
_MANY = {"users": "people", "items": "items"}


def sentence(found: Findings, target: str, side: str) -> str:
    """What somebody who did not run the evaluation should know first."""
    if found.protocol == "sampled":
        return (
            f"No verdict: sampled negatives are biased. {found.metric}@{found.n} of {found.arm} on "
            "them is only to be set beside published tables."
        )
    if found.levels:
        return _levels(found, target, side)
    first = found.gains[0]
    who = f"{_ONE[side]} with {_history(first.shots)} in {target}"
    if found.protocol == "temporal":
        who = f"{_ONE[side]} served from one moment on in {target}"
    if found.answer == "gain":
        parts = [f"{who} gets {_better(first)} recommendations"]
        if len(found.shots) > 1:
            parts += [_equals(found), _until(found)]
        return "; ".join([*parts, _groups(found)]) + "."
    measured = _changes(found, found.fair)
    if found.answer == "loss":
        return f"{who} gets worse recommendations with the source: {measured}; leave it out."
    if found.answer == "no gain":
        return f"{who} gains nothing from the source: {measured}; serve without it."
    smallest = found.smallest_detectable["ratio"] - 1
    told = f"; a gain below {smallest:.0%} could not be seen" if smallest > 0 else ""
    who, measured = who[0].lower() + who[1:], _changes(found, first)
    return f"Whether {who} gains is not decided by {found.users} people: {measured}{told}."


def _changes(found: Findings, gain: Gain) -> str:
    """A difference with its limits, and to what."""
    limits = f"[{_points(gain.ci_low)}, {_points(gain.ci_high)}]"
    change = f"{found.metric}@{found.n} changes by {_points(gain.difference)} points {limits}"
    return f"{change} against {gain.baseline}"


def mixed_sentence(lists: Mapping[str, Any], arm: str, side: str) -> str:
    """What an arm does to lists in which new rows stand beside known ones, at the fewest shots."""
    row = next(row for row in lists["rows"] if row["arm"] == arm)
    what = "items" if side == "items" else "people"
    return (
        f" In lists of both, new {what} take {row['new_share']:.1%} of the places, and "
        f"{row['recall_new']:.0%} of what was to be found among them is found; among the known it "
        f"is {row['recall_known']:.0%}, which is {100 * row['loss_known']:.1f} points less than "
        "without the new."
    )


def _levels(found: Findings, target: str, side: str) -> str:
    """The gain at each level, by p values corrected over them."""
    corrected = holm([level["p"] for level in found.levels])
    parts = []
    for level, p in zip(found.levels, corrected, strict=True):
        ratio, certain = level["ratio"], p <= LEVEL
        told = f"{ratio:.2f}x as good" if math.isfinite(ratio) else "not to be told"
        at = f"{level['level']:.0%}" if found.protocol == "launch" else f"{level['level']:,.0f}"
        parts.append(f"{at}: {told if certain else f'{told}, which is not certain'}")
    by = {
        "launch": "share of the log that is there",
        "anchors": f"number of {_MANY[side]} known to be in both catalogs",
    }[found.protocol]
    return (
        f"Recommendations in {target} with the source, compared with the best without it, by the "
        f"{by}: {'; '.join(parts)}."
    )


def _history(shots: int) -> str:
    if not shots:
        return "no history"
    return f"{shots} interaction{'s' * (shots > 1)}"


def _better(first: Gain) -> str:
    ratio = first.ratio
    if not math.isfinite(ratio):
        return "better"
    return f"{ratio:.1f}x better" if ratio >= 1.1 else f"{ratio - 1:.0%} better"


def _equals(found: Findings) -> str:
    needed = found.saved.interactions
    if needed is None:
        most = found.saved.more_than
        return f"it equals more than {most} interaction{'s' * (most != 1)}"
    if needed < 0.5:
        return "it saves less than one interaction"
    number = max(1, round(needed))
    return f"it equals {number} interaction{'s' * (number > 1)}"


def _until(found: Findings) -> str:
    graduation = found.graduation
    if graduation.more_than is not None:
        return f"it still helps at {graduation.more_than}"
    if graduation.helps_until is None:
        return "it is not certain to help"
    if not graduation.helps_until:
        return f"it helps until the first {_few(graduation.shots)}"
    return f"it helps until about {graduation.helps_until}"


def _few(shots: int | None) -> str:
    return "interaction" if shots == 1 else f"{shots} interactions"


def _groups(found: Findings) -> str:
    """Which groups lose, by p values corrected over the groups."""
    corrected = holm([row["p"] for row in found.groups])
    lost = [
        row["group"]
        for row, p in zip(found.groups, corrected, strict=True)
        if row["difference"] < 0 and p <= LEVEL
    ]
    return "no group loses" if not lost else f"worse off: {', '.join(lost)}"


def _points(share: float) -> str:
    return f"{100 * np.round(share, 4):+.2f}"
