"""Is crossing likely to pay? Held-out people say so, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from coldstart.adapters import RidgeAdapter
from coldstart.als import PriorALS
from coldstart.decision import (
    DISSIMILAR,
    ONE_FAMILY,
    UNDETERMINED,
    WORTHWHILE,
    Decision,
    Difference,
    told,
)
from coldstart.interactions import Interactions
from coldstart.warmstart import WarmStart

__all__ = ["Verdict", "held_out_verdict", "judged"]

FEWEST = 10  # anchors below which nobody is held out

_WORDS = {
    "likely": "likely to pay",
    "unlikely": "unlikely to pay",
    "undecided": "undecided",
}


@dataclass(frozen=True)
class Verdict:
    """Whether crossing is likely to pay, why, and what held-out people gained.

    Attributes
    ----------
    answer : {"likely", "unlikely", "undecided"}
    reason : str
    metric : str
        In which gains are.
    gains : tuple of Difference
        At each number of shots; empty where nobody could be held out.
    """

    answer: Literal["likely", "unlikely", "undecided"]
    reason: str
    metric: str = ""
    gains: tuple[Difference, ...] = ()

    def __str__(self) -> str:
        gains = (f"  {self.metric} {gain}." for gain in told(self.gains))
        return "\n".join([f"Crossing is {_WORDS[self.answer]}: {self.reason}.", *gains])


def held_out_verdict(
    source: Interactions,
    target: Interactions,
    model: PriorALS,
    anchors: int,
    *,
    show_progress: bool = False,
) -> Verdict:
    """What the gate says of a ridge map from `source` to `target`, whose rows are mapped.

    `anchors` rows are in both; with fewer than 10 nobody is held out. `model` brings the settings
    of the target model, and the seed.
    """
    if anchors < FEWEST:
        return judged(None)
    warm = WarmStart(
        model,
        RidgeAdapter(),
        rng=model.rng,
        num_threads=model.num_threads,
        show_progress=show_progress,
    )
    return judged(warm.fit(source, target).report_.gate)


def judged(gate: Decision | None) -> Verdict:
    """The verdict that follows from a gate, or from there being none.

    "likely" where it is open for rows without interactions at least; "unlikely" where it is closed
    and a gain of 5% excluded; "undecided" otherwise.
    """
    if gate is None:
        reason = "too few people to tell, nobody could be held out"
        return Verdict("undecided", reason)
    if any(gate.open):
        closed = [k for k, is_open in zip(gate.shots, gate.open, strict=True) if not is_open]
        who = "with any number of"
        if closed:
            who = "without" if closed[0] == 1 else f"with fewer than {closed[0]}"
        reason = f"held-out people {who} interactions gained"
        return Verdict("likely", reason, gate.metric, gate.buckets)
    if gate.cause in (DISSIMILAR, ONE_FAMILY):
        reason = f"held-out people gained nothing, and {WORTHWHILE:.0%} is excluded"
        return Verdict("unlikely", reason, gate.metric, gate.buckets)
    reason = f"{gate.cause} ({gate.reason})"
    if gate.cause == UNDETERMINED:
        reason = f"too few people to tell, {WORTHWHILE:.0%} is neither shown nor excluded"
    return Verdict("undecided", reason, gate.metric, gate.buckets)
