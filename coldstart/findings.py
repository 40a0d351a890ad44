"""Findings: whether the gain is real, for whom, and from how many interactions on it is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Findings", "Gain", "Graduation", "Saved"]


@dataclass(frozen=True)
class Gain:
    """How much better the people were served than by the best arm without a source.

    `ratio` is that of the means, `effect` the mean difference in standard deviations, and `gain`,
    `lose` and `unchanged` are shares of the people. `p` is of paired randomisation.
    """

    shots: int
    baseline: str
    difference: float
    ci_low: float
    ci_high: float
    ratio: float
    ratio_low: float
    ratio_high: float
    effect: float
    p: float
    gain: float
    lose: float
    unchanged: float


@dataclass(frozen=True)
class Graduation:
    """From how many interactions on the prior does not help any more.

    `helps_until` is the largest tested number up to which the lower limit is above 0 everywhere
    (None: not even without any), `shots` the next tested one, None where it helps at all of them,
    which is `more_than`.
    """

    shots: int | None
    helps_until: int | None
    more_than: int | None

    @classmethod
    def of(cls, gains: Sequence[Gain]) -> Graduation:
        """Read off the gains, by rising shots."""
        until = None
        for gain in gains:
            if not gain.ci_low > 0:
                return cls(gain.shots, until, None)
            until = gain.shots
        return cls(None, until, until)


@dataclass(frozen=True)
class Saved:
    """Target interactions that a person must have until the best arm without a source serves as
    well as the arm with it serves without any.

    Between tested numbers of shots the curve is taken to be straight. `low` and `high` are 95%
    limits over people; None is more than the largest number tested, `more_than`.
    """

    interactions: float | None
    low: float | None
    high: float | None
    more_than: int | None
    by: str


@dataclass(frozen=True)
class Findings:
    """What an evaluation found of one arm with a source; the other fields are plain values.

    `gains` are over the strongest arm without a source, picked by the people who are tested, for
    each number of shots; `fair` is that over the arm which validation people picked, at the fewest.
    """

    sentence: str
    answer: str
    protocol: str
    level: float | None
    arm: str
    metric: str
    n: int
    shots: tuple[int, ...]
    reserved: int
    users: int
    left_out: int
    curve: list[dict[str, Any]]
    gains: list[Gain]
    fair: Gain
    saved: Saved
    graduation: Graduation
    groups: list[dict[str, Any]]
    lists: list[dict[str, Any]]
    levels: list[dict[str, Any]]
    without_twins: dict[str, Any] | None
    smallest_detectable: dict[str, float]

    @property
    def shown(self) -> list[str]:
        """Arms whose lists are worth looking at: the baseline of the fewest shots, and the arm."""
        return list(dict.fromkeys([self.gains[0].baseline, self.arm]))

    def mean(self, arm: str, shots: int) -> float:
        """Of one arm at one number of shots, on the fixed truth."""
        curve = {(row["arm"], row["shots"]): row["mean"] for row in self.curve}
        return float(curve[arm, shots])

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``results.json``."""
        baseline = {str(gain.shots): gain.baseline for gain in self.gains}
        return {**asdict(self), "baseline": baseline}
