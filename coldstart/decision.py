"""What the gate decided, on what grounds, and how much it could have seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Decision", "Difference", "listed", "told"]

LEAST_PEOPLE = 10  # with anything left to find, and whose quality differs, below which: closed
POWER = 0.8  # with which the detectable gain would have opened the gate
WORTHWHILE = 0.05  # of the baseline: the gain that dissimilar domains exclude
SAME_PEOPLE = 60  # without any difference: at most 5% of all people gain (rule of three)

_INFINITE = ("inf", "-inf")  # how JSON holds limits that are

DISSIMILAR = "dissimilar domains"
METHOD = "the method"
LATE = "no gain shown without interactions"
ONE_FAMILY = "undetermined: one family of adapters"
UNDETERMINED = "undetermined: too few people"

_REASONS = {
    DISSIMILAR: "several families of adapters were tried, none gains, and none can be as much as "
    f"{WORTHWHILE:.0%} better than the best arm without a source; ids that do not mean the same in "
    "both catalogs look just so",
    METHOD: "so something can be transferred",
    LATE: "and the gate is closed because 0 shots, which are tested first, failed",
    ONE_FAMILY: f"with it nothing is gained, and {WORTHWHILE:.0%} more than the best arm without a "
    "source is excluded, but others were not tried",
    UNDETERMINED: "a gain worth having is neither shown nor excluded",
}


@dataclass(frozen=True)
class Difference:
    """Gain of a candidate over the best arm without a source, at so many shots.

    Parameters
    ----------
    shots : int
    people : int
        With anything left to find.
    differing : int
        Those of them whose quality differs between the two.
    mean, standard_error : float
        Of the paired differences.
    low, high : float
        Limits of the gain; NaN where too few people say anything, both 0 where nobody differs.
    baseline : float
        Mean quality of the arm without a source on these people.
    baseline_name : str
    detectable : float
        The true gain for which `low` is above zero with a probability of 80%.
    """

    shots: int
    people: int
    differing: int
    mean: float
    standard_error: float
    low: float
    high: float
    baseline: float
    baseline_name: str
    detectable: float

    @property
    def detectable_share(self) -> float:
        """`detectable` as a share of the baseline, NaN where that is zero."""
        return self.detectable / self.baseline if self.baseline > 0 else math.nan

    @property
    def excludes_gain(self) -> bool:
        """Whether a gain of 5% of the baseline is excluded."""
        enough = self.differing > 0 or self.people >= SAME_PEOPLE
        return enough and self.high < WORTHWHILE * self.baseline

    def to_json(self) -> dict[str, Any]:
        """Plain values: of numbers that are not finite, NaN as None and the others as strings."""

        def plain(value: Any) -> Any:
            if not isinstance(value, float) or math.isfinite(value):
                return value
            return None if math.isnan(value) else str(value)

        return {name: plain(value) for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Difference:
        """Read what `to_json` wrote."""

        def read(value: Any) -> Any:
            return math.nan if value is None else float(value) if value in _INFINITE else value

        return cls(**{name: read(value) for name, value in values.items()})

    def __str__(self) -> str:
        where = f"at {self.shots} shots"
        if self.people < LEAST_PEOPLE:
            return (
                f"{where}: {self.people} held-out people have anything left to find, "
                f"too few to tell (at least {LEAST_PEOPLE})"
            )
        against = f"{self.baseline:.4f} without a source ({self.baseline_name})"
        if not self.differing:
            return f"{where}: none of {self.people} people fares differently from {against}"
        if math.isnan(self.low):
            return (
                f"{where}: {self.mean:+.4f} over {against}, but with {self.differing} of "
                f"{self.people} people whose quality differs, or with no variation among them, "
                "too few to tell"
            )
        share = self.detectable_share
        relative = "" if math.isnan(share) else f", {share:.1%} of that,"
        return (
            f"{where}: {self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}] over {against}, "
            f"{self.people} people; a gain of {self.detectable:.4f}{relative} "
            f"is found with {POWER:.0%} probability"
        )


@dataclass(frozen=True)
class Decision:
    """Where the transfer is used, and on what grounds; ``print`` it for sentences.

    Parameters
    ----------
    chosen : str
        The candidate the gate is for.
    metric : str
    level : float
    shots : tuple of int
        Numbers of interactions that were tested, ascending from 0: rows with a number in between
        fall into the bucket of the largest one that is not above it.
    open : tuple of bool
        One per number of shots; never open after closed.
    buckets : tuple of Difference
        Of the chosen candidate. `low` is the limit that the gate reads.
    candidates : dict of str to tuple of Difference
        Of every candidate; all their limits hold at once, so they are wider.
    cause : str or None
        Of a gate that is closed everywhere: "dissimilar domains", where several families of
        adapters were tried; "the method", where another candidate gains without interactions; "no
        gain shown without interactions", where some candidate gains with more; "undetermined: one
        family of adapters" or "undetermined: too few people".
    """

    chosen: str
    metric: str
    level: float
    shots: tuple[int, ...]
    open: tuple[bool, ...]
    buckets: tuple[Difference, ...]
    candidates: dict[str, tuple[Difference, ...]]
    cause: str | None

    def bucket(self, counts: ArrayLike) -> NDArray[np.intp]:
        """Number of the bucket (n,) of rows with `counts` (n,) interactions."""
        return np.searchsorted(self.shots, np.asarray(counts), side="right") - 1

    @property
    def reason(self) -> str:
        """What the cause was told from; empty where there is none."""
        if self.cause in (METHOD, LATE):
            return f"{_gaining(self.candidates)}, {_REASONS[self.cause]}"
        return _REASONS[self.cause] if self.cause else ""

    def to_json(self) -> dict[str, Any]:
        """Plain values, which `from_json` reads."""
        return {
            **{name: getattr(self, name) for name in ("chosen", "metric", "level", "cause")},
            "shots": list(self.shots),
            "open": list(self.open),
            "buckets": [bucket.to_json() for bucket in self.buckets],
            "candidates": {k: [d.to_json() for d in row] for k, row in self.candidates.items()},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Decision:
        """Read what `to_json` wrote."""
        rows = {
            name: tuple(map(Difference.from_json, row))
            for name, row in values["candidates"].items()
        }
        parts = {
            "shots": tuple(values["shots"]),
            "open": tuple(values["open"]),
            "buckets": tuple(map(Difference.from_json, values["buckets"])),
            "candidates": rows,
        }
        return cls(**{**values, **parts})

    def __str__(self) -> str:
        tested = [f"{self.metric} of {self.chosen} {line}." for line in told(self.buckets)]
        lines = [f"Gate {self._state()}, at a level of {self.level:g}.", *tested]
        if self.cause:
            lines.append(f"Cause: {self.cause} ({self.reason}).")
        return "\n".join(lines)

    def _state(self) -> str:
        if all(self.open):
            return "open for any number of interactions"
        if not any(self.open):
            return "closed"
        first = self.shots[self.open.index(False)]
        few = "without" if first == 1 else f"for fewer than {first}"
        return f"open {few} interactions, closed from {first} on"


def told(buckets: Sequence[Difference]) -> list[str]:
    """What a gate read, in words, and why it is closed where `low` alone would open it."""
    failed = next((bucket.shots for bucket in buckets if not bucket.low > 0), math.inf)
    order = f"; closed because {failed} shots failed, and numbers of shots are tested in order"
    return [
        f"{bucket}{order}" if bucket.low > 0 and bucket.shots > failed else str(bucket)
        for bucket in buckets
    ]


def _gaining(candidates: Mapping[str, tuple[Difference, ...]]) -> str:
    """Who gains, and at which numbers of shots."""
    shots = {name: [d.shots for d in row if d.low > 0] for name, row in candidates.items()}
    return "; ".join(f"{name} gains at {listed(at)} shots" for name, at in shots.items() if at)


def listed(numbers: Sequence[int]) -> str:
    """Numbers (one at least) in words: "0, 1 and 5"."""
    *others, last = map(str, numbers)
    return f"{', '.join(others)} and {last}" if others else last
